"""What OpenAPI says of an app whose routes are annotated with models, and how bodies are read as them."""

from __future__ import annotations

import json
from typing import Any, assert_type

import httpx
import pytest
from fastapi import FastAPI

from amili_async import AutoCollectBatch, Batch, Case, Invoice, NewCorrection, NewInvoice, NewPayment, Page, Settlement
from amili_async.integrations.fastapi import AmiliBody, AmiliResponse
from amili_async.integrations.json_schema import json_schema

app = FastAPI(title="Collections")


@app.get("/batch")
async def batch() -> AmiliResponse[Batch]:
    return AmiliResponse(Batch(batch_id="b"))


@app.get("/batches")
async def batches() -> AmiliResponse[Page[Batch]]:
    raise NotImplementedError


@app.get("/cases")
async def cases() -> AmiliResponse[list[Case]]:
    raise NotImplementedError


@app.get("/wrong")
async def wrong() -> AmiliResponse[Invoice]:
    return Invoice(id="i")  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # the slip that is told


@app.post("/invoices")
async def create(invoices: AmiliBody[list[NewInvoice]]) -> AmiliResponse[list[NewInvoice]]:
    assert_type(invoices, list[NewInvoice])
    return AmiliResponse(invoices)


@app.post("/settlement")
async def settle(settlement: AmiliBody[Settlement]) -> AmiliResponse[Settlement]:
    assert_type(settlement, Settlement)
    return AmiliResponse(settlement)


@app.post("/payment")
async def pay(payment: AmiliBody[NewPayment], correction: AmiliBody[NewCorrection]) -> AmiliResponse[AutoCollectBatch]:
    raise NotImplementedError


def browser() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://service")


async def post(path: str, body: str) -> httpx.Response:
    async with browser() as client:
        return await client.post(path, content=body, headers={"Content-Type": "application/json"})


async def described() -> Any:
    async with browser() as client:
        return (await client.get("/openapi.json")).json()


def answer_of(said: Any, path: str, method: str = "get") -> Any:
    return said["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]


async def test_every_model_of_a_route_is_described() -> None:
    said = await described()
    assert answer_of(said, "/batch") == {"$ref": "#/components/schemas/Batch"}
    assert answer_of(said, "/cases")["items"] == {"$ref": "#/components/schemas/Case"}
    page = answer_of(said, "/batches")["properties"]
    assert page["data"] == {"items": {"$ref": "#/components/schemas/Batch"}, "type": "array"}
    body = said["paths"]["/invoices"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["items"] == {"$ref": "#/components/schemas/NewInvoice"}


@pytest.mark.parametrize(
    "kind", [Batch, Case, Invoice, Settlement, AutoCollectBatch, NewInvoice, NewPayment, NewCorrection]
)
async def test_it_is_described_as_its_schema_says(kind: type) -> None:
    schema = json.loads(json.dumps(json_schema(kind)["$defs"]).replace("#/$defs/", "#/components/schemas/"))
    components = (await described())["components"]["schemas"]
    assert schema.keys() <= components.keys()
    for name, one in schema.items():
        assert components[name] == one


async def test_an_answer_is_sent_as_before() -> None:
    async with browser() as client:
        assert (await client.get("/batch")).json() == {"batchId": "b"}


async def test_a_model_that_is_returned_bare_says_what_to_return() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        with pytest.raises(Exception, match=r"the route must return AmiliResponse\(\.\.\.\), not Invoice"):
            await client.get("/wrong")


async def test_a_body_is_read_as_models_with_what_no_field_names_in_extra() -> None:
    sent = (
        '[{"invoiceNumber":"1","originalInvoiceAmount":4500.10,"dueDate":"2024-01-15","debtor":{"n":1.25},"kid":null}]'
    )
    answer = await post("/invoices", sent)
    assert (answer.status_code, answer.json()) == (200, json.loads(sent))
    received = '{"settlementId":"s","settlementDate":"2024-01-15T00:00:00Z","invoiceNumber":7,"net":1.50}'
    answer = await post("/settlement", received)
    assert (answer.status_code, answer.text) == (
        200,
        '{"settlementId":"s","settlementDate":"2024-01-15","invoiceNumber":7,"net":1.5}',
    )


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/invoices", "{}", "Input should be a valid list"),
        ("/invoices", "[7]", "NewInvoice must be an object"),
        ("/invoices", "[{}]", "NewInvoice: invoice_number and original_invoice_amount are missing"),
        (
            "/invoices",
            '[{"invoiceNumber":"","originalInvoiceAmount":-1,"dueDate":"x"}]',
            "invoice_number must not be empty; original_invoice_amount must be above zero; due_date is not ISO 8601",
        ),
        ("/invoices", '[{"invoiceNumber":"1","originalInvoiceAmount":1234567890123.4567}]', "more than 15 digits"),
        ("/invoices", '[{"invoiceNumber":"1","originalInvoiceAmount":1,"Due_Date":"x"}]', "which has a field"),
        (
            "/invoices",
            '[{"invoiceNumber":"1","originalInvoiceAmount":1,"x":' + "[" * 150 + "]" * 150 + "}]",
            "nested more than 100 deep",
        ),
        ("/settlement", '{"exchangeRate":"much"}', "the body does not fit: "),
        ("/settlement", "[]", "the body does not fit: Expected `object`, got `array` at $"),
    ],
)
async def test_a_body_that_cannot_be_right_is_422_and_says_why(path: str, body: str, says: str) -> None:
    answer = await post(path, body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"][0]["msg"]


@pytest.mark.parametrize("path", ["/invoices", "/settlement"])
async def test_a_body_that_was_not_sent_as_json_is_422_and_says_so(path: str) -> None:
    for kind in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        for body in (b'{"settlementId": "s"}', b"\xff"):
            async with browser() as client:
                answer = await client.post(path, content=body, headers=kind)
            assert answer.status_code == 422
            assert "give it the header Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/invoices", r'[{"invoiceNumber":"a\ud83d","originalInvoiceAmount":1}]'),
        ("/invoices", r'[{"invoiceNumber":"a","originalInvoiceAmount":1,"\ude00":[]}]'),
        ("/invoices", r'"\ud83d"'),
        ("/invoices", r'["\ud83d"]'),
        ("/settlement", r'{"settlementId":{"a":"\ud83d"}}'),
    ],
)
async def test_half_a_character_is_422_and_does_not_keep_the_refusal_from_being_sent(path: str, body: str) -> None:
    answer = await post(path, body)
    assert (answer.status_code, answer.json()["detail"]) == (422, "half a character is no text")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
async def test_what_is_no_json_though_python_reads_it_is_422(value: str) -> None:
    answer = await post("/invoices", f'[{{"invoiceNumber":"1","originalInvoiceAmount":{value}}}]')
    assert (answer.status_code, answer.json()["detail"]) == (422, "NaN and Infinity are no JSON")
    named = await post("/invoices", f'[{{"invoiceNumber":"{value}","originalInvoiceAmount":1}}]')
    assert named.status_code == 200
