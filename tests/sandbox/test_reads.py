from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Sandbox
from tests.sandbox.conftest import Caller

if TYPE_CHECKING:
    import aiohttp

    from amili_async.sandbox._shapes import Generation
    from amili_async.sandbox._state import Order


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["batchId"] for row in rows]


async def test_a_walk_gives_every_batch_once_and_the_newest_first(caller: Caller) -> None:
    rows = await caller.walk(f"/orgs/{caller.organization}/batches")
    assert ids(rows) == caller.sandbox.batch_ids()[::-1]
    assert [row["createdAt"] for row in rows] == sorted((row["createdAt"] for row in rows), reverse=True)


@pytest.mark.parametrize(("direction", "step"), [("ASC", 1), ("asc", 1), ("DESC", -1)])
async def test_the_sort_direction_is_heeded(caller: Caller, direction: str, step: int) -> None:
    rows = await caller.walk(f"/orgs/{caller.organization}/batches", SortDirection=direction)
    assert ids(rows) == caller.sandbox.batch_ids()[::step]


async def test_a_page_has_as_many_rows_as_asked_for(caller: Caller) -> None:
    said = await caller.batches(PageSize="7")
    assert len(said.rows) == 7
    rest = await caller.batches(PageSize="20", PageToken=said.token or "")
    assert len(rest.rows) == 18
    assert rest.token is None


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"PageSize": "0"}, "PageSize must be 1 to 1000"),
        ({"PageSize": "1001"}, "PageSize must be 1 to 1000"),
        ({"PageSize": "-1"}, "PageSize must be 1 to 1000"),
        ({"PageSize": "many"}, "PageSize must be 1 to 1000"),
        ({"SortDirection": "UP"}, "SortDirection must be ASC or DESC"),
        ({"PageToken": "made-up"}, "the page token is not one of this"),
        ({"pageSize": "3"}, "unknown query names: pageSize"),
    ],
)
async def test_a_query_that_cannot_be_is_refused(caller: Caller, query: dict[str, str], complaint: str) -> None:
    said = await caller.batches(**query)
    assert said.status == 400
    assert said.headers["Content-Type"] == "application/problem+json"
    assert complaint in said.json["detail"]


async def test_a_page_token_does_not_fit_other_filters_or_another_organization(caller: Caller) -> None:
    token = (await caller.batches()).token or ""
    assert (await caller.batches(PageToken=token, State="FAILED")).status == 400
    other = caller.sandbox.organization_ids[1]
    assert (await caller.ask(f"/orgs/{other}/batches", params={"PageToken": token})).status == 400


async def test_filters_find_all_and_only_what_they_say(caller: Caller) -> None:
    path = f"/orgs/{caller.organization}/batches"
    rows = await caller.walk(path)
    for name, member in (("State", "status"), ("Type", "type")):
        for value in {row[member] for row in rows}:
            found = await caller.walk(path, PageSize="2", **{name: value})
            assert ids(found) == [row["batchId"] for row in rows if row[member] == value]
    assert await caller.walk(path, State="NOVELTY") == []


async def test_life_has_all_states_and_entries_by_the_dozen(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=400) as sandbox:
        caller = Caller(sandbox, session)
        rows = await caller.walk(f"/orgs/{caller.organization}/batches")
    assert {row["status"] for row in rows} == {"QUEUED", "SUCCESS", "PARTIAL", "FAILED"}
    assert {row["type"] for row in rows} == {"INVOICE", "PAYMENT", "CORRECTION", "NONE"}
    assert sum(len(row["succeeded"]) for row in rows) / len(rows) > 6
    for row in rows:
        done = row["status"] != "QUEUED"
        assert (row["finishedAt"] is not None) == done
        assert bool(row["succeeded"]) == (row["status"] in {"SUCCESS", "PARTIAL"})
        assert bool(row["failed"]) == (row["status"] in {"FAILED", "PARTIAL"})


async def test_a_batch_is_found_by_its_idempotency_key_and_by_its_subjects(caller: Caller) -> None:
    path = f"/orgs/{caller.organization}/batches"
    rows = await caller.walk(path)
    batch_id = caller.sandbox.add_batch(idempotency_key="erp-4711")
    assert ids(await caller.walk(path, IdempotencyKey="erp-4711")) == [batch_id]
    entry = next(row for row in rows if row["type"] == "INVOICE" and row["succeeded"])
    for name in ("invoiceId", "caseId"):
        found = ids(await caller.walk(path, SubjectId=entry["succeeded"][0][name]))
        assert entry["batchId"] in found
    elsewhere = caller.sandbox.organization_ids[1]
    assert await caller.walk(f"/orgs/{elsewhere}/batches", SubjectId=entry["succeeded"][0]["invoiceId"]) == []
    for nothing in ("made-up", caller.organization):
        assert await caller.walk(path, SubjectId=nothing) == []


async def test_a_batch_is_read_by_its_id(caller: Caller) -> None:
    row = (await caller.batches()).rows[4]
    for path in (f"/orgs/{caller.organization}/batches/{row['batchId']}", f"/batches/{row['batchId']}"):
        said = await caller.ask(path)
        assert said.status == 200
        assert said.json["data"] == row


async def test_what_is_not_there_is_not_found(caller: Caller) -> None:
    batch_id = caller.sandbox.batch_ids()[0]
    other = caller.sandbox.organization_ids[1]
    for path in (
        "/orgs/nobody/batches",
        f"/orgs/nobody/batches/{batch_id}",
        f"/orgs/{other}/batches/{batch_id}",
        f"/orgs/{other}/batches/made-up",
        f"/batches/{other}",
        "/batches/..%2f",
    ):
        assert (await caller.ask(path)).status == 404, path


async def test_rows_added_behind_a_walk_do_not_move_its_pages(caller: Caller) -> None:
    before = caller.sandbox.batch_ids()[::-1]
    rows: list[dict[str, Any]] = []
    token: str | None = ""
    while token is not None:
        said = await caller.batches(**({"PageToken": token} if token else {}))
        rows += said.rows
        token = said.token
        caller.sandbox.add_batch()
    assert ids(rows) == before
    assert len(await caller.walk(f"/orgs/{caller.organization}/batches")) == 28


async def test_rows_added_ahead_of_a_walk_are_met(caller: Caller) -> None:
    first = await caller.batches(SortDirection="ASC", PageSize="20")
    added = caller.sandbox.add_batch(entries=2, failures=1)
    rest = await caller.batches(SortDirection="ASC", PageSize="20", PageToken=first.token or "")
    assert ids(first.rows + rest.rows) == caller.sandbox.batch_ids()
    assert rest.rows[-1]["batchId"] == added
    assert rest.rows[-1]["status"] == "PARTIAL"


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
async def test_a_server_may_sort_otherwise(order: Order, session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=25, page_size=10, order=order, heeds_sort=False) as sandbox:
        caller = Caller(sandbox, session)
        rows = ids(await caller.walk(f"/orgs/{caller.organization}/batches", SortDirection="ASC"))
        again = ids(await caller.walk(f"/orgs/{caller.organization}/batches", SortDirection="DESC"))
        truth = sandbox.batch_ids()
        assert rows == again
        assert sorted(rows) == sorted(truth)
        assert (rows == truth, rows == truth[::-1]) == (order == "oldest", order == "newest")
        sandbox.add_batch()
        assert len(await caller.walk(f"/orgs/{caller.organization}/batches")) == 26


async def test_all_batches_of_all_organizations_are_one_list_in_the_first_generation(
    session: aiohttp.ClientSession,
) -> None:
    async with Sandbox(organizations=3, batches=12, page_size=5, generation="G1") as sandbox:
        sandbox.add_batch(sandbox.organization_ids[2])
        caller = Caller(sandbox, session)
        rows = await caller.walk("/batches")
        truth = {batch_id for organization in sandbox.organization_ids for batch_id in sandbox.batch_ids(organization)}
        assert len(rows) == len(truth) == 37
        assert set(ids(rows)) == truth
        moments = [row["createdAt"] for row in rows]
        assert moments == sorted(moments, reverse=True)
        assert ids(await caller.walk("/batches", SortDirection="ASC", PageSize="4")) == ids(rows)[::-1]
        failed = await caller.walk("/batches", State="FAILED")
        assert all(row["status"]["statuscode"] == 3 for row in failed)


@pytest.mark.parametrize(
    ("generation", "there"),
    [
        ("G1", {"/batches": 200, "/orgs/{org}/batches/{id}": 404, "/batches/{id}": 200}),
        ("G2", {"/batches": 404, "/orgs/{org}/batches/{id}": 404, "/batches/{id}": 200}),
        ("G3", {"/batches": 404, "/orgs/{org}/batches/{id}": 200, "/batches/{id}": 200}),
    ],
)
async def test_each_generation_has_its_own_routes(
    generation: Generation, there: dict[str, int], session: aiohttp.ClientSession
) -> None:
    async with Sandbox(organizations=1, batches=3, generation=generation) as sandbox:
        caller = Caller(sandbox, session)
        for path, status in there.items():
            filled = path.format(org=caller.organization, id=sandbox.batch_ids()[0])
            assert (await caller.ask(filled)).status == status, path


async def test_page_tokens_expire(caller: Caller) -> None:
    token = (await caller.batches()).token or ""
    assert (await caller.batches(PageToken=token)).status == 200
    caller.sandbox.expire_page_tokens()
    said = await caller.batches(PageToken=token)
    assert said.status == 400
    assert "has expired" in said.json["detail"]
    assert len(await caller.walk(f"/orgs/{caller.organization}/batches")) == 25


async def test_page_tokens_that_live_for_a_while_are_written_anew_for_each_page(
    session: aiohttp.ClientSession,
) -> None:
    now = [1_000.0]
    async with Sandbox(batches=25, page_size=10, page_token_lifetime=60, clock=lambda: now[0]) as sandbox:
        caller = Caller(sandbox, session)
        old = (await caller.batches()).token or ""
        now[0] += 61
        assert (await caller.batches(PageToken=old)).status == 400
        assert len(await caller.walk(f"/orgs/{caller.organization}/batches")) == 25
