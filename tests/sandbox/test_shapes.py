from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Sandbox
from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._seed_data import FailedItem, SucceededItem
from amili_async.sandbox._shapes import Dialect
from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    import aiohttp

    from amili_async.sandbox._shapes import Generation, LastPage


async def batches(generation: Generation, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with Sandbox(organizations=1, batches=120, generation=generation) as sandbox:
        return await RawClient(sandbox, session).walk(f"/orgs/{sandbox.organization_ids[0]}/batches")


async def test_a_batch_of_the_first_generation_has_the_members_of_its_documentation(
    session: aiohttp.ClientSession,
) -> None:
    rows = await batches("G1", session)
    documented = {"batchId", "type", "status", "createdAt", "finishedAt", "organizationId", "createdBy"}
    for row in rows:
        assert row.keys() | {"finishedAt"} == documented | {"succeeded", "failed"}
        assert row["status"].keys() == {"statuscode", "errors", "responses"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["createdAt"])
        assert len(row["status"]["responses"]) == len(row["succeeded"])
        for error in row["status"]["errors"]:
            assert error.keys() == {"objectname", "objectindex", "message"}
        for answer in row["status"]["responses"]:
            assert answer.keys() == {"objectname", "objectindex", "ledgerref", "status_statuscode"}
        for entry in row["succeeded"]:
            assert next(iter(entry)) == "$type"
            assert list(entry) == ["$type", "invoiceNumber", "caseId", "invoiceId"]
            assert entry["$type"] == "invoiceSuccess"
        assert (row["status"]["statuscode"] == 0) == (not row["failed"])
    assert None in [entry for row in rows for entry in row["failed"]]
    assert sum("finishedAt" not in row for row in rows) == 1


@pytest.mark.parametrize(("generation", "place"), [("G2", "last"), ("G3", "nowhere")])
async def test_a_batch_of_later_generations_has_a_state_of_text(
    generation: Generation, place: str, session: aiohttp.ClientSession
) -> None:
    rows = await batches(generation, session)
    for row in rows:
        assert row["status"] in {"QUEUED", "SUCCESS", "PARTIAL", "FAILED"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["createdAt"])
        for entry in row["succeeded"]:
            assert list(entry)[:3] == ["invoiceId", "invoiceNumber", "caseId"]
            assert (list(entry)[-1] == "$type") == (place == "last")
    assert {} in [entry for row in rows for entry in row["failed"]]


async def test_the_summary_comes_first_or_last(session: aiohttp.ClientSession) -> None:
    firsts: dict[Generation, str] = {"G1": "summary", "G2": "data", "G3": "summary"}
    for generation, first in firsts.items():
        async with Sandbox(organizations=1, batches=3, generation=generation) as sandbox:
            response = await RawClient(sandbox, session).batches()
        assert next(iter(response.json)) == first
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(("last_page", "token"), [("absent", "-"), ("null", None), ("empty", "")])
async def test_the_end_of_a_list_is_marked_as_the_sandbox_is_told(
    last_page: LastPage, token: str | None, session: aiohttp.ClientSession
) -> None:
    async with Sandbox(organizations=1, batches=3, page_size=2, last_page=last_page) as sandbox:
        raw = RawClient(sandbox, session)
        first = await raw.batches()
        assert first.token
        last = await raw.batches(PageToken=first.token)
        assert last.json["summary"].get("nextPageToken", "-") == token


def test_text_is_quoted_whatever_it_holds() -> None:
    entry = SucceededItem('new"Type', "id", 'no "1"\n', "case")
    assert json.loads(shapes.success(entry, Dialect("G2")))["invoiceNumber"] == 'no "1"\n'
    assert json.loads(shapes.failure(FailedItem(0, '"', "\\"), "G3")) == {"invoiceNumber": '"', "message": "\\"}


def test_moments_and_days_are_those_of_greenwich() -> None:
    assert shapes.moment(1_566_742_522_123, "G3") == "2019-08-25T14:15:22.123Z"
    assert shapes.moment(1_566_742_522_000, "G2") == "2019-08-25T14:15:22.000Z"
    assert shapes.moment(1_566_742_522_123, "G1") == "2019-08-25T14:15:22Z"
    assert shapes.date(1_566_742_522_123) == "2019-08-25"
