"""The route table of one client: guesses warn once, confirmed paths take their place, and only right ones."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import AmiliClient, ConfigurationError, UnconfirmedRouteWarning
from amili_async._routes import ROUTES
from amili_async.resources._route_registry import RouteRegistry

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox

GUESSED = sorted(operation for operation, route in ROUTES.items() if route.mark == "U")


def test_without_confirmed_paths_the_book_is_the_package_s_table() -> None:
    book = RouteRegistry(None)
    assert {operation: book.route(operation) for operation in ROUTES if operation not in GUESSED} == {
        operation: route for operation, route in ROUTES.items() if operation not in GUESSED
    }


@pytest.mark.parametrize("operation", GUESSED)
def test_a_guess_warns_once_and_says_how_to_confirm_it(operation: str) -> None:
    book = RouteRegistry({})
    with pytest.warns(UnconfirmedRouteWarning, match=rf"^{operation}: .*routes=\{{'{operation}': \.\.\.\}}") as caught:
        assert book.route(operation) == ROUTES[operation]
    assert ROUTES[operation].path in str(caught[0].message)
    assert book.route(operation) == ROUTES[operation]


def test_each_client_and_each_operation_warns_for_itself() -> None:
    books = (RouteRegistry(None), RouteRegistry(None))
    with pytest.warns(UnconfirmedRouteWarning) as caught:
        _ = [book.route(name) for book in books for name in ("status.ping", "status.health", "status.ping")]
    assert len(caught) == 4


def test_a_confirmed_path_is_taken_without_a_warning() -> None:
    book = RouteRegistry({"cases.pause": "/organizations/{organization_id}/cases/{case_id}:pause"})
    route = book.route("cases.pause")
    assert route.path == "/organizations/{organization_id}/cases/{case_id}:pause"
    assert route == ROUTES["cases.pause"]._replace(path=route.path)
    assert book.path("cases.pause", ["o/1", "c 2"]) == "/organizations/o%2F1/cases/c%202:pause"
    with pytest.warns(UnconfirmedRouteWarning):
        book.route("cases.resume")


def test_ids_are_given_in_the_order_of_the_table_wherever_the_confirmed_path_has_them() -> None:
    book = RouteRegistry({"cases.pause": "/cases/{case_id}/of/{organization_id}"})
    assert book.path("cases.pause", ["o-1", "c-2"]) == "/cases/c-2/of/o-1"


def test_a_documented_path_may_be_replaced_too() -> None:
    book = RouteRegistry({"batches.list": "/v2/{organization_id}/batches"})
    assert book.path("batches.list", ["o-1"]) == "/v2/o-1/batches"
    assert ROUTES["batches.list"].path == "/orgs/{organization_id}/batches"


def test_an_operation_that_is_none_is_answered_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match=r"routes: 'cases\.stop' is no operation; there are ") as caught:
        RouteRegistry({"cases.stop": "/x"})
    assert all(operation in str(caught.value) for operation in ROUTES)


@pytest.mark.parametrize(
    "path",
    [
        "/cases/{case_id}",
        "/orgs/{organization_id}/cases/{case_id}/{case_id}/pause",
        "/orgs/{organization_id}/cases/{case}/pause",
        "/orgs/{org-id}/{organization_id}/cases/{case_id}/pause",
        "/orgs/{organization_id}/cases/{case_id}/}pause",
        "/orgs/{organization_id}/{cases/{case_id}/pause",
        "/pause",
    ],
)
def test_other_placeholders_are_answered_with_the_right_ones(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cases\.pause.*must be \{organization_id\}, \{case_id\}, each once"):
        RouteRegistry({"cases.pause": path})


def test_a_path_without_placeholders_has_none() -> None:
    with pytest.raises(ConfigurationError, match=r"status\.ping.*must be none, each once"):
        RouteRegistry({"status.ping": "/ping/{id}"})


@pytest.mark.parametrize(
    "path", ["", "ping", "https://example.com/ping", "/ping?x=1", "/ping#x", "/ping\n", "/p ing", "/pïng", 7, None]
)
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"routes\['status\.ping'\] must be a path that begins with /"):
        RouteRegistry({"status.ping": path})


@pytest.mark.parametrize("routes", [["status.ping"], "status.ping", 7])
def test_routes_are_a_dict(routes: Any) -> None:
    with pytest.raises(ConfigurationError, match="routes must be a dict of operations"):
        RouteRegistry(routes)


async def test_the_warning_points_at_the_code_that_called(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add('*:status=200,body="{}"')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await client.status.ping()
        await client.cases.pause("o-1", "c-2")
        await client.with_options(deadline=5.0).status.ping()
    assert [warning.filename for warning in caught] == [__file__, __file__]


async def test_a_client_calls_the_confirmed_path(sandbox: Sandbox) -> None:
    sandbox.faults.add('*:status=200,body="{}"')
    routes = {"status.ping": "/are-you-there"}
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, routes=routes) as client:
        await client.status.ping()
    assert sandbox.requests.last().path.endswith("/are-you-there")
