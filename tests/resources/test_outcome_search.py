"""Finding out what became of a write says that it took effect, or that it was not seen: never that it did not."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aioresponses import aioresponses

from amili_async import (
    AmiliClient,
    BatchState,
    DeadlineExceededError,
    ForbiddenError,
    InvalidArgumentError,
    NewCorrection,
    NewInvoice,
    NewPayment,
    NotSeen,
    OutcomeUnknownError,
    TookEffect,
    encode,
)
from amili_async._clock import installed
from amili_async.models import Batch, FailedEntry, InvoiceSuccess
from amili_async.resources._outcome_search import AT_A_LOOK
from amili_async.sandbox import Fault, Sandbox, VirtualClock
from tests.support.reachable import leaks
from tests.support.scripted_answers import BASE
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

CREATE = "invoices.create"


def new(number: int, **members: Any) -> NewInvoice:
    given: dict[str, Any] = {"unique_source_invoice_id": f"erp-{number}", **members}
    return NewInvoice(
        invoice_number=f"INV-{number}",
        original_invoice_amount=Decimal(100),
        invoice_date=date(2026, 1, 15),
        due_date=date(2026, 2, 15),
        **given,
    )


@asynccontextmanager
async def served(clock: VirtualClock, **settings: Any) -> AsyncGenerator[tuple[AmiliClient, Sandbox, str]]:
    """Serve a sandbox on a clock without waiting, with a client and an organization of it."""
    given: dict[str, Any] = {"organizations": 1, "batches": 4, "entries": 1, "finish_after": None, **settings}
    with installed(clock):
        async with (
            Sandbox(clock=clock.time, **given) as sandbox,
            AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, trust_env=False) as client,
        ):
            yield client, sandbox, sandbox.organization_ids[0]


async def sent_and_not_answered(
    client: AmiliClient, sandbox: Sandbox, invoices: list[NewInvoice], key: str | None, *, arrives: bool
) -> OutcomeUnknownError:
    sandbox.faults.add(Fault(CREATE, "close", acts=arrives, count=1))
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.invoices.create(sandbox.organization_ids[0], invoices, idempotency_key=key)
    return caught.value


def test_a_write_is_found_by_its_key_with_the_batch_to_wait_for() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, organization):
            error = await sent_and_not_answered(client, sandbox, [new(1)], "erp-4711", arrives=True)
            assert error.recovery_hint is not None
            assert "invoices.find_outcome(organization_id, invoices, idempotency_key=...)" in error.recovery_hint
            assert "do not send it again" in str(error)
            outcome = await client.invoices.find_outcome(organization, [new(1)], idempotency_key=error.idempotency_key)
            assert isinstance(outcome, TookEffect)
            assert outcome.batch is not None
            assert (outcome.batch.state, outcome.missing) == (BatchState.QUEUED, ())
            assert repr(outcome) == "TookEffect(1 batches)"
            sandbox.finish(outcome.batch.batch_id, "SUCCESS")
            assert (await client.batches.wait(outcome.batch)).state is BatchState.SUCCESS
            assert sandbox.requests.count(CREATE) == 1

    run(main)


def test_a_write_that_was_sent_twice_shows_both_its_batches() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, organization):
            for _ in range(2):
                await sent_and_not_answered(client, sandbox, [new(1)], "k", arrives=True)
            outcome = await client.invoices.find_outcome(organization, [new(1)], idempotency_key="k")
            assert isinstance(outcome, TookEffect)
            assert len({batch.batch_id for batch in outcome.batches}) == 2

    run(main)


def test_a_write_that_is_not_seen_is_not_said_to_have_had_no_effect() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, organization):
            await sent_and_not_answered(client, sandbox, [new(1)], "k", arrives=False)
            begun = clock.monotonic()
            outcome = await client.invoices.find_outcome(organization, [new(1)], idempotency_key="k", deadline=90)
            assert isinstance(outcome, NotSeen)
            assert outcome.places == ("batches by idempotency key: none", "invoices by number: none")
            assert 85 <= outcome.seconds == clock.monotonic() - begun <= 90
            assert str(outcome) == (
                f"not seen in {outcome.seconds:.0f} s (batches by idempotency key: none; invoices by number: none). "
                "It may have taken effect all the same: ask Amili before sending it again"
            )
            assert sandbox.requests.count(CREATE) == 1

    run(main)


def test_without_a_key_it_is_seen_once_the_batch_has_been_worked_through() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock, finish_after=40.0) as (client, sandbox, organization):
            invoices = [new(1), new(2, unique_source_invoice_id=None)]
            await sent_and_not_answered(client, sandbox, invoices, None, arrives=True)
            outcome = await client.invoices.find_outcome(organization, [*invoices, new(3)])
            assert isinstance(outcome, TookEffect)
            assert [invoice.invoice_number for invoice in outcome.invoices] == ["INV-1", "INV-2"]
            assert outcome.missing == (new(3),)
            assert 40 <= outcome.seconds < 60
            assert outcome.batch is None
            assert repr(outcome) == "TookEffect(2 invoices found, 1 missing)"

    run(main)


def test_many_invoices_are_looked_for_some_at_a_look_and_all_of_them_in_the_end() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, organization):
            invoices = [new(number) for number in range(AT_A_LOOK * 4)]
            outcome = await client.invoices.find_outcome(organization, invoices, deadline=30)
            assert isinstance(outcome, NotSeen)
            asked = [request.query["UniqueSourceInvoiceId"] for request in sandbox.requests.of("invoices.list")]
            assert {*asked[: AT_A_LOOK * 2]} == {f"erp-{number}" for number in range(AT_A_LOOK * 2)}
            assert asked[-len(invoices) :] == [f"erp-{number}" for number in range(len(invoices))]
            await sent_and_not_answered(client, sandbox, invoices[-2:], None, arrives=True)
            (batch,) = await client.batches.list(organization, state="QUEUED", type="INVOICE", limit=1).collect()
            sandbox.finish(batch.batch_id, "SUCCESS")
            found = await client.invoices.find_outcome(organization, invoices)
            assert isinstance(found, TookEffect)
            assert len(found.invoices) == 2
            assert found.missing == tuple(invoices[:-2])

    run(main)


def test_an_outage_is_waited_out_and_one_without_end_proves_nothing() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, organization):
            await sent_and_not_answered(client, sandbox, [new(1)], "k", arrives=True)
            sandbox.faults.add(Fault("batches.list", status=500, body="{}", count=9))
            outcome = await client.invoices.find_outcome(organization, [new(1)], idempotency_key="k")
            assert isinstance(outcome, TookEffect)
            sandbox.faults.add("*:status=500,body={}")
            begun = clock.monotonic()
            with pytest.raises(DeadlineExceededError, match=r"nothing could be read in .* do not send it again"):
                await client.invoices.find_outcome(organization, [new(1)], idempotency_key="k", deadline=60)
            assert clock.monotonic() - begun <= 60
            sandbox.faults.clear()
            sandbox.faults.add("batches.list:status=403,body={}")
            with pytest.raises(ForbiddenError):
                await client.invoices.find_outcome(organization, [new(1)], idempotency_key="k")

    run(main)


def test_a_search_takes_no_longer_than_it_may() -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock) as (client, sandbox, organization):
            sandbox.faults.add(Fault("*", "hang"))
            begun = clock.monotonic()
            with pytest.raises(DeadlineExceededError):
                await client.invoices.find_outcome(organization, [new(1)], idempotency_key="k", deadline=20)
            assert clock.monotonic() - begun <= 20 + 1

    run(main)


@pytest.mark.parametrize("resource", ["payments", "corrections"])
def test_payments_and_corrections_are_found_by_the_key_of_their_write(resource: str) -> None:
    async def main(clock: VirtualClock) -> None:
        async with served(clock, finish_after=0.0) as (client, sandbox, organization):
            invoice = await client.invoices.list(organization).first()
            assert invoice is not None
            kind = NewPayment if resource == "payments" else NewCorrection
            items: Any = [kind(invoice_id=invoice.id, amount=Decimal(1))]
            of: Any = getattr(client, resource)
            sandbox.faults.add(Fault(f"{resource}.create", "close", acts=True))
            with pytest.raises(OutcomeUnknownError) as caught:
                await of.create(organization, items, idempotency_key="k")
            assert f"{resource}.find_outcome" in str(caught.value.recovery_hint)
            assert isinstance(await of.find_outcome(organization, items, idempotency_key="k"), TookEffect)
            other = await of.find_outcome(organization, items, idempotency_key="other", deadline=5)
            assert isinstance(other, NotSeen)
            assert other.places == ("batches by idempotency key: none",)

    run(main)


async def test_an_error_of_a_search_holds_nothing_of_what_was_looked_for(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("invoices.list:status=403,body={}", "batches.list:status=503,body={}")
    secret = new(1, unique_source_invoice_id="hidden-query", description="hidden-debtor")
    with pytest.raises(ForbiddenError) as caught:
        await client.invoices.find_outcome(sandbox.organization_ids[0], [secret], deadline=5)
    assert leaks(caught.value, {"query": "hidden-query", "debtor": "hidden-debtor"}) == []


# Servers whose lists do not know the filters


EVERY_BATCH = re.compile(rf"{re.escape(BASE)}/orgs/o/batches\?.*")
EVERY_INVOICE = re.compile(rf"{re.escape(BASE)}/orgs/o/invoices\?.*")


async def search(
    scripted: aioresponses, batches: list[Batch], invoices: bytes = b"[]", *, status: int = 200
) -> TookEffect[NewInvoice] | NotSeen:
    """Search on a server that answers any list of batches, and any of invoices, in one way."""
    body = b'{"data":' + encode(batches) + b"}"
    scripted.get(EVERY_BATCH, status=status, body=body, repeat=True)  # pyright: ignore[reportUnknownMemberType]  # half typed
    scripted.get(EVERY_INVOICE, body=b'{"data":' + invoices + b"}", repeat=True)  # pyright: ignore[reportUnknownMemberType]  # half typed
    async with AmiliClient("token", base_url=BASE) as client:
        return await client.invoices.find_outcome("o", [new(1), new(2)], idempotency_key="k", deadline=0.01)


async def test_batches_of_a_server_that_does_not_heed_the_filter_by_key_are_not_taken_for_the_write_s() -> None:
    others = [
        Batch(batch_id="b-1", succeeded=(InvoiceSuccess(invoice_id="i", invoice_number="INV-9"),)),
        Batch(batch_id="b-2", failed=(FailedEntry(b'{"invoiceNumber":"INV-1"}'),)),
    ]
    with aioresponses() as scripted:
        outcome = await search(scripted, others)
    assert isinstance(outcome, NotSeen)
    assert outcome.places == (
        "batches by idempotency key: this server does not heed the filter",
        "invoices by number: none",
    )


async def test_a_server_that_refuses_a_key_that_nobody_has_used_has_not_shown_that_it_heeds_the_filter() -> None:
    body = b'{"data":[{"batchId":"b-1"}]}'
    with aioresponses() as scripted:
        scripted.get(re.compile(r".*IdempotencyKey=k$"), body=body, repeat=True)  # pyright: ignore[reportUnknownMemberType]  # half typed
        scripted.get(EVERY_BATCH, status=400, repeat=True)  # pyright: ignore[reportUnknownMemberType]  # half typed
        scripted.get(EVERY_INVOICE, body=b'{"data":[]}', repeat=True)  # pyright: ignore[reportUnknownMemberType]  # half typed
        async with AmiliClient("token", base_url=BASE) as client:
            outcome = await client.invoices.find_outcome("o", [new(1)], idempotency_key="k", deadline=0.01)
    assert isinstance(outcome, NotSeen)
    assert outcome.places[0] == "batches by idempotency key: whether this server heeds the filter is not known"


async def test_a_batch_that_names_an_invoice_of_the_write_is_its_batch_all_the_same() -> None:
    own = Batch(batch_id="b-2", succeeded=(InvoiceSuccess(invoice_id="i", invoice_number="INV-2"),))
    with aioresponses() as scripted:
        outcome = await search(scripted, [Batch(batch_id="b-1"), own])
    assert isinstance(outcome, TookEffect)
    assert outcome.batches == (own,)


async def test_invoices_of_a_server_that_does_not_heed_the_filter_by_number_are_not_taken_for_the_write_s() -> None:
    with aioresponses() as scripted:
        outcome = await search(scripted, [], b'[{"id":"i-9","invoiceNumber":"INV-9"}]')
    assert isinstance(outcome, NotSeen)
    with aioresponses() as scripted:
        found = await search(
            scripted, [], b'[{"id":"i-9","invoiceNumber":"INV-9"},{"id":"i-2","invoiceNumber":"INV-2"}]'
        )
    assert isinstance(found, TookEffect)
    assert [invoice.id for invoice in found.invoices] == ["i-2"]
    assert found.missing == (new(1),)


@pytest.mark.parametrize(("status", "there"), [(400, "answered 400"), (422, "answered 422"), (501, "answered 501")])
async def test_a_server_that_refuses_the_filter_is_a_place_where_nothing_can_be_seen(status: int, there: str) -> None:
    with aioresponses() as scripted:
        outcome = await search(scripted, [], status=status)
    assert isinstance(outcome, NotSeen)
    assert outcome.places[0] == f"batches by idempotency key: {there}"


async def test_a_list_that_cannot_be_read_is_a_place_where_nothing_can_be_seen() -> None:
    with aioresponses() as scripted:
        outcome = await search(scripted, [], b'"none"')
    assert isinstance(outcome, NotSeen)
    assert outcome.places[1] == "invoices by number: an answer that cannot be read"


# What it is asked with


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"invoices": []}, "invoices must hold at least one NewInvoice"),
        ({"idempotency_key": ""}, "idempotency_key must be one line"),
        ({"organization_id": ""}, "organization_id must be an id"),
    ],
)
async def test_what_cannot_be_right_is_refused_at_once(
    client: AmiliClient, sandbox: Sandbox, arguments: Any, why: str
) -> None:
    given: dict[str, Any] = {"organization_id": "o", "invoices": [new(1)], **arguments}
    with pytest.raises(InvalidArgumentError, match=why):
        await client.invoices.find_outcome(**given)
    assert sandbox.requests.total == 0


@pytest.mark.parametrize("resource", ["payments", "corrections"])
async def test_without_a_key_payments_and_corrections_cannot_be_told_apart(client: AmiliClient, resource: str) -> None:
    kind = NewPayment if resource == "payments" else NewCorrection
    of: Any = getattr(client, resource)
    with pytest.raises(
        InvalidArgumentError, match=f"idempotency_key must be that of the write: {resource} made without"
    ):
        await of.find_outcome("o", [kind(invoice_id="i", amount=Decimal(1))], idempotency_key=None)
