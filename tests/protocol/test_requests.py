"""A call into request parts, an answer into an error: values in, values out."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import errors
from amili_async._protocol.requests import (
    Call,
    check_headers,
    encode_query,
    error_for,
    fill,
    identifier,
    join,
    origin,
    placeholders,
    request_id,
)
from amili_async._routes import ROUTES
from amili_async.errors import APIError, ConfigurationError

ORGANIZATION = UUID("3fa85f64-5717-4562-b3fc-2c963f66afa6")

# -- paths


def test_a_template_is_filled_by_the_names_of_its_placeholders() -> None:
    template = "/orgs/{organization_id}/batches/{batch_id}"
    assert placeholders(template) == ("organization_id", "batch_id")
    assert fill(template, {"batch_id": "b 1", "organization_id": ORGANIZATION}) == (
        "/orgs/3fa85f64-5717-4562-b3fc-2c963f66afa6/batches/b%201"
    )
    assert fill("/ping", {}) == "/ping"


@pytest.mark.parametrize("template", [route.path for route in ROUTES.values()])
def test_a_placeholder_without_a_value_is_named(template: str) -> None:
    for name in placeholders(template):
        with pytest.raises(ConfigurationError, match=rf"^{name} must be"):
            fill(template, {other: "x" for other in placeholders(template) if other != name})


@given(st.text(min_size=1))
def test_an_id_comes_back_whole_from_the_segment_that_it_became(given_id: str) -> None:
    if not given_id.strip() or given_id in {".", ".."}:
        with pytest.raises(ConfigurationError):
            identifier(given_id, "batch_id")
    else:
        assert unquote(fill("/{batch_id}", {"batch_id": given_id})[1:]) == given_id


@pytest.mark.parametrize("value", ["", "  ", ".", "..", None, 7, b"x", True, ["x"]])
def test_what_is_no_id_is_refused_without_quoting_it(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^batch_id must be"):
        identifier(value, "batch_id")


def test_an_id_is_sent_as_it_was_given() -> None:
    assert identifier(" x ", "batch_id") == " x "
    assert identifier(ORGANIZATION, "batch_id") == str(ORGANIZATION)


# -- queries


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1))))
def test_a_query_comes_back_whole(pairs: list[tuple[str, str]]) -> None:
    query = encode_query(pairs)
    assert query.isascii()
    assert parse_qsl(query, strict_parsing=bool(pairs)) == pairs


def test_what_is_none_is_not_sent_and_what_is_empty_is() -> None:
    assert encode_query([("a", None), ("b", ""), ("c", "1")]) == "b=&c=1"
    assert encode_query([("a", None)]) == ""


def test_path_and_query_are_joined_only_where_there_is_a_query() -> None:
    assert join("/batches", "a=1") == "/batches?a=1"
    assert join("/batches", "") == "/batches"


def test_half_a_character_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"^batch_id holds half a character"):
        fill("/{batch_id}", {"batch_id": "a\udc80"})
    with pytest.raises(ConfigurationError, match=r"^query: State holds half a character"):
        encode_query([("State", "\ud800")])


# -- headers


def test_no_headers_are_no_headers() -> None:
    assert check_headers(None) == {}
    assert check_headers({}) == {}


def test_headers_of_one_line_pass_as_they_are() -> None:
    given_headers = {"X-A": "a b\tc", "x_b!#$": "æøå €", "traceparent": ""}
    assert check_headers(given_headers) == given_headers


@given(st.text(), st.text())
def test_no_header_that_passes_can_begin_another_line(name: str, value: str) -> None:
    try:
        checked = check_headers({name: value})
    except ConfigurationError:
        return
    assert checked == {name: value}
    assert not {"\r", "\n", "\0"} & set(name + value)


@pytest.mark.parametrize("headers", [{7: "x"}, {"X-A": None}, {"X-A": b"x"}, {"X-A\n": "x"}, {"X:A": "x"}])
def test_what_is_no_header_is_refused(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^extra: "):
        check_headers(headers, "extra")


# -- origins


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://api.amili.no/collection/v1", "https://API.amili.no:443/x?y", True),
        ("http://127.0.0.1/x", "http://127.0.0.1:80", True),
        ("https://api.amili.no", "http://api.amili.no", False),
        ("https://api.amili.no", "https://api.amili.no:8443", False),
        ("https://api.amili.no", "https://api.amili.no.evil.example", False),
        ("https://api.amili.no", "https://evil.example/api.amili.no", False),
        ("https://api.amili.no", "https://api.amili.no@evil.example", False),
    ],
)
def test_origins_are_scheme_host_and_port(one: str, other: str, *, same: bool) -> None:
    assert (origin(one) == origin(other)) == same


# -- answers


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.UnauthorizedError),
        (403, errors.ForbiddenError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (422, errors.UnprocessableError),
        (423, errors.LockedError),
        (429, errors.RateLimitedError),
        *((status, errors.ServerError) for status in (500, 501, 502, 503, 504, 599)),
        *((status, errors.APIError) for status in (100, 300, 302, 402, 408, 418, 425, 499)),
    ],
)
def test_each_status_has_its_class(status: int, kind: type[APIError]) -> None:
    error = error_for(status, {}, b"")
    assert type(error) is kind
    assert error.status == status
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "404 Not Found, empty body"),
        (b'{"message":"x"}', "404 Not Found, JSON (15 bytes, kept in .body)"),
        (b'{"detail":"x"}', "404 Not Found, problem details (14 bytes, kept in .body)"),
        (b"[1]", "404 Not Found, JSON (3 bytes, kept in .body)"),
        (b"  <html>", "404 Not Found, HTML page (8 bytes, kept in .body)"),
        (b"words", "404 Not Found, text (5 bytes, kept in .body)"),
        (b"\xff\xfe", "404 Not Found, text (2 bytes, kept in .body)"),
        (b"[" * 5_000, "404 Not Found, text (5000 bytes, kept in .body)"),
    ],
)
def test_an_error_says_what_kind_of_body_came_and_no_word_of_it(body: bytes, said: str) -> None:
    error = error_for(404, {}, bytearray(body))
    assert str(error) == said
    assert error.body == body
    assert type(error.body) is bytes


def test_a_status_without_a_name_is_its_number() -> None:
    assert str(error_for(599, {}, b"")) == "599, empty body"


def test_a_wait_that_was_asked_for_is_said_and_kept() -> None:
    error = error_for(429, {}, b"", retry_after=7.5)
    assert error.retry_after == 7.5
    assert "asked to wait 7.5 s" in str(error)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://evil.example/x?debtor=Kari", "evil.example"),
        ("/elsewhere?debtor=Kari", "the same host"),
        ("http://[::1", None),
        (None, None),
        ("", None),
    ],
)
def test_a_redirect_names_the_host_alone(location: str | None, host: str | None) -> None:
    error = error_for(302, {} if location is None else {"Location": location}, b"")
    assert error.location == host
    assert f"a redirect to {host or 'nowhere'}, which is not followed" in str(error)
    assert "Kari" not in str(error)


@pytest.mark.parametrize(
    "location", ["https://evil\u202e.example/", "https://a\x85b.example/", "https://" + "a" * 300, "https://\x9b31m/"]
)
def test_a_redirect_to_a_name_that_a_terminal_would_act_on_is_not_repeated(location: str) -> None:
    error = error_for(302, {"Location": location}, b"")
    assert error.location == "a host with an odd name"
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"code": "INVOICE_LOCKED"}', "INVOICE_LOCKED"),
        (b'{"errorCode": "INVOICE_LOCKED", "code": 7}', "INVOICE_LOCKED"),
        (b'{"code": "Kari Nordmann owes", "message": "x"}', None),
        (b'{"code": "KARI NORDMANN"}', None),
        (b'{"code": "AB"}', None),
        (b'{"code": "INVOICE_LOCKED\\n"}', None),
        (b'{"code": "' + b"A" * 41 + b'"}', None),
        (b'{"code": "KARI4711"}', None),
        (b"[]", None),
        (b'{"code":' * 8_000, None),
        (b"", None),
    ],
)
def test_a_bare_code_of_the_server_stands_in_the_line_and_nothing_else_of_its_words(
    body: bytes, code: str | None
) -> None:
    error = error_for(409, {}, body)
    assert error.code == code
    assert error.to_dict().get("code") == code
    assert str(error).startswith("409 Conflict, INVOICE_LOCKED, " if code else "409 Conflict, ")
    assert "Kari" not in str(error)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (400, b"<html>\n400 The plain HTTP request was sent to HTTPS port", "the port speaks TLS: use https"),
        (400, b"<html>\n400 No required SSL certificate was sent", "it asks for a client certificate: pass ssl="),
        (400, b"<html>\n400 The SSL certificate error", "it refused the client certificate"),
        (407, b"<html>", "the proxy on the way asks for a user and password"),
    ],
)
def test_what_a_web_server_or_a_proxy_says_of_the_way_is_named(status: int, body: bytes, says: str) -> None:
    assert says in str(error_for(status, {}, body))


def test_a_location_of_what_is_no_redirect_is_not_looked_at() -> None:
    assert error_for(404, {"Location": "https://evil.example"}, b"").location is None


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"X-Amili-Request-Id": "a", "X-Request-Id": "b"}, "a"),
        ({"X-Request-Id": "b-1/2"}, "b-1/2"),
        ({"X-Correlation-Id": "c"}, "c"),
        ({"X-Amili-Request-Id": "two words", "Request-Id": "d"}, "d"),
        ({"X-Request-Id": "x" * 129}, None),
        ({"X-Request-Id": "a\nb"}, None),
        ({"X-Request-Id": "æ"}, None),
        ({"X-Request-Id": ""}, None),
        ({}, None),
    ],
)
def test_the_request_id_is_one_word_or_none(headers: dict[str, str], known: str | None) -> None:
    assert request_id(headers) == known
    assert error_for(500, headers, b"").request_id == known


def test_a_call_shows_its_operation_and_template_alone() -> None:
    call = Call(route=ROUTES["batches.list"], path="/orgs/Kari", query="Name=Kari", method="GET", body=b"Kari")
    assert repr(call) == "Call(batches.list, GET /orgs/{organization_id}/batches)"
