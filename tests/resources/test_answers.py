"""What the resources make of single answers: scripted ones, since no server is to be relied on for such."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from aioresponses import aioresponses

from amili_async import (
    Accepted,
    AmiliClient,
    DecodeError,
    NewCorrection,
    NewInvoice,
    NewPayment,
    NotFoundError,
    OutcomeUnknownError,
    ServerError,
    decode,
    encode,
)
from tests.support.scripted_answers import BASE, ScriptedAnswers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CREATE = "POST /orgs/o/invoices"
INVOICE = NewInvoice(invoice_number="INV-1", original_invoice_amount=Decimal("4500.00"))


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedAnswers]:
    with aioresponses() as answers:
        async with AmiliClient("token", base_url=BASE, trust_env=False) as client:
            yield ScriptedAnswers(client, answers)


# Writes


@pytest.mark.parametrize(
    "body", ["{}", '{"data": {}}', '{"data": {"batchId": ""}}', "<html>", "", '{"data": {"batchId": "b']
)
async def test_a_202_without_a_readable_batch_id_is_an_unknown_outcome(scripted: ScriptedAnswers, body: str) -> None:
    scripted.answer(CREATE, body, status=202)
    with pytest.raises(OutcomeUnknownError) as caught:
        await scripted.client.invoices.create("o", [INVOICE], idempotency_key="k")
    assert (caught.value.status, caught.value.idempotency_key) == (202, "k")
    assert caught.value.recovery_hint is not None
    assert "invoices.find_outcome" in caught.value.recovery_hint
    assert scripted.requests == [("POST", "/orgs/o/invoices")]


@pytest.mark.parametrize(
    "body",
    [
        '{"batchId": "b-1"}',
        '{"batchId": "b-1", "x": 1}',
        '{"data": {"batchId": "b-1"}}',
        '{"data": {"batchId": "b-1"}, "summary": null}',
    ],
)
@pytest.mark.parametrize("resource", ["invoices", "payments", "corrections"])
async def test_a_create_is_taken_with_an_envelope_and_without(
    scripted: ScriptedAnswers, resource: str, body: str
) -> None:
    items: dict[str, object] = {
        "invoices": INVOICE,
        "payments": NewPayment(invoice_id="i", amount=Decimal(1)),
        "corrections": NewCorrection(invoice_id="i", amount=Decimal(1)),
    }
    scripted.answer(f"POST /orgs/o/{resource}", body, status=202)
    accepted = await getattr(scripted.client, resource).create("o", [items[resource]])
    assert (accepted.batch_id, accepted.organization_id) == ("b-1", "o")


async def test_a_batch_url_is_kept_and_not_followed(scripted: ScriptedAnswers) -> None:
    scripted.answer(CREATE, '{"data": {"batchId": "b", "batchUrl": "https://elsewhere.example/b"}}', status=202)
    assert await scripted.client.invoices.create("o", [INVOICE]) == Accepted(
        batch_id="b", batch_url="https://elsewhere.example/b", organization_id="o"
    )
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("summary", ["", ', "summary": null', ', "summary": {}', ', "summary": {"status": "SUCCESS"}'])
async def test_a_write_that_is_simply_taken_says_nothing_around_it(scripted: ScriptedAnswers, summary: str) -> None:
    scripted.answer(CREATE, f'{{"data": {{"batchId": "b"}}{summary}}}', status=202)
    accepted = await scripted.client.invoices.create("o", [INVOICE])
    assert accepted == Accepted(batch_id="b", organization_id="o")
    assert accepted.envelope_extra == {}


async def test_what_a_write_is_told_around_its_batch_is_kept_as_it_comes_once(scripted: ScriptedAnswers) -> None:
    data, summary = '{"batchId": "b", "x": 1}', '{"status": "PARTIAL", "skipped": 2}'
    body = f'{{"summary": {summary}, "warnings": [{{"fee": 1.10}}], "data": {data}}}'
    for _ in range(2):  # what was met is learnt, and read otherwise from then on
        scripted.answer(CREATE, body, status=202)
        accepted = await scripted.client.invoices.create("o", [INVOICE])
        assert accepted.envelope_extra == {
            "summary": {"status": "PARTIAL", "skipped": 2},
            "warnings": [{"fee": Decimal("1.10")}],
        }
        assert accepted.extra == {"x": 1}
        assert decode(encode(accepted), Accepted) == accepted == copy.deepcopy(accepted)
        assert len({accepted, decode(encode(accepted), Accepted)}) == 1
        assert "1.10" not in repr(accepted)


@pytest.mark.parametrize(
    ("body", "batch_id"),
    [
        ('{"data": {"batchId": "b"}}', "b"),
        ('{"batchId": "b"}', "b"),
        ('{"data": {"ok": true}}', None),
        ('{"summary": {}}', None),
        ("[]", None),
        ("", None),
    ],
)
async def test_an_action_may_name_a_batch(scripted: ScriptedAnswers, body: str, batch_id: str | None) -> None:
    scripted.answer("POST /orgs/o/invoices/i/resume", body, status=202)
    accepted = await scripted.client.invoices.resume("o", "i")
    assert accepted == (None if batch_id is None else Accepted(batch_id=batch_id, organization_id="o"))


@pytest.mark.parametrize("body", ["<html>", '{"data": {"batchId": "b'])
async def test_an_action_whose_answer_is_no_json_is_an_unknown_outcome(scripted: ScriptedAnswers, body: str) -> None:
    scripted.answer("POST /orgs/o/invoices/i/pause", body, status=202)
    with pytest.raises(OutcomeUnknownError) as caught:
        await scripted.client.invoices.pause("o", "i")
    assert caught.value.status == 202
    assert caught.value.recovery_hint == "invoices.get(organization_id, invoice_id) shows the invoice's status"


# Reads


async def test_an_answer_that_is_no_invoice(scripted: ScriptedAnswers) -> None:
    scripted.answer("GET /orgs/o/invoices/i", '{"data": {"number": 5}}')
    with pytest.raises(DecodeError, match=r"missing required field `id` at \$\.data") as caught:
        await scripted.client.invoices.get("o", "i")
    assert caught.value.body == b'{"data": {"number": 5}}'


async def test_rows_of_no_documented_shape_are_kept_exactly(scripted: ScriptedAnswers) -> None:
    scripted.answer("GET /orgs/o/invoices/i/history", '{"data": [1, {"at": 1.50}]}')
    rows = await scripted.client.invoices.history("o", "i").collect()
    assert [row.json for row in rows] == [1, {"at": Decimal("1.50")}]


@pytest.mark.filterwarnings("ignore::amili_async.UnconfirmedRouteWarning")
async def test_an_answer_that_is_no_json_is_text(scripted: ScriptedAnswers) -> None:
    scripted.answer("GET /health", "Healthy")
    assert (await scripted.client.status.health()).text == "Healthy"


@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (501, ServerError)])
@pytest.mark.parametrize("body", ["", "<html><title>Nei</title></html>", '{"detail": "Nei"}', "Nei"])
async def test_an_error_of_any_body_is_that_of_its_status(
    scripted: ScriptedAnswers, status: int, kind: type[Exception], body: str
) -> None:
    scripted.answer("GET /orgs/o/settlements/s", body, status=status)
    with pytest.raises(kind) as caught:
        await scripted.client.settlements.get("o", "s")
    assert getattr(caught.value, "detail", "") == ("Nei" if body else None)
    assert "Nei" not in str(caught.value)
