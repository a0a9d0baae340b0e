"""Batches: the filters that lists and streams send, and single batches of every generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from amili_async import (
    AmiliClient,
    BatchState,
    BatchType,
    ConfigurationError,
    DecodeError,
    NotFoundError,
    QuarantinedRow,
)

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox

FILTERS: dict[str, Any] = {"state": BatchState.PARTIAL, "type": BatchType.INVOICE, "page_size": 2, "sort": "ASC"}
SENT = {"State": "PARTIAL", "Type": "INVOICE", "PageSize": "2", "SortDirection": "ASC"}
G3_FILTERS: dict[str, Any] = {**FILTERS, "subject_id": "s/1"}
G3_SENT = {**SENT, "SubjectId": "s/1"}


def sent(sandbox: Sandbox) -> list[dict[str, str]]:
    """Return the filters of all requests."""
    return [
        {name: value for name, value in request.query.items() if name != "PageToken"} for request in sandbox.requests
    ]


async def test_a_list_sends_its_filters_with_every_page(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    await client.batches.list(organization, sort="ASC", page_size=3).collect()
    assert sent(sandbox) == [{"PageSize": "3", "SortDirection": "ASC"}] * 3


async def test_a_stream_sends_its_filters_for_every_organization(client: AmiliClient, sandbox: Sandbox) -> None:
    _ = [batch async for batch in client.batches.stream(sandbox.organization_ids, **G3_FILTERS)]
    assert {request.path for request in sandbox.requests} == {
        f"/collection/v1/orgs/{organization}/batches" for organization in sandbox.organization_ids
    }
    assert all(query == G3_SENT for query in sent(sandbox))


async def test_a_filter_narrows_what_comes(client: AmiliClient, sandbox: Sandbox, organization: str) -> None:
    everything = await client.batches.list(organization).collect()
    partial = await client.batches.list(organization, state="PARTIAL").collect()
    assert partial == [batch for batch in everything if batch.state == "PARTIAL"]
    streamed = [batch async for _, batch in client.batches.stream([organization], state="PARTIAL")]
    assert streamed == partial
    assert await client.batches.list(organization, sort="ASC").collect() == everything[::-1]
    assert sandbox.requests.count("batches.list") > 4


async def test_a_stream_does_with_bad_rows_what_it_is_told(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add("batches.list:bad-row,page=1,row=0")
    rows: list[QuarantinedRow] = []
    streamed = [batch async for _, batch in client.batches.stream([organization], on_invalid=rows.append)]
    assert (len(streamed), len(rows)) == (7, 1)
    skipping = client.with_options(on_invalid="skip")
    assert len([batch async for _, batch in skipping.batches.stream([organization])]) == 7
    with pytest.raises(DecodeError):
        _ = [batch async for _, batch in skipping.batches.stream([organization], on_invalid="raise")]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"state": ""}, "state"),
        ({"type": 7}, "type"),
        ({"subject_id": ""}, "subject_id"),
        ({"idempotency_key": b"k"}, "idempotency_key"),
        ({"page_size": 0}, "page_size"),
        ({"sort": ""}, "sort"),
        ({"limit": -1}, "limit"),
        ({"on_invalid": "ignore"}, "on_invalid"),
    ],
    ids=str,
)
async def test_an_option_that_cannot_be_right_is_refused_by_name_before_anything_is_sent(
    client: AmiliClient, sandbox: Sandbox, organization: str, given: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must (be|not be empty)"):
        client.batches.list(organization, **given)
    assert sandbox.requests.total == 0


@pytest.mark.parametrize("organization_id", ["", " ", ".", "..", None, 7])
async def test_an_organization_that_cannot_be_is_refused_by_name(client: AmiliClient, organization_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="organization_id must be"):
        client.batches.list(organization_id)


@pytest.mark.amili(generation="G1")
async def test_an_older_server_lists_the_batches_of_all_organizations(client: AmiliClient, sandbox: Sandbox) -> None:
    batches = await client.batches.list_all(**FILTERS).collect()
    assert all(query == SENT for query in sent(sandbox))
    assert batches
    everything = await client.batches.list_all().collect()
    assert {batch.organization_id for batch in everything} == {*sandbox.organization_ids}
    assert len(everything) == 24


@pytest.mark.parametrize(
    "generation", [pytest.param(name, marks=pytest.mark.amili(generation=name)) for name in ("G1", "G2", "G3")]
)
async def test_a_batch_is_found_by_its_id(client: AmiliClient, organization: str, generation: str) -> None:
    listed = await client.batches.list(organization).first()
    assert listed is not None
    found = await client.batches.get_by_id(listed.batch_id)
    assert (found, found.organization_id) == (listed, organization)
    if generation == "G3":
        assert await client.batches.get(organization, listed.batch_id) == listed


async def test_a_batch_of_another_organization_is_not_found(client: AmiliClient, sandbox: Sandbox) -> None:
    one, other, *_ = sandbox.organization_ids
    batch = await client.batches.list(one).first()
    assert batch is not None
    with pytest.raises(NotFoundError):
        await client.batches.get(other, batch.batch_id)
