"""Calls that no method makes: where they go, what they carry, what comes back."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import (
    AmiliClient,
    Batch,
    ConfigurationError,
    DecodeError,
    InvalidArgumentError,
    InvoiceSuccess,
    NewCorrection,
    NotFoundError,
    RetryPolicy,
    TransportError,
)
from amili_async._protocol.requests import join
from amili_async.models import UnknownEntry
from amili_async.resources._operation_client import METHODS, encode_body, raw_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from amili_async._protocol.requests import Call
    from amili_async.sandbox import Sandbox


def call(method: str = "GET", path: str = "/things", **options: Any) -> Call:
    """Return a free call with nothing but what is given."""
    nothing = dict.fromkeys(("path_params", "query", "body", "headers", "idempotency_key", "repeatable"))
    return raw_request(method, path, **{**nothing, **options})


CORRECTION = NewCorrection(
    invoice_id="i-1",
    amount=Decimal("10.50"),
    currency="NOK",
    extra={"kid": "0042", "net": Decimal("8.40")},
)
AS_SENT = {"invoiceId": "i-1", "amount": "10.50", "currency": "NOK", "kid": "0042", "net": "8.40"}


def read(body: bytes) -> Any:
    """Return JSON with its numbers as the digits that were written."""
    return json.loads(body, parse_float=str)


# Method


@pytest.mark.parametrize("method", METHODS)
def test_a_method_may_be_written_small_and_only_a_get_is_repeated_unasked(method: str) -> None:
    made = call(method.lower())
    assert (made.method, made.route.method, made.repeatable) == (method, method, method == "GET")
    assert [call(method, repeatable=asked).repeatable for asked in (True, False)] == [True, False]


@pytest.mark.parametrize("method", ["", "FETCH", "GET\r\nX: y", None, 7])
def test_any_other_method_is_refused(method: Any) -> None:
    with pytest.raises(ConfigurationError, match="method must be one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"):
        call(method)


# Path


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/"),
        ("/orgs/o-1/batches", "/orgs/o-1/batches"),
        ("/orgs/o 1/bätches", "/orgs/o%201/b%C3%A4tches"),
        ("/orgs/o%2F1/batches", "/orgs/o%2F1/batches"),
        ('/a"b<c>d\\e{f}^`|', "/a%22b%3Cc%3Ed%5Ce%7Bf%7D%5E%60%7C"),
        ("/a;b=1,c:d@e!$&'()*+~-._", "/a;b=1,c:d@e!$&'()*+~-._"),
        ("/a?b=c&d=e f", "/a?b=c&d=e%20f"),
        ("/a?b=c?d/e", "/a?b=c?d/e"),
        ("/a/.../b/.x/..y", "/a/.../b/.x/..y"),
    ],
)
def test_a_path_is_quoted_where_it_must_be_and_only_there(path: str, target: str) -> None:
    made = call(path=path)
    assert (join(made.path, made.query), made.root) == (target, None)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="#?%/\\")))
def test_any_text_stays_the_segment_that_it_was(segment: str) -> None:
    if segment in {".", ".."}:
        return
    target = call(path=f"/a/{segment}/b").path
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
    assert [unquote(part) for part in target.split("/")] == ["", "a", segment, "b"]


@pytest.mark.parametrize(
    "path",
    [
        "/orgs/../admin",
        "/orgs/./x",
        "/..",
        "/a/..",
        "/%2e%2e/admin",
        "/a/%2E/b",
        "/.%2e/a",
        "https://api.amili.no/../a",
    ],
)
def test_segments_of_dots_are_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path must have no segments of dots: they lead out of the API"):
        call(path=path)


@pytest.mark.parametrize("path", ["/invoices/A#1", "/a#", "/a\nb", "/a\tb", "/a\r\nHost: x", "/a\x00", "/a\x7f"])
def test_what_would_be_dropped_from_a_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path must hold no # and no control characters"):
        call(path=path)


@pytest.mark.parametrize("path", ["", None, 7, b"/things"])
def test_a_path_is_text(path: Any) -> None:
    with pytest.raises(ConfigurationError, match="path must be text, such as /orgs/"):
        call(path=path)


@pytest.mark.parametrize("path", ["things", "orgs/o-1", "?a=b", " /things"])
def test_a_path_begins_with_a_slash(path: str) -> None:
    with pytest.raises(ConfigurationError, match="path must begin with /, or be an absolute https URL"):
        call(path=path)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com/a b?c=d e", "https://example.com/a%20b?c=d%20e"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com?a=b", "https://example.com/?a=b"),
        ("https://example.com:8443/a", "https://example.com:8443/a"),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a"),
    ],
)
def test_an_absolute_url_is_taken(url: str, target: str) -> None:
    made = call(path=url)
    assert f"{made.root}{join(made.path, made.query)}" == target


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a",
        "//example.com/a",
        "ftp://example.com/a",
        "mailto:a@example.com",
        "https:///a",
        "https://user:secret@example.com/a",
        "https://example.com:port/a",
    ],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^path ") as caught:
        call(path=url)
    assert "secret" not in str(caught.value)


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="path is neither a path nor a URL"):
        call(path="https://[::1")


# Templates


def test_a_template_keeps_each_value_to_one_segment_and_is_what_errors_name() -> None:
    params = {"organization_id": "o/1", "plan_id": UUID(int=7)}
    made = call(path="/orgs/{organization_id}/plans/{plan_id}?a=b", path_params=params)
    assert made.path == "/orgs/o%2F1/plans/00000000-0000-0000-0000-000000000007"
    assert made.query == "a=b"
    assert made.route.path == "/orgs/{organization_id}/plans/{plan_id}"


@pytest.mark.parametrize("value", ["", " ", ".", "..", None, 7])
def test_a_templates_value_that_is_no_id_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^plan_id "):
        call(path="/plans/{plan_id}", path_params={"plan_id": value})


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/plans/{plan_id}", {}),
        ("/plans/{plan_id}", {"plan": "1", "plan_id": "2"}),
        ("/plans", {"plan_id": "1"}),
        ("/plans/{plan_id}", {7: "1"}),
    ],
)
def test_a_template_and_its_values_name_the_same(path: str, params: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^path_params and the braces in path must name the same"):
        call(path=path, path_params=params)


@pytest.mark.parametrize(("path", "params"), [("/plans/{plan_id}", ["1"]), ("/plans", 7), (7, {})])
def test_what_is_no_template_is_refused(path: Any, params: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^path_params must be a dict"):
        call(path=path, path_params=params)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/orgs/kari-nordmann/batches", "/orgs/{...}/batches"),
        ("/orgs/0042/plans?name=Kari", "/orgs/{...}/{...}"),
        ("https://elsewhere.example/batches/Kari", "/batches/{...}"),
        ("https://elsewhere.example", "/"),
        ("/x" * 500_000, "/{...}" * 11 + "/..."),
    ],
)
def test_without_a_template_the_words_of_the_route_table_are_told_and_no_more(path: str, shown: str) -> None:
    assert call(path=path).route.path == shown


# Query


def test_a_query_is_quoted_and_put_behind_the_path_s_own() -> None:
    assert call(query={"State": "A&B", "Navn": "Blå øy"}).query == "State=A%26B&Navn=Bl%C3%A5%20%C3%B8y"
    assert call(path="/things?a=1", query={"b": "2"}).query == "a=1&b=2"
    assert call(query={}).query == call(query=None).query == ""


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_any_query_arrives_as_it_was_given(query: dict[str, str]) -> None:
    assert dict(parse_qsl(call(query=query).query, keep_blank_values=True)) == query


@pytest.mark.parametrize("query", ["a=b", [("a", "b")], {"a": 1}, {"a": None}, {1: "a"}, 7, ""])
def test_a_query_is_text_by_text(query: Any) -> None:
    with pytest.raises(ConfigurationError, match="query must be a dict of names and values, all of them text"):
        call(query=query)


# Body


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (Decimal("4500.00"), b"4500.00"),
        ({"amount": Decimal("0.10"), "of": [Decimal(3)]}, b'{"amount":0.10,"of":[3]}'),
        ([1, None, True, "ø"], '[1,null,true,"ø"]'.encode()),
        ((1, 2), b"[1,2]"),
        ({}, b"{}"),
        (b'{"already": "written"}', b'{"already": "written"}'),
    ],
)
def test_a_body_is_json_with_money_in_digits(value: object, body: bytes) -> None:
    assert encode_body(value) == body


PLACES: list[Callable[[object], object]] = [
    lambda it: it,
    lambda it: [it],
    lambda it: {"a": it},
    lambda it: {"a": ({"b": [it]},)},
]


@pytest.mark.parametrize("place", PLACES, ids=range(4))
def test_a_model_anywhere_in_a_body_is_sent_as_its_own_method_would(place: Callable[[object], object]) -> None:
    assert read(encode_body(place(CORRECTION))) == json.loads(json.dumps(place(AS_SENT)))


def test_a_model_keeps_its_raw_parts_byte_for_byte() -> None:
    raw = b'{"$type":"new","amount":1.500}'
    batch = Batch(batch_id="b-1", succeeded=(UnknownEntry(type="new", raw=raw), InvoiceSuccess(invoice_id="i-1")))
    assert raw in encode_body({"seen": batch})


def recursive() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), "json is of the kind object"),
        ({1, object()}, "json is of the kind set"),
        ({"a": object()}, "json.a is of the kind object"),
        ({("a",): 1}, "json has a member whose name is no text"),
        (recursive(), "json.* is nested more than 100 deep"),
        (Decimal("NaN"), "json must be a finite amount"),
        ({"a": [Decimal("-Infinity"), 1.5]}, r"json.a\[0\] must be a finite amount"),
        ({"a": [float("nan"), Decimal("NaN")]}, r"json.a\[0\] is a float.*; json.a\[1\] must be a finite amount"),
        ({"a": float("nan")}, "json.a is a float"),
        ("\ud800", "json holds half a character"),
        ({"a": {None: 1}}, "json.a has a member whose name is no text"),
    ],
    ids=range(11),
)
def test_what_json_cannot_say_is_refused_by_its_place_without_quoting_it(value: object, where: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{where}") as caught:
        encode_body(value)
    assert len(caught.value.problems) == str(caught.value).count("json")


def test_a_number_that_is_no_amount_may_be_a_float() -> None:
    assert encode_body({"score": 1.5}) == b'{"score":1.5}'


# Through a client


async def test_a_request_without_a_type_gives_the_body_as_it_came(client: AmiliClient, organization: str) -> None:
    body = await client.request("GET", f"/orgs/{organization}/batches", query={"PageSize": "2"})
    assert isinstance(body, bytes)
    assert len(json.loads(body)["data"]) == 2


async def test_a_request_with_a_type_gives_the_envelope_s_data(client: AmiliClient, organization: str) -> None:
    first = await client.batches.list(organization).first()
    assert first is not None
    again = await client.request("GET", f"/orgs/{organization}/batches/{first.batch_id}", type=Batch)
    assert again == first
    rows = await client.request("GET", f"/orgs/{organization}/batches", type=list[dict[str, object]])
    assert rows is not None
    assert rows[0]["batchId"] == first.batch_id
    with pytest.raises(DecodeError):
        await client.request("GET", f"/orgs/{organization}/batches", type=Batch)


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("GET", "*:status=204"),
        ("DELETE", "*:status=204"),
        ("DELETE", '*:status=200,body=""'),
        ("POST", '*:status=202,body=""'),
    ],
)
async def test_an_answer_without_a_body_is_none(method: str, fault: str, client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(fault)
    assert await client.request(method, "/things", type=Batch) is None
    assert len(sandbox.requests.of("unknown")) == 1
    assert await client.request(method, "/things") == b""


async def test_a_200_of_a_read_without_a_body_may_be_cut_short_and_is_asked_for_again(
    client: AmiliClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add('*:status=200,body=""')
    with pytest.raises(TransportError):
        await client.with_options(retry=RetryPolicy(attempts=2, max_wait=0.0)).request("GET", "/things", type=Batch)
    assert len(sandbox.requests.of("unknown")) == 2


async def test_a_204_where_an_object_is_due_is_unreadable_at_once(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    sandbox.faults.add("batches.get:status=204")
    with pytest.raises(DecodeError) as caught:
        await client.batches.get(organization, "b-1")
    assert caught.value.attempts == 1


async def test_an_error_names_the_template(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("*:status=404")
    with pytest.raises(NotFoundError, match=r"GET /orgs/\{organization_id\}/plans"):
        await client.request("GET", "/orgs/{organization_id}/plans", path_params={"organization_id": "kari"})
    with pytest.raises(NotFoundError, match=r"GET /orgs/\{\.\.\.\}/batches") as caught:
        await client.request("GET", "/orgs/kari/batches")
    assert "kari" not in str(caught.value)


async def test_a_request_carries_what_it_was_given(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add('*:status=200,body="{}"')
    answer = await client.request(
        "put",
        "/orgs/o 1/things",
        query={"a": "b c"},
        json={"corrections": [CORRECTION]},
        headers={"X-Trace": "t-1"},
        idempotency_key="key-1",
    )
    assert answer == b"{}"
    sent = sandbox.requests.last()
    assert (sent.method, sent.target.partition("v1")[2]) == ("PUT", "/orgs/o%201/things?a=b%20c")
    assert read(sent.body) == {"corrections": [AS_SENT]}
    assert (sent.headers["x-trace"], sent.headers["idempotencykey"]) == ("t-1", "key-1")
    assert sent.headers["content-type"] == "application/json"


async def test_no_json_is_no_body(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add('*:status=200,body="{}"')
    await client.request("GET", "/things")
    assert sandbox.requests.last().body == b""


async def test_the_error_of_a_request_names_no_path(client: AmiliClient) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.request("GET", "/Kari", query={"State": "Kari"})
    assert "Kari" not in str(caught.value)
    assert (caught.value.operation, caught.value.route) == ("request", "/{...}")
