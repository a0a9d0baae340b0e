from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Sandbox
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    import aiohttp

    from amili_async.sandbox._shapes import Generation
    from amili_async.sandbox._state import Order


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["batchId"] for row in rows]


async def test_a_walk_gives_every_batch_once_and_the_newest_first(raw: RawClient) -> None:
    rows = await raw.walk(f"/orgs/{raw.organization}/batches")
    assert ids(rows) == raw.sandbox.batch_ids()[::-1]
    assert [row["createdAt"] for row in rows] == sorted((row["createdAt"] for row in rows), reverse=True)


@pytest.mark.parametrize(("direction", "step"), [("ASC", 1), ("asc", 1), ("DESC", -1)])
async def test_the_sort_direction_is_heeded(raw: RawClient, direction: str, step: int) -> None:
    rows = await raw.walk(f"/orgs/{raw.organization}/batches", SortDirection=direction)
    assert ids(rows) == raw.sandbox.batch_ids()[::step]


async def test_a_page_has_as_many_rows_as_asked_for(raw: RawClient) -> None:
    response = await raw.batches(PageSize="7")
    assert len(response.rows) == 7
    rest = await raw.batches(PageSize="20", PageToken=response.token or "")
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
async def test_a_query_that_cannot_be_is_refused(raw: RawClient, query: dict[str, str], complaint: str) -> None:
    response = await raw.batches(**query)
    assert response.status == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert complaint in response.json["detail"]


async def test_a_page_token_does_not_fit_other_filters_or_another_organization(raw: RawClient) -> None:
    token = (await raw.batches()).token or ""
    assert (await raw.batches(PageToken=token, State="FAILED")).status == 400
    other = raw.sandbox.organization_ids[1]
    assert (await raw.ask(f"/orgs/{other}/batches", params={"PageToken": token})).status == 400


async def test_filters_find_all_and_only_what_they_say(raw: RawClient) -> None:
    path = f"/orgs/{raw.organization}/batches"
    rows = await raw.walk(path)
    for name, member in (("State", "status"), ("Type", "type")):
        for value in {row[member] for row in rows}:
            found = await raw.walk(path, PageSize="2", **{name: value})
            assert ids(found) == [row["batchId"] for row in rows if row[member] == value]
    assert await raw.walk(path, State="NOVELTY") == []


async def test_life_has_all_states_and_entries_by_the_dozen(session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=400) as sandbox:
        raw = RawClient(sandbox, session)
        rows = await raw.walk(f"/orgs/{raw.organization}/batches")
    assert {row["status"] for row in rows} == {"QUEUED", "SUCCESS", "PARTIAL", "FAILED"}
    assert {row["type"] for row in rows} == {"INVOICE", "PAYMENT", "CORRECTION", "NONE"}
    assert sum(len(row["succeeded"]) for row in rows) / len(rows) > 6
    for row in rows:
        done = row["status"] != "QUEUED"
        assert (row["finishedAt"] is not None) == done
        assert bool(row["succeeded"]) == (row["status"] in {"SUCCESS", "PARTIAL"})
        assert bool(row["failed"]) == (row["status"] in {"FAILED", "PARTIAL"})


async def test_a_batch_is_found_by_its_idempotency_key_and_by_its_subjects(raw: RawClient) -> None:
    path = f"/orgs/{raw.organization}/batches"
    rows = await raw.walk(path)
    batch_id = raw.sandbox.add_batch(idempotency_key="erp-4711")
    assert ids(await raw.walk(path, IdempotencyKey="erp-4711")) == [batch_id]
    entry = next(row for row in rows if row["type"] == "INVOICE" and row["succeeded"])
    for name in ("invoiceId", "caseId"):
        found = ids(await raw.walk(path, SubjectId=entry["succeeded"][0][name]))
        assert entry["batchId"] in found
    elsewhere = raw.sandbox.organization_ids[1]
    assert await raw.walk(f"/orgs/{elsewhere}/batches", SubjectId=entry["succeeded"][0]["invoiceId"]) == []
    for nothing in ("made-up", raw.organization):
        assert await raw.walk(path, SubjectId=nothing) == []


async def test_a_batch_is_read_by_its_id(raw: RawClient) -> None:
    row = (await raw.batches()).rows[4]
    for path in (f"/orgs/{raw.organization}/batches/{row['batchId']}", f"/batches/{row['batchId']}"):
        response = await raw.ask(path)
        assert response.status == 200
        assert response.json["data"] == row


async def test_what_is_not_there_is_not_found(raw: RawClient) -> None:
    batch_id = raw.sandbox.batch_ids()[0]
    other = raw.sandbox.organization_ids[1]
    for path in (
        "/orgs/nobody/batches",
        f"/orgs/nobody/batches/{batch_id}",
        f"/orgs/{other}/batches/{batch_id}",
        f"/orgs/{other}/batches/made-up",
        f"/batches/{other}",
        "/batches/..%2f",
    ):
        assert (await raw.ask(path)).status == 404, path


async def test_rows_added_behind_a_walk_do_not_move_its_pages(raw: RawClient) -> None:
    before = raw.sandbox.batch_ids()[::-1]
    rows: list[dict[str, Any]] = []
    token: str | None = ""
    while token is not None:
        response = await raw.batches(**({"PageToken": token} if token else {}))
        rows += response.rows
        token = response.token
        raw.sandbox.add_batch()
    assert ids(rows) == before
    assert len(await raw.walk(f"/orgs/{raw.organization}/batches")) == 28


async def test_rows_added_ahead_of_a_walk_are_met(raw: RawClient) -> None:
    first = await raw.batches(SortDirection="ASC", PageSize="20")
    added = raw.sandbox.add_batch(entries=2, failures=1)
    rest = await raw.batches(SortDirection="ASC", PageSize="20", PageToken=first.token or "")
    assert ids(first.rows + rest.rows) == raw.sandbox.batch_ids()
    assert rest.rows[-1]["batchId"] == added
    assert rest.rows[-1]["status"] == "PARTIAL"


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
async def test_a_server_may_sort_otherwise(order: Order, session: aiohttp.ClientSession) -> None:
    async with Sandbox(organizations=1, batches=25, page_size=10, order=order, heeds_sort=False) as sandbox:
        raw = RawClient(sandbox, session)
        rows = ids(await raw.walk(f"/orgs/{raw.organization}/batches", SortDirection="ASC"))
        again = ids(await raw.walk(f"/orgs/{raw.organization}/batches", SortDirection="DESC"))
        truth = sandbox.batch_ids()
        assert rows == again
        assert sorted(rows) == sorted(truth)
        assert (rows == truth, rows == truth[::-1]) == (order == "oldest", order == "newest")
        sandbox.add_batch()
        assert len(await raw.walk(f"/orgs/{raw.organization}/batches")) == 26


async def test_all_batches_of_all_organizations_are_one_list_in_the_first_generation(
    session: aiohttp.ClientSession,
) -> None:
    async with Sandbox(organizations=3, batches=12, page_size=5, generation="G1") as sandbox:
        sandbox.add_batch(sandbox.organization_ids[2])
        raw = RawClient(sandbox, session)
        rows = await raw.walk("/batches")
        truth = {batch_id for organization in sandbox.organization_ids for batch_id in sandbox.batch_ids(organization)}
        assert len(rows) == len(truth) == 37
        assert set(ids(rows)) == truth
        moments = [row["createdAt"] for row in rows]
        assert moments == sorted(moments, reverse=True)
        assert ids(await raw.walk("/batches", SortDirection="ASC", PageSize="4")) == ids(rows)[::-1]
        failed = await raw.walk("/batches", State="FAILED")
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
        raw = RawClient(sandbox, session)
        for path, status in there.items():
            filled = path.format(org=raw.organization, id=sandbox.batch_ids()[0])
            assert (await raw.ask(filled)).status == status, path


async def test_page_tokens_expire(raw: RawClient) -> None:
    token = (await raw.batches()).token or ""
    assert (await raw.batches(PageToken=token)).status == 200
    raw.sandbox.expire_page_tokens()
    response = await raw.batches(PageToken=token)
    assert response.status == 400
    assert "has expired" in response.json["detail"]
    assert len(await raw.walk(f"/orgs/{raw.organization}/batches")) == 25


async def test_page_tokens_that_live_for_a_while_are_written_anew_for_each_page(
    session: aiohttp.ClientSession,
) -> None:
    now = [1_000.0]
    async with Sandbox(batches=25, page_size=10, page_token_lifetime=60, clock=lambda: now[0]) as sandbox:
        raw = RawClient(sandbox, session)
        old = (await raw.batches()).token or ""
        now[0] += 61
        assert (await raw.batches(PageToken=old)).status == 400
        assert len(await raw.walk(f"/orgs/{raw.organization}/batches")) == 25
