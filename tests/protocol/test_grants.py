"""What the token endpoint's answer means: a token, or why there is none."""

from __future__ import annotations

import json
import traceback

import pytest

from amili_async._protocol.grants import UNKNOWN_LIFETIME, TokenResponse, no_grant, read_grant, refused_grant
from amili_async._protocol.outcomes import WireError
from amili_async.errors import ConnectError, TokenError, TransportError

NOW = 1_700_000_000.0
PAGE = b"<html><head><title>Kari Nordmann</title></head></html>"


def body(token: str, /, **members: object) -> bytes:
    return json.dumps({"access_token": token, **members}).encode()


# -- a success


@pytest.mark.parametrize(
    ("members", "lifetime"),
    [
        ({"expires_in": 3600}, 3600.0),
        ({"expires_in": "3600"}, 3600.0),
        ({"expires_in": 59.5}, 59.5),
        ({"expires_in": 5, "expires_on": NOW + 99}, 5.0),
        ({"expires_on": NOW + 99}, 99.0),
        ({"expires_on": str(int(NOW) + 99)}, 99.0),
        ({"expires_in": 0, "expires_on": NOW + 99}, 99.0),
        ({"expires_in": 0}, UNKNOWN_LIFETIME),
        ({"expires_in": -5}, UNKNOWN_LIFETIME),
        ({"expires_in": None}, UNKNOWN_LIFETIME),
        ({"expires_in": True}, UNKNOWN_LIFETIME),
        ({"expires_in": "soon"}, UNKNOWN_LIFETIME),
        ({"expires_in": "nan"}, UNKNOWN_LIFETIME),
        ({"expires_in": "inf"}, UNKNOWN_LIFETIME),
        ({"expires_in": 10**400}, UNKNOWN_LIFETIME),
        ({"expires_in": {}}, UNKNOWN_LIFETIME),
        ({"expires_on": NOW - 1}, UNKNOWN_LIFETIME),
        ({}, UNKNOWN_LIFETIME),
    ],
)
def test_the_life_of_a_token_is_read(members: dict[str, object], lifetime: float) -> None:
    assert read_grant(body("t1", **members), NOW) == TokenResponse(token="t1", lifetime=lifetime)


@pytest.mark.parametrize(
    ("content", "says", "passing"),
    [
        (b"", "ends early", True),
        (b'{"access_token": "abcdef', "ends early", True),
        (b"<html>abcdef</html>", "no JSON", False),
        (b'{"access_token": "abcdef\xff"}', "no JSON", False),
        (b"{}", "holds no access_token", False),
        (b"[]", "holds no access_token", False),
        (b'{"x":' + b"[" * 100_000, "holds no access_token", False),
        (b'{"access_token": null}', "holds no access_token", False),
        (b'{"access_token": ""}', "empty or has characters", False),
        (b'{"access_token": "abcdef\\r\\nX: 1"}', "empty or has characters", False),
        (b'{"access_token": "abcdef\\u00e6"}', "empty or has characters", False),
    ],
)
def test_an_answer_without_a_usable_token_is_refused_without_quoting_it(
    content: bytes, says: str, *, passing: bool
) -> None:
    with pytest.raises(TokenError, match=says) as caught:
        read_grant(content, NOW)
    assert (caught.value.retry_after is not None) == passing
    assert caught.value.body is None
    assert "abcdef" not in "".join(traceback.format_exception(caught.value))


# -- no success


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
def test_a_passing_failure_says_when_asking_again_makes_sense(status: int) -> None:
    error = refused_grant(status, {"Retry-After": "7", "X-Request-Id": "r-1"}, b"{}", NOW)
    assert error.retry_after == 7.0
    assert error.message.startswith(f"the token endpoint failed: {status}")
    assert (error.status, error.body, error.request_id) == (status, b"{}", "r-1")
    assert refused_grant(status, {}, b"", NOW).retry_after == 0.0


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("code", ["invalid_client", "invalid_grant", "unauthorized_client"])
def test_oauths_own_word_refuses_the_credentials(status: int, code: str) -> None:
    error = refused_grant(status, {"Retry-After": "7"}, json.dumps({"error": code}).encode(), NOW)
    assert (error.retry_after, error.code) == (None, code)
    assert str(error) == f"the token endpoint refused the credentials: {code} (status {status})"


def test_a_bare_401_refuses_the_credentials_too() -> None:
    error = refused_grant(401, {}, b"", NOW)
    assert str(error) == "the token endpoint refused the credentials: 401 Unauthorized, empty body"


def test_a_refusal_of_the_request_is_none_of_the_credentials() -> None:
    error = refused_grant(400, {}, b'{"error": "invalid_scope"}', NOW)
    assert error.message == "the token endpoint refused the request: invalid_scope"


@pytest.mark.parametrize(
    ("status", "headers", "content", "says"),
    [
        (301, {"Location": "https://login.example/?x=secret"}, PAGE, "a redirect to login.example, which is not"),
        (302, {}, b"", "a redirect to nowhere"),
        (400, {}, b"<html>400 The plain HTTP request was sent to HTTPS port", "the port speaks TLS: use https"),
        (400, {}, b"<html>No required SSL certificate was sent", "it asks for a client certificate: pass ssl="),
        (403, {}, PAGE, "403 Forbidden, HTML page"),
        (404, {}, PAGE, "404 Not Found, HTML page"),
        (405, {}, b"{}", "405 Method Not Allowed, JSON"),
        (407, {}, PAGE, "the proxy on the way asks for a user and password"),
        (501, {}, b"", "501 Not Implemented"),
        (400, {}, b'{"error": "card 4711 of Kari Nordmann unknown"}', "400 Bad Request, JSON"),
        (400, {}, b'{"x":' + b"[" * 60_000, "400 Bad Request, text"),
    ],
)
def test_what_something_else_answers_is_no_refusal_of_the_credentials(
    status: int, headers: dict[str, str], content: bytes, says: str
) -> None:
    error = refused_grant(status, headers, content, NOW)
    assert error.message.startswith("no token endpoint answered, but something else: ")
    assert error.message.endswith("; is token_url right?")
    assert says in error.message
    assert (error.code, error.retry_after, error.body) == (None, None, content)
    assert "secret" not in str(error)
    assert "Kari" not in str(error)


def test_no_answer_says_why_and_whether_another_try_can_help() -> None:
    cause = OSError(111, "refused")
    unsent = no_grant(WireError("no connection to x:443", cause, sent=False), 30.0)
    assert (unsent.message, unsent.retry_after) == ("the token endpoint was not reached: no connection to x:443", 0.0)
    assert isinstance(unsent.__cause__, ConnectError)
    assert unsent.__cause__.__cause__ is cause
    hopeless = no_grant(WireError("no trust", cause, sent=False, hopeless=True), 30.0)
    assert (hopeless.message, hopeless.retry_after) == ("the token endpoint was not reached: no trust", None)
    lost = no_grant(WireError("closed", cause, sent=True), 30.0)
    assert (lost.message, lost.retry_after) == ("the token endpoint gave no answer: closed", 0.0)
    assert type(lost.__cause__) is TransportError
    late = no_grant(TimeoutError(), 2.5)
    assert (late.message, late.retry_after) == ("the token endpoint gave no answer: none within 2.5 s", 0.0)
