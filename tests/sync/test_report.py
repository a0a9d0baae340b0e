"""What a sync tells of itself, in Python and in JSON."""

from __future__ import annotations

import msgspec

from amili_async._cursor import Cursor
from amili_async.errors import ServerError
from amili_async.sync._report import Counts, Failure, HeldOrganization, Restart, SyncReport

FAILURE = Failure.of(
    "org 1", "batches", ServerError("the server failed", status=503, operation="batches.list"), Cursor(token="secret")
)


def report(**more: object) -> SyncReport:
    return msgspec.convert(
        {"organizations": 2, "resources": {"batches": {"rows": 5, "new": 3}}, "requests": 4, **more}, SyncReport
    )


def test_a_failure_names_organization_error_and_cursor_and_shows_no_page_token() -> None:
    assert FAILURE.error == "ServerError"
    assert FAILURE.message == "batches.list: the server failed (status 503)"
    assert FAILURE.cursor == Cursor(token="secret")
    assert "secret" not in repr(FAILURE)


def test_a_report_encodes_to_json_and_back() -> None:
    whole = SyncReport(
        organizations=1,
        failures=(FAILURE,),
        held=(HeldOrganization(organization_id="org 2"),),
        restarts=(Restart(organization_id="org 3", resource="batches", reason="its page token was refused (400)"),),
        resources={"batches": Counts(rows=7, new=1)},
        seconds=1.5,
    )

    assert msgspec.json.decode(msgspec.json.encode(whole), type=SyncReport) == whole


def test_a_run_is_ok_where_nothing_failed_and_everybody_had_a_turn() -> None:
    assert report().ok
    assert report(held=[{"organization_id": "org 1"}]).ok
    assert not report(stopped=True).ok
    assert not SyncReport(failures=(FAILURE,)).ok


def test_the_total_is_that_of_all_resources() -> None:
    both = SyncReport(resources={"batches": Counts(rows=5, new=3), "cases": Counts(rows=2, changed=1)})

    assert both.total == Counts(rows=7, new=3, changed=1)
    assert SyncReport().total == Counts()


def test_runs_over_different_organizations_are_told_as_one() -> None:
    merged = SyncReport.merged(
        [
            report(held=[{"organization_id": "org 1"}], retries=1, waited=2.0, seconds=10),
            SyncReport(
                organizations=1,
                failures=(FAILURE,),
                restarts=(Restart(organization_id="org 3", resource="cases", reason="it said so"),),
                stopped=True,
                resources={"batches": Counts(rows=1), "cases": Counts(rows=4)},
                waited=0.5,
                seconds=20,
            ),
        ],
        seconds=21,
    )

    assert merged.organizations == 3
    assert merged.failures == (FAILURE,)
    assert [held.organization_id for held in merged.held] == ["org 1"]
    assert [one.organization_id for one in merged.restarts] == ["org 3"]
    assert merged.stopped
    assert merged.resources == {"batches": Counts(rows=6, new=3), "cases": Counts(rows=4)}
    assert (merged.requests, merged.retries, merged.waited, merged.seconds) == (4, 1, 2.5, 21)
