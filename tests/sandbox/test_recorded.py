"""A recording of a server, made by a probe and served by the sandbox, has the server's shapes and answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, NotFoundError
from amili_async.errors import BadRequestError
from amili_async.probe import Recorder, probe
from amili_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A recording of a server of the oldest generation."""
    recorded = tmp_path / "recorded"
    async with (
        Sandbox(organizations=1, batches=130, entries=1, generation="G1") as server,
        AmiliClient(server.issue_token(), base_url=server.base_url) as client,
    ):
        await probe(client, server.organization_ids[0], recorder=Recorder(recorded))
    return recorded


async def test_what_was_recorded_is_served_as_it_was_with_other_values(folder: Path) -> None:
    async with (
        Sandbox(recorded=folder, generation="G1") as sandbox,
        AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client,
    ):
        (organization_id,) = sandbox.organization_ids
        batches = await client.batches.list(organization_id).collect()
        assert len(batches) == 130
        assert len({batch.batch_id for batch in batches}) == 130
        assert {batch.organization_id for batch in batches} == {organization_id}
        assert all(batch.legacy_status is not None for batch in batches)
        assert (await client.batches.get_by_id(batches[0].batch_id)).batch_id == batches[0].batch_id
        profile = await probe(client, organization_id)
    assert profile.generation == "G1"


async def test_an_object_that_was_never_asked_about_is_not_answered_with_another(tmp_path: Path) -> None:
    async with (
        Sandbox(organizations=1, batches=3, entries=1) as server,
        AmiliClient(server.issue_token(), base_url=server.base_url) as client,
    ):
        await probe(client, server.organization_ids[0], recorder=Recorder(tmp_path / "recorded"))
    async with (
        Sandbox(recorded=tmp_path / "recorded") as sandbox,
        AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client,
    ):
        (organization_id,) = sandbox.organization_ids
        first, second, *_ = await client.batches.list(organization_id).collect()
        assert (await client.batches.get(organization_id, first.batch_id)).batch_id == first.batch_id
        with pytest.raises(NotFoundError):
            await client.batches.get(organization_id, second.batch_id)


async def test_what_was_not_recorded_is_said_so(folder: Path) -> None:
    async with (
        Sandbox(recorded=folder, generation="G1") as sandbox,
        AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client,
    ):
        (organization_id,) = sandbox.organization_ids
        with pytest.raises(NotFoundError) as missing:
            await client.invoices.payments(organization_id, "x").collect()
        assert missing.value.detail is not None
        assert "nothing was recorded of invoices.payments" in missing.value.detail
        with pytest.raises(BadRequestError):
            await client.batches.list(organization_id, page_token="another").first()


async def test_amounts_keep_their_digits_and_text_is_text(tmp_path: Path) -> None:
    recorded = {"operation": "settlements.list", "ids": ["org"], "status": 200, "json": {"data": [{"amount": 0.10}]}}
    (tmp_path / "1.json").write_text(json.dumps(recorded).replace("0.1", "4500.00"), "utf-8")
    page = {"operation": "cases.list", "ids": ["org"], "status": 502, "text": "<html>æ</html>"}
    (tmp_path / "2.json").write_text(json.dumps(page), "utf-8")
    async with (
        Sandbox(recorded=tmp_path) as sandbox,
        AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url) as client,
    ):
        body = await client.request("GET", "/orgs/org/settlements")
        assert body == b'{"data":[{"amount":4500.00}]}'
        with pytest.raises(Exception, match="502"):
            await client.request("GET", "/orgs/org/cases", repeatable=False)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"operation": "no.such", "status": 200, "json": {}}'])
def test_a_folder_that_is_no_recording_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "1.json").write_text(text, "utf-8")
    with pytest.raises(ValueError, match="recorded: "):
        Sandbox(recorded=tmp_path)
