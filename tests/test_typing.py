"""What type checkers make of the public API: mypy and pyright read this module, and it runs as well."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, assert_type

import pytest

from amili_async import (
    Accepted,
    AmiliClient,
    Batch,
    BulkWrite,
    Case,
    ChunkOutcome,
    Cursor,
    FailedEntry,
    Invoice,
    NewInvoice,
    NewPayment,
    NotSeen,
    Page,
    Pager,
    RawValue,
    RetryPolicy,
    Settlement,
    Stream,
    SucceededEntry,
    Timeout,
    TookEffect,
)
from amili_async.events import CallEnded, CallStarted, Drift, QuarantinedRow
from amili_async.resources import Batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amili_async.sandbox import Sandbox


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 1, "batches": 3, "entries": 1, "finish_after": 0.0}


async def test_lists_hand_out_what_they_are_of(client: AmiliClient, organization: str) -> None:
    assert_type(client.batches, Batches)
    pager = client.batches.list(organization, state="PARTIAL")
    assert_type(pager, Pager[Batch])
    assert_type(pager.cursor, Cursor)
    assert_type(await pager.first(), Batch | None)
    assert_type(await client.invoices.list(organization).collect(), list[Invoice])
    assert_type(client.cases.list(organization), Pager[Case])
    assert_type(client.settlements.list(organization), Pager[Settlement])
    assert_type(client.invoices.payments(organization, "i"), Pager[RawValue])
    async for batch in client.batches.list(organization):
        assert_type(batch, Batch)
        assert_type(batch.succeeded, tuple[SucceededEntry, ...])
        assert_type(batch.failed, tuple[FailedEntry, ...])
    async with client.batches.list(organization) as rows:
        async for page in rows.pages():
            assert_type(page, Page[Batch])
            assert_type(page.items, tuple[Batch, ...])
            assert_type(page.quarantined, tuple[QuarantinedRow, ...])
            assert_type(page.next_page_token, str | None)


async def test_streams_hand_out_pairs(client: AmiliClient, organization: str) -> None:
    assert_type(client.invoices.stream([organization]), Stream[tuple[str, Invoice]])
    async with client.batches.stream([organization]) as stream:
        assert_type(stream, Stream[tuple[str, Batch]])
        async for organization_id, batch in stream:
            assert_type(organization_id, str)
            assert_type(batch, Batch)


async def test_writes_are_of_what_they_send(client: AmiliClient, organization: str) -> None:
    invoice = NewInvoice(invoice_number="1", original_invoice_amount=Decimal(1))
    accepted = await client.invoices.create(organization, [invoice])
    assert_type(accepted, Accepted)
    assert_type(await client.batches.wait(accepted), Batch)
    assert_type(client.batches.wait_all([accepted, "b"]), Stream[Batch])
    async with client.invoices.create_all(organization, [invoice]) as writes:
        assert_type(writes, BulkWrite[NewInvoice])
        async for outcome in writes:
            assert_type(outcome, ChunkOutcome[NewInvoice])
            assert_type(outcome.items, tuple[NewInvoice, ...])
            assert_type(outcome.accepted, Accepted | None)
    found = await client.invoices.find_outcome(organization, [invoice], deadline=0.01)
    assert_type(found, TookEffect[NewInvoice] | NotSeen)
    if isinstance(found, TookEffect):
        assert_type(found.batch, Batch | None)
        assert_type(found.missing, tuple[NewInvoice, ...])
    else:
        assert_type(found.places, tuple[str, ...])
    if TYPE_CHECKING:
        payments: list[NewPayment] = []
        client.invoices.create_all(organization, payments)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # of another kind


async def test_a_request_gives_bytes_or_what_was_asked_for(client: AmiliClient, organization: str) -> None:
    path = f"/orgs/{organization}/batches"
    assert_type(await client.request("GET", path), bytes)
    assert_type(await client.request("GET", path, type=list[Batch]), list[Batch] | None)  # an answer may have no body


async def test_a_copy_is_of_its_class_and_options_are_checked(sandbox: Sandbox) -> None:
    class Mine(AmiliClient):
        """A client of a user's own."""

    async with Mine(sandbox.credentials, base_url=sandbox.base_url, token_url=sandbox.token_url) as mine:
        assert_type(mine, Mine)
        assert_type(mine.with_options(deadline=None, timeout=Timeout(total=3), retry=RetryPolicy(attempts=2)), Mine)
    if TYPE_CHECKING:
        mine.with_options(deadlin=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # a typo
        AmiliClient.from_env(concurency=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # a typo


async def test_a_hook_is_any_object_with_some_of_the_methods(sandbox: Sandbox) -> None:
    seen: list[str] = []

    class Own:
        def on_call_start(self, record: CallStarted) -> Mapping[str, str] | None:
            assert_type(record.operation, str)
            return {"X-Trace": record.operation}

        def on_call(self, record: CallEnded) -> None:
            assert_type(record.status, int | None)
            seen.append(record.operation)

        def on_drift(self, record: Drift) -> None:
            assert_type(record.path, str)

    async with AmiliClient(
        sandbox.credentials, base_url=sandbox.base_url, token_url=sandbox.token_url, hooks=[Own()]
    ) as client:
        await client.batches.list(sandbox.organization_ids[0]).first()
    assert seen == ["batches.list"]


class MyBatch(Batch, frozen=True, kw_only=True):
    """A batch with a member that this package does not name."""

    priority: int | None = None


class MyInvoice(Invoice, frozen=True, kw_only=True):
    """An invoice with a member that this package does not name."""

    kid: str | None = None


async def test_reads_hand_out_the_model_that_was_asked_for(client: AmiliClient, organization: str) -> None:
    assert_type(client.batches.list(organization, model=MyBatch), Pager[MyBatch])
    assert_type(client.invoices.list(organization, model=MyInvoice), Pager[MyInvoice])
    batches = await client.batches.list(organization, model=MyBatch).collect()
    assert_type(batches[0].priority, int | None)
    one = await client.batches.get(organization, batches[0].batch_id, model=MyBatch)
    assert_type(one, MyBatch)


async def test_streams_and_waits_hand_out_the_model_that_was_asked_for(client: AmiliClient, organization: str) -> None:
    assert_type(client.batches.stream([organization], model=MyBatch), Stream[tuple[str, MyBatch]])
    assert_type(client.invoices.stream([organization], model=MyInvoice), Stream[tuple[str, MyInvoice]])
    assert_type(client.cases.stream([organization]), Stream[tuple[str, Case]])
    assert_type(client.settlements.stream([organization]), Stream[tuple[str, Settlement]])
    accepted = await client.invoices.create(
        organization, [NewInvoice(invoice_number="1", original_invoice_amount=Decimal(1))]
    )
    assert_type(client.batches.watch(accepted), Stream[Batch])
    assert_type(client.batches.watch(accepted, model=MyBatch), Stream[MyBatch])
    assert_type(client.batches.wait_all([accepted], model=MyBatch), Stream[MyBatch])
    done = await client.batches.wait(accepted, model=MyBatch)
    assert_type(done, MyBatch)
    assert_type(done.priority, int | None)
