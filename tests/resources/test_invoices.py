"""Invoices: sent once, whole and exactly; listed, read, acted on, downloaded."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import (
    AmiliClient,
    BadRequestError,
    BatchState,
    ConfigurationError,
    InvalidArgumentError,
    Invoice,
    NewInvoice,
    NotFoundError,
    OutcomeUnknownError,
    RawValue,
    encode,
)
from amili_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def new(number: int, **members: Any) -> NewInvoice:
    return NewInvoice(
        type="NOTICE",
        invoice_number=f"INV-{number}",
        original_invoice_amount=Decimal("4500.00"),
        currency="NOK",
        invoice_date=date(2024, 1, 15),
        due_date=date(2024, 2, 15),
        unique_source_invoice_id=f"erp-{number}",
        **members,
    )


async def first_invoice(client: AmiliClient, organization: str) -> Invoice:
    invoice = await client.invoices.list(organization).first()
    assert invoice is not None
    return invoice


# Creating


async def test_invoices_are_sent_as_one_write_and_become_a_batch(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    invoices = [new(1, extra={"debtor": {"firstName": "Kari"}}), new(2)]
    accepted = await client.invoices.create(organization, invoices, idempotency_key="erp-4711")
    request = sandbox.requests.last()
    assert request.body == b'{"invoices":[' + b",".join(map(encode, invoices)) + b"]}"
    assert request.headers["idempotencykey"] == "erp-4711"
    assert request.headers["content-type"] == "application/json"
    assert accepted.organization_id == organization
    batch = await client.batches.wait(accepted)
    assert batch.batch_id == accepted.batch_id
    assert batch.state is BatchState.SUCCESS
    assert len(batch.succeeded) == 2
    listed = await client.invoices.list(organization, unique_source_invoice_id="erp-2").collect()
    assert [invoice.invoice_number for invoice in listed] == ["INV-2"]


async def test_without_a_key_no_key_is_sent(client: AmiliClient, sandbox: Sandbox, organization: str) -> None:
    await client.invoices.create(organization, (new(1),))
    assert "idempotencykey" not in sandbox.requests.last().headers


@pytest.mark.parametrize(
    ("invoices", "why"),
    [
        ([], "invoices must hold at least one NewInvoice"),
        (new(1), r"invoices must be several, such as \[NewInvoice\(...\)\], not one NewInvoice"),
        ([new(1), {"invoiceNumber": "2"}], r"^invoices\[1\] must be a NewInvoice\(...\), not dict$"),
        ([None, "INV-1"], r"^invoices\[0\] must be .* not None; invoices\[1\] must be .* not str"),
        ("INV-1", "invoices must be a list of NewInvoice, not str"),
        ({}, "invoices must be a list of NewInvoice, not dict"),
        (5, "invoices must be a list of NewInvoice, not int"),
    ],
)
async def test_what_holds_no_invoices_is_refused_before_anything_is_sent(
    client: AmiliClient, sandbox: Sandbox, organization: str, invoices: Any, why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        await client.invoices.create(organization, invoices)
    assert len(sandbox.requests) == 0


async def test_a_write_that_was_sent_and_not_answered_is_not_repeated(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add(Fault("invoices.create", "close", acts=True))
    with pytest.raises(OutcomeUnknownError):
        await client.invoices.create(organization, [new(1)])
    assert sandbox.requests.count("invoices.create") == 1


# Creating in bulk


async def numbered(count: int) -> AsyncIterator[NewInvoice]:
    for number in range(count):
        yield new(number)


async def test_a_stream_of_invoices_is_sent_in_chunks_with_an_outcome_for_each(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add(Fault("invoices.create", status=400, body="{}", count=1, skip=1))
    outcomes = [
        outcome
        async for outcome in client.invoices.create_all(
            organization, numbered(7), chunk_size=3, concurrency=1, idempotency_prefix="erp-7"
        )
    ]
    assert [outcome.idempotency_key for outcome in outcomes] == ["erp-7-0", "erp-7-1", "erp-7-2"]
    assert [len(outcome.items) for outcome in outcomes] == [3, 3, 1]
    assert [type(outcome.error) for outcome in outcomes] == [type(None), BadRequestError, type(None)]
    assert [outcome.accepted is None for outcome in outcomes] == [False, True, False]
    assert outcomes[1].items == tuple([new(number) for number in range(3, 6)])
    sent = [request.headers["idempotencykey"] for request in sandbox.requests.of("invoices.create")]
    assert sent == ["erp-7-0", "erp-7-1", "erp-7-2"]


async def test_leaving_a_bulk_write_early_sends_no_more(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add("invoices.create:latency=5ms")
    async with client.invoices.create_all(organization, numbered(100), chunk_size=1, concurrency=2) as outcomes:
        first = await anext(outcomes)
    assert sandbox.requests.count("invoices.create") <= 4
    assert sandbox.requests.under_way("invoices.create") == 0
    known = [first, *outcomes.unread]
    assert len(known) == sandbox.requests.count("invoices.create")
    assert all(outcome.accepted for outcome in known)


async def test_no_more_writes_are_under_way_than_asked_for(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add("invoices.create:latency=50ms")
    outcomes = await client.invoices.create_all(organization, numbered(12), chunk_size=1, concurrency=3).collect()
    assert all(outcome.accepted for outcome in outcomes)
    assert sandbox.requests.overlapping("invoices.create") == 3


async def test_what_cannot_be_sent_is_the_error_of_its_chunk_and_keeps_no_other(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add("invoices.create:latency=10ms")
    spoilt: Any = {"inner": {}}
    bad = new(2, extra=spoilt)
    spoilt["inner"]["later"] = object()
    invoices = [new(1), bad, new(3), new(4)]
    outcomes = await client.invoices.create_all(organization, invoices, chunk_size=1).collect()
    errors = {outcome.index: str(outcome.error) for outcome in outcomes if outcome.error is not None}
    assert errors == {
        1: "invoices[0]: extra.inner.later is of the kind object: pass text, exact numbers, True, False, None, "
        "lists and dicts"
    }
    assert sandbox.requests.count("invoices.create") == 3


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1"),
        ({"concurrency": 0}, "concurrency must be a whole number of at least 1"),
        ({"idempotency_prefix": "a\nb"}, "idempotency_prefix must be one line"),
    ],
)
def test_a_bulk_write_s_settings_are_checked_at_once(
    client: AmiliClient, organization: str, settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        client.invoices.create_all(organization, [], **settings)


@pytest.mark.parametrize("one", [new(1), "INV-1", {"invoiceNumber": "1"}, None])
def test_a_bulk_write_of_one_invoice_is_refused_at_once(client: AmiliClient, organization: str, one: Any) -> None:
    with pytest.raises(ConfigurationError, match="invoices must be several NewInvoice: an iterable or an async"):
        client.invoices.create_all(organization, one)


def test_a_bulk_write_for_no_organization_is_refused_at_once(client: AmiliClient) -> None:
    with pytest.raises(ConfigurationError, match="organization_id must be an id"):
        client.invoices.create_all("", [new(1)])


async def test_what_is_no_invoice_in_a_bulk_write_is_its_chunk_s_error(client: AmiliClient, organization: str) -> None:
    mixed: Any = [new(1), "INV-2", new(3)]
    outcomes = [outcome async for outcome in client.invoices.create_all(organization, mixed, chunk_size=1)]
    errors = {outcome.index: type(outcome.error) for outcome in outcomes}
    assert errors == {0: type(None), 1: InvalidArgumentError, 2: type(None)}


# Reading


async def test_a_page_is_read_and_a_walk_goes_on(client: AmiliClient, sandbox: Sandbox, organization: str) -> None:
    everything = await client.invoices.list(organization).collect()
    assert len(everything) > 5
    assert all(isinstance(invoice, Invoice) and invoice.created_at for invoice in everything)
    pager = client.invoices.list(organization, limit=3)
    assert await pager.collect() == everything[:3]
    assert await client.invoices.list(organization, cursor=pager.cursor).collect() == everything[3:]
    sandbox.requests.clear()
    assert await client.invoices.list(organization, limit=1, prefetch=False).collect() == everything[:1]


async def test_a_moment_without_a_zone_is_refused_before_anything_is_sent(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    with pytest.raises(ConfigurationError, match="from_date has no time zone"):
        client.invoices.list(organization, from_date=datetime(2024, 1, 15))  # noqa: DTZ001  # what is refused
    assert len(sandbox.requests) == 0


async def test_dates_narrow_a_list(client: AmiliClient, organization: str) -> None:
    everything = await client.invoices.list(organization).collect()
    middle = sorted(invoice.created_at or datetime.min.replace(tzinfo=UTC) for invoice in everything)[
        len(everything) // 2
    ]
    later = await client.invoices.list(organization, from_date=middle).collect()
    earlier = await client.invoices.list(organization, to_date=middle).collect()
    assert 0 < len(later) < len(everything)
    assert 0 < len(earlier) < len(everything)


async def test_a_single_invoice(client: AmiliClient, organization: str) -> None:
    invoice = await first_invoice(client, organization)
    assert await client.invoices.get(organization, invoice.id) == invoice
    with pytest.raises(NotFoundError):
        await client.invoices.get(organization, "4f163819-178d-470c-a246-d6768476a6ec")


@pytest.mark.amili(generation="G1")
async def test_what_is_listed_under_an_invoice_has_no_documented_shape(client: AmiliClient, organization: str) -> None:
    invoice = await first_invoice(client, organization)
    for method in (client.invoices.payments, client.invoices.documents, client.invoices.history):
        rows = await method(organization, invoice.id).collect()
        assert all(isinstance(row, RawValue) and json.loads(row.raw) for row in rows)
    assert await client.invoices.documents(organization, invoice.id).collect()


# Acting


@pytest.mark.amili(generation="G1")
async def test_actions_that_are_answered_without_a_body_give_none(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    invoice = next(
        each for each in await client.invoices.list(organization, status="OPEN").collect() if each.status == "OPEN"
    )
    assert await client.invoices.pause(organization, invoice.id) is None
    assert (await client.invoices.get(organization, invoice.id)).status == "PAUSED"
    assert await client.invoices.resume(organization, invoice.id) is None
    with pytest.raises(BadRequestError):
        await client.invoices.resume(organization, invoice.id)
    assert await client.invoices.withdraw(organization, invoice.id) is None
    assert all(request.body == b"" for request in sandbox.requests.of("invoices.pause"))


# Downloading


@pytest.mark.amili(generation="G1")
async def test_a_download_is_the_answer_byte_for_byte(
    client: AmiliClient, sandbox: Sandbox, organization: str, tmp_path: Path
) -> None:
    sandbox.faults.add(Fault("invoices.documents", status=200, body="%PDF-1.4 æ", content_type="application/pdf"))
    path = await client.invoices.download(organization, "i", tmp_path / "invoice.pdf")
    assert path == tmp_path / "invoice.pdf"
    assert path.read_text("utf-8") == "%PDF-1.4 æ"
    assert sandbox.requests.last().headers["accept"] == "*/*"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.amili(generation="G1")
async def test_a_download_that_fails_leaves_what_was_there(
    client: AmiliClient, sandbox: Sandbox, organization: str, tmp_path: Path
) -> None:
    (tmp_path / "invoice.pdf").write_text("before", "utf-8")
    sandbox.faults.add(Fault("invoices.documents", status=404, body="{}"))
    with pytest.raises(NotFoundError):
        await client.invoices.download(organization, "i", tmp_path / "invoice.pdf")
    assert [path.read_text("utf-8") for path in tmp_path.iterdir()] == ["before"]


async def test_a_download_into_nowhere_sends_nothing(
    client: AmiliClient, sandbox: Sandbox, organization: str, tmp_path: Path
) -> None:
    for path in (tmp_path, tmp_path / "no folder" / "invoice.pdf"):
        with pytest.raises(ConfigurationError, match="path"):
            await client.invoices.download(organization, "i", path)
    assert len(sandbox.requests) == 0
