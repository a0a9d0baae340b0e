from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Fault

if TYPE_CHECKING:
    from amili_async.sandbox._faults import Kind
    from tests.sandbox.conftest import Caller


async def tokens(caller: Caller, steps: int, **query: str) -> list[str | None]:
    """Walk so many pages and return the tokens that they handed out."""
    handed: list[str | None] = []
    token: str | None = None
    for _ in range(steps):
        said = await caller.batches(**query, **({"PageToken": token} if token else {}))
        assert said.status == 200
        token = said.token
        handed.append(token)
    return handed


async def test_a_repeated_token_is_the_one_that_the_page_was_asked_with(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.list:repeat-token")
    first, second, third = await tokens(caller, 3)
    assert first is not None
    assert first == second == third


async def test_tokens_go_round_in_a_cycle(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.list:cycle-tokens")
    to_second, to_third, *rest = await tokens(caller, 6, PageSize="4")
    assert to_second != to_third
    assert rest == [to_second, to_third, to_second, to_third]


async def test_tokens_lead_back_from_any_page_on(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.list:cycle-tokens,skip=2")
    handed = await tokens(caller, 8, PageSize="4")
    assert len(set(handed)) == 4
    assert handed[4:] == [handed[2], handed[1], handed[0], handed[1]]


async def test_an_empty_page_leads_to_the_rows_that_were_due(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.list:empty-page,count=1", "batches.list:empty-page,page=2,count=2")
    said = await caller.batches()
    assert said.rows == []
    assert said.token
    rows = await caller.walk(f"/orgs/{caller.organization}/batches")
    assert [row["batchId"] for row in rows] == caller.sandbox.batch_ids()[::-1]
    assert caller.sandbox.requests.count() == 1 + 3 + 2


async def test_an_expired_token_is_refused_once(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.list:expire-token,count=1")
    token = (await caller.batches()).token or ""
    assert (await caller.batches(PageToken=token)).status == 400
    assert (await caller.batches(PageToken=token)).status == 200


async def test_a_row_comes_twice_over_two_pages(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.list:duplicate-row,count=1")
    rows = [row["batchId"] for row in await caller.walk(f"/orgs/{caller.organization}/batches")]
    assert rows[9] == rows[10]
    assert rows[:10] + rows[11:] == caller.sandbox.batch_ids()[::-1]


@pytest.mark.parametrize(("kind", "token"), [("last-null", None), ("last-empty", ""), ("last-absent", "-")])
async def test_only_the_last_page_is_marked_otherwise(caller: Caller, kind: Kind, token: str | None) -> None:
    caller.sandbox.faults.add(Fault("batches.list", kind))
    assert (await caller.batches()).token
    last = await caller.batches(PageSize="100")
    assert last.json["summary"].get("nextPageToken", "-") == token


async def damaged(caller: Caller, kind: Kind, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the right row and the damaged one, and check that no other row was touched."""
    right = (await caller.batches()).rows
    with caller.sandbox.faults.during(Fault("batches.list", kind, **options)):
        wrong = (await caller.batches()).rows
    index: int = options.get("row", 5)
    assert len(right) == len(wrong)
    assert [n for n, (one, other) in enumerate(zip(right, wrong, strict=True)) if one != other] == [index]
    return right[index], wrong[index]


async def test_a_bad_row_is_bad_in_its_lists_and_moments(caller: Caller) -> None:
    right, wrong = await damaged(caller, "bad-row")
    assert right.keys() == wrong.keys()
    assert (wrong["succeeded"], wrong["failed"], wrong["createdAt"]) == (7, 7, {})


async def test_the_row_can_be_chosen(caller: Caller) -> None:
    await damaged(caller, "bad-row", row=9)
    caller.sandbox.faults.add(Fault("batches.list", "bad-row", row=10, count=1))
    assert (await caller.batches()).status == 200
    assert caller.sandbox.faults.pending


async def test_a_lax_row_asks_for_leniency(caller: Caller) -> None:
    right, wrong = await damaged(caller, "lax-row")
    assert wrong["createdAt"] == right["createdAt"][:10]
    assert wrong["createdBy"] == 4711
    assert wrong["failed"] is None


async def test_an_entry_of_a_new_type_comes_first(caller: Caller) -> None:
    right, wrong = await damaged(caller, "unknown-type")
    assert wrong["succeeded"][0]["$type"] == "sandboxNovelty"
    assert wrong["succeeded"][1:] == right["succeeded"]


async def test_enum_values_can_be_new(caller: Caller) -> None:
    _, wrong = await damaged(caller, "unknown-value")
    assert wrong["type"] == wrong["status"] == "SANDBOX_NOVELTY"


async def test_members_can_be_new_in_row_and_summary(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.list:unknown-member")
    said = await caller.batches()
    assert said.rows[5]["sandboxMember"] == said.json["summary"]["sandboxMember"] == {"deep": [1, "two", None]}
    assert said.token


async def test_single_reads_are_damaged_too(caller: Caller) -> None:
    batch_id = caller.sandbox.batch_ids()[3]
    caller.sandbox.faults.add("batches.get*:bad-row")
    said = await caller.ask(f"/batches/{batch_id}")
    assert said.json["data"]["succeeded"] == 7
    assert said.json["summary"] == {"status": "SUCCESS"}


async def test_a_refusal_has_no_rows_to_damage(caller: Caller) -> None:
    caller.sandbox.faults.add("batches.*:bad-row")
    assert (await caller.ask("/orgs/nobody/batches")).status == 404
    caller.sandbox.faults.add("batches.*:repeat-token")
    assert (await caller.ask(f"/batches/{caller.sandbox.batch_ids()[0]}")).status == 200


async def test_what_is_no_object_in_an_envelope_has_no_row_to_damage(caller: Caller) -> None:
    caller.sandbox.faults.add("autocollect.*:bad-row")
    for path in ("Ping", "Attachment?attachmentid=1", "Batch"):
        said = await caller.ask("", url=f"{caller.sandbox.autocollect_url}/webapi/api/{path}")
        assert said.status == 200
    assert [request.fault for request in caller.sandbox.requests] == [None, None, None]


async def test_json_that_ends_early_is_well_framed(caller: Caller) -> None:
    right = (await caller.batches()).body
    caller.sandbox.faults.add("batches.list:truncate")
    said = await caller.batches()
    assert right.startswith(said.body)
    assert int(said.headers["Content-Length"]) == len(said.body) < len(right)


@pytest.mark.parametrize("operation", ["batches.list", "token"])
async def test_corrupt_json_is_as_long_as_the_right_one_and_no_json(caller: Caller, operation: str) -> None:
    right = (await caller.batches()).body
    caller.sandbox.faults.add(f"{operation}:corrupt")
    said = await caller.batches()
    assert len(said.body) == len(right)
    if operation == "batches.list":
        with pytest.raises(json.JSONDecodeError):
            json.loads(said.body)


async def test_what_has_no_members_is_corrupt_at_its_start(caller: Caller) -> None:
    caller.sandbox.faults.add("autocollect.ping:corrupt")
    said = await caller.ask("", url=f"{caller.sandbox.autocollect_url}/webapi/api/Ping")
    assert said.body == b'#"pong"'


@pytest.mark.parametrize(
    ("text", "status", "content_type", "body"),
    [
        ("batches.list:empty", 200, None, b""),
        ("batches.list:html", 200, "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("batches.list:html,status=502", 502, "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("batches.list:nonsense", 200, "application/json; charset=utf-8", b'{"hello"'),
        ("batches.list:wrong-type", 200, "text/plain; charset=utf-8", b'{"summary"'),
        ("batches.list:content_type=application/xml", 200, "application/xml", b'{"summary"'),
        ("batches.list:status=503", 503, "application/problem+json", b'{"type": "about:blank"'),
        ("batches.list:status=299", 299, None, b""),
        ("batches.list:body=hei", 200, "application/json; charset=utf-8", b"hei"),
        ("batches.list:status=799,body=x", None, None, b""),
    ],
)
async def test_the_answer_can_be_another(
    caller: Caller, text: str, status: int | None, content_type: str | None, body: bytes
) -> None:
    if status is None:
        with pytest.raises(ValueError, match="status must be"):
            caller.sandbox.faults.add(text)
        return
    caller.sandbox.faults.add(text)
    said = await caller.batches()
    assert said.status == status
    assert said.headers.get("Content-Type") == content_type
    assert said.body.startswith(body)
    assert caller.sandbox.requests.last().fault == str(Fault.parse(text))


async def test_headers_are_added_to_the_right_answer_or_to_another(caller: Caller) -> None:
    caller.sandbox.faults.add(
        Fault("batches.list", status=429, retry_after=2.5, count=1),
        Fault("batches.list", status=302, location="https://elsewhere.example/", count=1),
        Fault("batches.list", retry_after="Wed, 21 Oct 2026 07:28:00 GMT", headers={"X-One": "1"}, count=1),
    )
    limited, moved, right = [await caller.batches() for _ in range(3)]
    assert (limited.status, limited.headers["Retry-After"]) == (429, "2.5")
    assert (moved.status, moved.headers["Location"], moved.body) == (302, "https://elsewhere.example/", b"")
    assert (right.status, right.headers["X-One"]) == (200, "1")
    assert right.headers["Retry-After"] == "Wed, 21 Oct 2026 07:28:00 GMT"
