"""The route table, the resources, the sandbox and the README know the same operations, by the same names."""

from __future__ import annotations

import inspect
import re
import warnings
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import (
    AmiliClient,
    ConfigurationError,
    NewCorrection,
    NewInvoice,
    NewPayment,
    NotFoundError,
    UnconfirmedRouteWarning,
    errors,
    resources,
)
from amili_async._routes import ROUTES
from amili_async.resources._base import Resource
from tests.support.documents import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from amili_async.sandbox import Sandbox
    from tests.support.factories import ClientFactory

README = text("amili_async")

NO_ROUTE_OF_THEIR_OWN = {
    "batches.stream",
    "batches.wait",
    "batches.wait_all",
    "batches.watch",
    "cases.stream",
    "corrections.create_all",
    "corrections.find_outcome",
    "invoices.create_all",
    "invoices.download",
    "invoices.find_outcome",
    "invoices.stream",
    "payments.create_all",
    "payments.find_outcome",
    "settlements.stream",
    "autocollect.download",
    "autocollect.with_basic",
}
"""Methods that call an operation which another method is named after."""

PAGING = {"PageToken": "page_token", "pageToken": "page_token"}

FILTERS: dict[str, tuple[str, object, str]] = {
    "State": ("state", "PARTIAL", "PARTIAL"),
    "Status": ("status", "OPEN", "OPEN"),
    "Type": ("type", "INVOICE", "INVOICE"),
    "SubjectId": ("subject_id", "s/1", "s/1"),
    "IdempotencyKey": ("idempotency_key", "k 1", "k 1"),
    "PageSize": ("page_size", 5, "5"),
    "pageSize": ("page_size", 5, "5"),
    "SortDirection": ("sort", "ASC", "ASC"),
    "InvoiceNumber": ("invoice_number", "n", "n"),
    "CaseNumber": ("case_number", "5", "5"),
    "UniqueSourceInvoiceId": ("unique_source_invoice_id", "u", "u"),
    "CustomerNumber": ("customer_number", "c", "c"),
    "SearchTerm": ("search_term", "Bjørn & Kari", "Bjørn & Kari"),
    "From": ("from_date", date(2024, 1, 15), "2024-01-15"),
    "To": ("to_date", "2024-02-15T01:00:00+01:00", "2024-02-15T00:00:00Z"),
    "fromDate": ("from_date", date(2024, 1, 15), "2024-01-15"),
    "toDate": ("to_date", "2024-02-15", "2024-02-15"),
    "FromCreatedAt": ("from_created_at", date(2024, 1, 15), "2024-01-15"),
    "ToCreatedAt": ("to_created_at", "2024-02-15", "2024-02-15"),
    "senderid": ("sender_id", "s", "s"),
    "creditorid": ("creditor_id", "c", "c"),
    "customerref": ("customer_ref", "c", "c"),
    "ledgerref": ("ledger_ref", "l", "l"),
    "includeclosed": ("include_closed", True, "true"),
    "lastsettlementid": ("last_settlement_id", "7", "7"),
    "remittancedate": ("remittance_date", date(2024, 1, 15), "2024-01-15"),
    "languagecode": ("language_code", "nb", "nb"),
}
"""Every query name with its argument, a value, and what that is on the wire."""

BODIES: dict[str, tuple[object, ...]] = {
    "invoices.create": ([NewInvoice(invoice_number="1", original_invoice_amount=Decimal(1))],),
    "payments.create": ([NewPayment(invoice_id="i", amount=Decimal(1))],),
    "corrections.create": ([NewCorrection(invoice_id="i", amount=Decimal(1))],),
    "autocollect.send_batch": ({"case": []},),
    "autocollect.attachment": ("a",),
}


def each(operations: Iterable[str], wanted: Callable[[str], bool] | None = None) -> list[Any]:
    """Return operations, or those of their query names that are wanted, each with a server that has it."""
    found: list[Any] = []
    for operation in operations:
        marks = pytest.mark.amili(generation=ROUTES[operation].generations[-1])
        names = [name for name in ROUTES[operation].query if wanted is not None and wanted(name)]
        found += [pytest.param(operation, name, marks=marks) for name in names]
        found += [] if wanted is not None else [pytest.param(operation, marks=marks)]
    return found


def method_of(client: AmiliClient, operation: str) -> Callable[..., Any]:
    resource, _, name = operation.partition(".")
    method: Callable[..., Any] = getattr(getattr(client, resource), name)
    return method


def ids_of(operation: str, sandbox: Sandbox) -> list[str]:
    names: list[str] = re.findall(r"\{(\w+)\}", ROUTES[operation].path)
    return [sandbox.organization_ids[0] if name == "organization_id" else f"no {name}" for name in names]


async def call(client: AmiliClient, sandbox: Sandbox, operation: str, **filters: object) -> None:
    """Call an operation's method as a user would, to where its request leads."""
    arguments = [*ids_of(operation, sandbox), *BODIES.get(operation, ())]
    result = method_of(client, operation)(*arguments, **filters)
    with suppress(NotFoundError):  # the ids are made up
        await (result if inspect.iscoroutine(result) else result.first())


def test_every_operation_has_a_method_and_every_method_an_operation(client: AmiliClient) -> None:
    methods = {
        f"{name}.{method}"
        for name in dir(client)
        if isinstance(resource := getattr(client, name), Resource)
        for method, _ in inspect.getmembers(type(resource), inspect.isfunction)
        if not method.startswith("_")
    }
    assert methods - NO_ROUTE_OF_THEIR_OWN == set(ROUTES)
    assert methods >= NO_ROUTE_OF_THEIR_OWN


METHODS = [
    method
    for kind in vars(resources).values()
    if isinstance(kind, type) and issubclass(kind, Resource)
    for name, method in inspect.getmembers(kind, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_every_method_says_what_a_caller_should_catch(method: Callable[..., Any]) -> None:
    said = (inspect.getdoc(method) or "").partition("Raises:\n")[2]
    names = re.findall(r"^ {4}(\w+): \S", said, re.MULTILINE)
    assert names
    assert all(hasattr(errors, name) or name == "OSError" for name in names), names


def test_the_readme_lists_every_operation_with_its_path_and_mark() -> None:
    rows = re.findall(r"^\| `(\w+\.\w+)` \| `(GET|POST) ([^`]+)` \| ([DIU]) \|", README, re.MULTILINE)
    assert rows == [(route.operation, route.method, route.path, route.mark) for route in ROUTES.values()]


@pytest.mark.filterwarnings("ignore::amili_async.UnconfirmedRouteWarning")
@pytest.mark.parametrize("operation", each(ROUTES))
async def test_every_method_calls_the_operation_that_it_is_named_after(
    client: AmiliClient, sandbox: Sandbox, operation: str
) -> None:
    await call(client, sandbox, operation)
    request = sandbox.requests.last()
    assert (request.operation, request.route) == (operation, ROUTES[operation].path)
    assert request.status in {*ROUTES[operation].statuses, 404}


@pytest.mark.filterwarnings("ignore::amili_async.UnconfirmedRouteWarning")
@pytest.mark.parametrize(
    ("operation", "name"),
    each(ROUTES, lambda name: name not in PAGING),
)
async def test_every_query_name_has_an_argument_and_its_exact_case(
    client: AmiliClient, sandbox: Sandbox, operation: str, name: str
) -> None:
    if name == "attachmentid":
        await call(client, sandbox, operation)
        assert sandbox.requests.last().query == {"attachmentid": "a"}
        return
    argument, value, written = FILTERS[name]
    if name == "Type" and not operation.startswith("batches"):
        value = written = "NOTICE"
    await call(client, sandbox, operation, **{argument: value})
    assert sandbox.requests.last().query == {name: written}


@pytest.mark.parametrize(
    ("operation", "name"),
    each(ROUTES, lambda name: name in PAGING),
)
async def test_every_list_starts_at_a_page_token_spelt_as_it_is_there(
    client: AmiliClient, sandbox: Sandbox, operation: str, name: str
) -> None:
    pager = method_of(client, operation)(*ids_of(operation, sandbox), page_token="a/b")  # a page token
    async with pager:
        with pytest.raises(Exception, match="400"):
            await pager.first()
    assert sandbox.requests.last().query == {name: "a/b"}


@pytest.mark.parametrize("operation", each([route.operation for route in ROUTES.values() if route.mark == "U"]))
async def test_a_guessed_path_warns_once_and_a_confirmed_one_is_called_without(
    make_client: ClientFactory, sandbox: Sandbox, operation: str
) -> None:
    client = make_client()
    with pytest.warns(UnconfirmedRouteWarning, match=f"{re.escape(operation)}: the path .* is a guess"):
        await call(client, sandbox, operation)
    with warnings.catch_warnings(action="error"):
        await call(client, sandbox, operation)
        await call(client.with_options(deadline=5.0), sandbox, operation)
    path = "/confirmed" + "".join(f"/{{{name}}}" for name in reversed(re.findall(r"\{(\w+)\}", ROUTES[operation].path)))
    confirmed = make_client(routes={operation: path})
    with warnings.catch_warnings(action="error"), pytest.raises(NotFoundError):
        await method_of(confirmed, operation)(*ids_of(operation, sandbox), *BODIES.get(operation, ()))
    expected = ["confirmed", *reversed(ids_of(operation, sandbox))]
    assert sandbox.requests.last().segments[-len(expected) :] == expected


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        ({"cases.halt": "/x"}, "'cases.halt' is no operation; there are .*cases.pause"),
        (
            {"cases.pause": "/orgs/{organization_id}/pause"},
            r"placeholders .* must be \{organization_id\}, \{case_id\}",
        ),
        ({"cases.pause": "/orgs/{organization_id}/{case}/pause"}, "must be .*case_id"),
        ({"status.ping": "ping"}, "must be a path that begins with /"),
    ],
)
def test_a_confirmed_path_that_cannot_be_right_is_refused(
    make_client: ClientFactory, routes: dict[str, str], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        make_client(routes=routes)
