"""An OpenAPI document, written apart from the code: route table, fixtures, sandbox and client are held against it."""

from __future__ import annotations

import inspect
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from amili_async import (
    AmiliClient,
    AmiliError,
    APIError,
    NewCorrection,
    NewInvoice,
    NewPayment,
    OutcomeUnknownError,
    Pager,
    RetryPolicy,
)
from amili_async._routes import ROUTES
from tests.outside.openapi import API, DOCUMENT, OPERATIONS, Operation, faults
from tests.outside.prism import Prism, running_prism

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from amili_async.events import Drift
    from amili_async.sandbox import Sandbox
    from tests.support.factories import SandboxFactory

pytestmark = [pytest.mark.outside, pytest.mark.filterwarnings("ignore::amili_async.UnconfirmedRouteWarning")]

T = TypeVar("T")

ORGANIZATION = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
OTHER = "cfa69f56-2faf-4a1f-a011-1980d4e385b0"
FIXTURES = Path(__file__).parents[1] / "fixtures"
DYNAMIC = 10
"""Answers made up for each operation."""

BODIES: dict[str, tuple[object, ...]] = {
    "invoices.create": (
        [
            NewInvoice(
                type="NOTICE",
                invoice_number="INV-1",
                vat=True,
                fees=False,
                original_invoice_amount=Decimal("4500.00"),
                currency="NOK",
                invoice_date=date(2024, 1, 15),
                due_date=date(2024, 2, 15),
                collection_notice_date=None,
                unique_source_invoice_id="erp-1",
                description="Regning",
                extra={"kid": "1234567890"},
            )
        ],
    ),
    "payments.create": (
        [NewPayment(invoice_id=OTHER, type="DIRECT_PAYMENT", amount=Decimal("12.50"), currency="NOK")],
    ),
    "corrections.create": (
        [NewCorrection(invoice_id=OTHER, amount=Decimal(1), currency="NOK", date=date(2024, 1, 15), description="-")],
    ),
    "autocollect.send_batch": ({"batchid": "1", "case": []},),
    "autocollect.attachment": ("7",),
}
FILTERS: dict[str, object] = {
    "state": "PARTIAL",
    "status": "OPEN",
    "page_size": 5,
    "sort": "ASC",
    "include_closed": True,
    **dict.fromkeys(("from_date", "to_date", "from_created_at", "to_created_at", "remittance_date"), date(2024, 1, 15)),
}
"""What a filter is given that does not take just any text."""


@pytest.fixture(scope="module")
def prism() -> Iterator[Prism]:
    """A server that knows the API from the document alone."""
    with running_prism() as server:
        yield server


async def first(pages: AsyncIterator[T]) -> AsyncIterator[T]:
    """Yield the first page alone: the token of an example leads to the same page for ever."""
    yield await anext(pages)


class Observed:
    """A client of Prism, and the drift that it told."""

    def __init__(self, prism: Prism) -> None:
        self.drift: list[Drift] = []
        self.client = AmiliClient("token", base_url=prism.url, autocollect_url=prism.url, hooks=[self])

    def on_drift(self, drift: Drift) -> None:
        self.drift.append(drift)

    async def call(self, operation: str, **headers: str) -> object:
        """Call an operation with all that it takes, and return what it answers: of a list its first page."""
        resource, _, name = operation.partition(".")
        method = getattr(getattr(self.client.with_options(headers=headers), resource), name)
        names = re.findall(r"\{(\w+)\}", API[operation].path)
        ids = [ORGANIZATION if each == "organization_id" else OTHER for each in names]
        takes = inspect.signature(method).parameters
        optional = [each for each in takes if takes[each].kind is inspect.Parameter.KEYWORD_ONLY]
        words = {each: FILTERS.get(each, "text") for each in optional if each not in NO_FILTERS}
        if "type" in words:
            words["type"] = "INVOICE" if resource == "batches" else "NOTICE"
        answer: object = method(*ids, *BODIES.get(operation, ()), **words)
        if inspect.isawaitable(answer) and not isinstance(answer, Pager):
            return await answer
        pager: Pager[object] = answer  # type: ignore[assignment]  # an operation of ours is the one or the other
        async with pager:
            return [page.items async for page in first(pager.pages())]


NO_FILTERS = {"prefetch", "limit", "cursor", "on_invalid", "json", "model"}
"""Options that do not go out as they are."""


@pytest.fixture
async def observed(prism: Prism) -> AsyncIterator[Observed]:
    seen = Observed(prism)
    async with seen.client:
        yield seen


def test_the_document_is_made_of_json_schemas() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for number, example in enumerate(schema.get("examples", ())):
            assert faults(schema, example) == [], (name, number)


def test_document_and_route_table_know_the_same_operations() -> None:
    written = {
        name: (each.method, each.path, set(each.query), each.mark, each.source, each.generations)
        for name, each in API.items()
    }
    coded = {
        name: (each.method, each.path, set(each.query), each.mark, each.source, each.generations)
        for name, each in ROUTES.items()
    }
    assert coded == written


def test_document_and_route_table_print_the_same_statuses() -> None:
    # Of what is only inferred nobody has printed any.
    documented = [name for name, each in API.items() if each.mark == "D"]
    assert {name: sorted(ROUTES[name].statuses) for name in documented} == {
        name: sorted(API[name].statuses) for name in documented
    }


@pytest.mark.parametrize(
    ("fixture", "schema"),
    [
        ("accepted", OPERATIONS["invoices.create"].answer(202)),
        ("autocollect_batch", OPERATIONS["autocollect.get_batch"].answer(200)),
        ("batch", OPERATIONS["batches.get"].answer(200)),
        ("batches_g1", OPERATIONS["batches.list"].answer(200)),
        ("cases", OPERATIONS["cases.list"].answer(200)),
        ("invoice", OPERATIONS["invoices.get"].answer(200)),
        ("settlements", OPERATIONS["settlements.list"].answer(200)),
        ("token", OPERATIONS["token"].answer(200)),
        ("invoices_create", {"$ref": "#/components/schemas/NewInvoiceList"}),
        ("payments_create", {"$ref": "#/components/schemas/NewPaymentList"}),
        ("corrections_create", {"$ref": "#/components/schemas/NewCorrectionList"}),
        ("webhook_batch_completed", {"$ref": "#/components/schemas/BatchCompleted"}),
        ("webhook_settlement_created", {"$ref": "#/components/schemas/SettlementCreated"}),
        ("webhook_case", {"$ref": "#/components/schemas/CaseCreated"}),
        ("webhook_case_updated", {"$ref": "#/components/schemas/CaseUpdated"}),
    ],
)
def test_what_the_public_pages_print_is_as_the_document_says(fixture: str, schema: dict[str, Any]) -> None:
    assert faults(schema, json.loads((FIXTURES / f"{fixture}.json").read_text("utf-8"))) == []


@pytest.mark.parametrize("operation", API)
async def test_the_documents_example_of_every_answer_is_read_with_nothing_left_over(
    observed: Observed, operation: str
) -> None:
    await observed.call(operation)
    assert observed.drift == []


@pytest.mark.parametrize("operation", [name for name, each in API.items() if each.method == "GET"])
async def test_any_answer_that_the_document_allows_is_read(observed: Observed, operation: str) -> None:
    for _ in range(DYNAMIC):
        await observed.call(operation, Prefer="dynamic=true")
    # Values of open enums and tags are made up, and so are the members of what no page shows.
    strange = [drift for drift in observed.drift if drift.kind not in ("value", "type")]
    assert strange == []


@pytest.mark.parametrize(
    ("operation", "status"),
    [(name, status) for name, each in API.items() for status in each.statuses if status >= 400],
)
async def test_every_status_that_is_printed_is_an_error_of_its_class(
    observed: Observed, operation: str, status: int
) -> None:
    observed.client = observed.client.with_options(retry=RetryPolicy(attempts=1))
    with pytest.raises(AmiliError) as failed:
        await observed.call(operation, Prefer=f"code={status}")
    error = failed.value.__cause__ if isinstance(failed.value, OutcomeUnknownError) else failed.value
    assert isinstance(error, APIError)
    assert error.status == status
    assert type(error).__name__ == CLASSES.get(status, "ServerError" if status >= 500 else "APIError")


CLASSES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableError",
    423: "LockedError",
    429: "RateLimitedError",
}


async def ask(
    session: aiohttp.ClientSession,
    sandbox: Sandbox,
    operation: Operation,
    ids: dict[str, str],
    *,
    token: str | None = None,
) -> tuple[int, str, bytes]:
    """Return status, content type and body of what a sandbox answers to an operation, asked without our client."""
    root = sandbox.base_url
    headers = {"Authorization": f"Bearer {sandbox.issue_token() if token is None else token}"}
    query: dict[str, str] = {}
    data: bytes | dict[str, str] | None = None
    if operation.name.startswith("autocollect."):
        root = sandbox.autocollect_url
    if operation.name == "autocollect.attachment":
        query = {"attachmentid": ids["attachment_id"]}
    if operation.name == "token":
        root = sandbox.token_url.removesuffix("/token")
        client_id, secret = sandbox.credentials
        data = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    elif operation.name in WIRE_BODIES:
        data = (FIXTURES / f"{WIRE_BODIES[operation.name]}.json").read_bytes()
        headers["Content-Type"] = next(iter(operation.definition["requestBody"]["content"]))
    url = root + re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], operation.path)
    async with session.request(operation.method, url, params=query, data=data, headers=headers) as response:
        return response.status, response.content_type, await response.read()


WIRE_BODIES = {
    "invoices.create": "invoices_create",
    "payments.create": "payments_create",
    "corrections.create": "corrections_create",
    "autocollect.send_batch": "autocollect_batch",
}


async def found_ids(session: aiohttp.ClientSession, sandbox: Sandbox) -> dict[str, str]:
    """Return ids of things that the sandbox has."""
    ids = {"organization_id": sandbox.organization_ids[0]}
    _, _, body = await ask(session, sandbox, API["autocollect.get_batch"], ids)
    events = [event for case in json.loads(body)["case"] for event in case["history"]]
    ids["attachment_id"] = next(event["attachmentid"] for event in events if event["attachmentid"])
    for plural, member, name in (
        ("batches", "batchId", "batch_id"),
        ("invoices", "id", "invoice_id"),
        ("cases", "caseId", "case_id"),
        ("settlements", "settlementId", "settlement_id"),
    ):
        _, _, body = await ask(session, sandbox, API[f"{plural}.list"], ids)
        # What is closed can be neither paused nor resumed.
        ids[name] = next(row[member] for row in json.loads(body)["data"] if row.get("status") != "CLOSED")
    return ids


@pytest.mark.parametrize("generation", ["G1", "G2", "G3"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_the_sandbox_answers_is_as_the_document_says(
    make_sandbox: SandboxFactory, operation: str, generation: str
) -> None:
    wanted = OPERATIONS[operation]
    sandbox = await make_sandbox(generation=generation, organizations=1, batches=30, entries=2, page_size=20)
    async with aiohttp.ClientSession() as session:
        ids = await found_ids(session, sandbox)
        if operation.endswith(".resume"):  # only what is paused can be
            await ask(session, sandbox, OPERATIONS[operation.replace("resume", "pause")], ids)
        status, content_type, body = await ask(session, sandbox, wanted, ids)
    if generation not in wanted.generations:
        assert status in (200, 202, 404)
        return
    assert status in wanted.statuses, body
    assert status < 400, body
    schema = wanted.answer(status)
    if schema is not None:
        assert content_type == "application/json"
        assert faults(schema, json.loads(body)) == []


async def test_the_sandboxs_refusals_have_statuses_that_the_document_prints(make_sandbox: SandboxFactory) -> None:
    sandbox = await make_sandbox(organizations=1, batches=2)
    ids: dict[str, str] = dict.fromkeys(
        ("organization_id", "batch_id", "invoice_id", "case_id", "settlement_id"), "no-such-thing"
    )
    async with aiohttp.ClientSession() as session:
        for operation in API.values():
            if "{" not in operation.path or operation.mark != "D" or "G3" not in operation.generations:
                continue
            status, _, _ = await ask(session, sandbox, operation, ids)
            assert status in (*operation.statuses, 404), operation.name
            own = {**ids, "organization_id": sandbox.organization_ids[0]}
            status, _, _ = await ask(session, sandbox, operation, own, token="another")
            assert status == 401, operation.name
