"""The route table against what docs.amili.dev prints."""

from __future__ import annotations

import re

import pytest

from amili_async._routes import ROUTES, Route

PRINTED = """
GET /batches
GET /orgs/{}/batches
GET /orgs/{}/batches/{}
GET /batches/{}
POST /orgs/{}/invoices
GET /orgs/{}/invoices
GET /orgs/{}/invoices/{}
GET /orgs/{}/invoices/{}/payments
POST /orgs/{}/invoices/{}/resume
POST /orgs/{}/payments
POST /orgs/{}/corrections
GET /orgs/{}/settlements
GET /orgs/{}/settlements/{}
GET /orgs/{}/cases
GET /webapi/api/Batch
POST /webapi/api/Batch
"""
"""What the documentation prints in full: mark D."""


@pytest.fixture(params=ROUTES.values(), ids=list(ROUTES))
def route(request: pytest.FixtureRequest) -> Route:
    found: Route = request.param
    return found


def test_what_is_marked_documented_is_what_the_documentation_prints() -> None:
    documented = {f"{r.method} {re.sub(r'{.*?}', '{}', r.path)}" for r in ROUTES.values() if r.mark == "D"}
    assert documented == set(PRINTED.strip().splitlines())


def test_a_route_is_filed_under_its_own_name(route: Route) -> None:
    assert ROUTES[route.operation] is route
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", route.operation)


def test_only_a_get_may_be_repeated_without_asking(route: Route) -> None:
    assert route.repeatable == (route.method == "GET")


def test_a_documented_route_names_its_page(route: Route) -> None:
    if route.mark == "D":
        assert re.fullmatch(r"[a-z-]+-\d+e0", route.source)
    else:
        assert route.source == ""


def test_path_values_have_names_with_the_organization_first(route: Route) -> None:
    names = re.findall(r"\{(\w+)\}", route.path)
    assert len(names) == len(set(names))
    assert all(name.endswith("_id") for name in names)
    assert route.path.startswith("/")
    assert "organization_id" not in names[1:]


def test_a_route_expects_a_success_and_no_status_twice(route: Route) -> None:
    assert route.statuses[0] in {200, 202}
    assert list(route.statuses) == sorted(set(route.statuses))
    assert route.generations


def test_what_a_generation_does_not_print_it_is_not_asked_for(route: Route) -> None:
    names = dict(route.query_since)
    assert {*names} <= {*route.query}
    assert all(name in route.query_in(since) for name, since in names.items())
    assert route.query_in("G3") == route.query
    assert [*route.query_in("G1")] == [name for name in route.query if name not in names]


def test_filters_that_came_later() -> None:
    assert "IdempotencyKey" not in ROUTES["batches.list"].query_in("G2")
    assert ROUTES["settlements.list"].query_in("G1") == ()
    assert ROUTES["settlements.list"].query_in("G2") == ("fromDate", "toDate", "pageSize", "pageToken")
    assert ROUTES["corrections.create"].generations == ("G2", "G3")


def test_no_two_operations_send_the_same_request() -> None:
    requests = [(r.method, re.sub(r"{.*?}", "{}", r.path)) for r in ROUTES.values()]
    assert len(requests) == len(set(requests))


def test_paging_is_spelled_as_each_list_spells_it() -> None:
    paged = {name: [q for q in r.query if q.lower().startswith("page")] for name, r in ROUTES.items()}
    assert {name: spelled for name, spelled in paged.items() if spelled} == {
        "batches.list_all": ["PageToken", "PageSize"],
        "batches.list": ["PageToken", "PageSize"],
        "invoices.list": ["PageToken"],
        "settlements.list": ["pageSize", "pageToken"],
        "cases.list": ["PageToken", "PageSize"],
    }
