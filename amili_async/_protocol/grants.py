"""What the token endpoint's answer means: a token and its life, or why there is none and whether asking again can help.

D: POST /token, example-workflow-359631m0. How a refusal looks is inferred from RFC 6749, section 5.2 (I).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import msgspec

from amili_async._protocol import requests as protocol
from amili_async._protocol.outcomes import WireError
from amili_async._protocol.retry import parse_retry_after
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import ConnectError, TokenError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN_LIFETIME = 60.0
"""Seconds for which a token is used whose answer names no time, or none in the future. A 401 replaces it sooner."""

_CREDENTIALS = frozenset({"invalid_client", "invalid_grant", "unauthorized_client"})
_REQUEST = frozenset({"invalid_request", "unsupported_grant_type", "invalid_scope"})
_TOKEN = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"[A-Za-z_]{1,40}")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class TokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a token endpoint's success holds."""

    token: str
    lifetime: float
    """Seconds for which the token is good."""

    def __repr__(self) -> str:
        return f"TokenResponse(token=<hidden>, lifetime={self.lifetime})"


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: object = None
    expires_on: object = None


class _Refusal(msgspec.Struct):
    error: str


def read_grant(body: bytes, now: float) -> TokenResponse:
    """Return the token in a token endpoint's success.

    ``expires_in`` counts, else ``expires_on`` against ``now`` (Unix seconds), each a number or a numeric string (I).

    Raises:
        TokenError: there is none; ``retry_after`` is 0 for JSON that ends early. The body may hold one and is not kept.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.ValidationError, RecursionError):
        raise TokenError("the token endpoint's answer holds no access_token") from None
    except READING_ERRORS as error:
        if not body or "truncated" in str(error):
            raise TokenError("the token endpoint's answer ends early", retry_after=0.0) from None
        raise TokenError("the token endpoint's answer is no JSON; is token_url right?") from None
    if not sendable(answer.access_token):
        raise TokenError("the token endpoint's access_token is empty or has characters that no header can carry")
    until = _number(answer.expires_on)
    for seconds in (_number(answer.expires_in), None if until is None else until - now):
        if seconds is not None and seconds > 0:
            return TokenResponse(token=answer.access_token, lifetime=seconds)
    return TokenResponse(token=answer.access_token, lifetime=UNKNOWN_LIFETIME)


def grant_lifetime(body: bytes, now: float) -> float | None:
    """Return the seconds for which a token is good, for who listens; ``None`` where the answer holds no token."""
    try:
        return read_grant(body, now).lifetime
    except TokenError:
        return None


def grant_members(body: bytes) -> tuple[str, ...]:
    """Return the names of an answer's members in their order, for who listens; one with a digit may be a value."""
    try:
        return tuple(name for name in _members.decode(body) if _NAME.fullmatch(name))
    except READING_ERRORS:
        return ()


def refused_grant(status: int, headers: Mapping[str, str], body: bytes, now: float) -> TokenError:
    """Return the error of a token endpoint's answer that is no success.

    Only OAuth's own word for it, or a bare 401, says that the credentials were refused; a redirect, a proxy or a web
    server's page say that something else answered. ``now`` is our Unix time.
    """
    passing = status in {408, 425, 429} or (status >= 500 and status != 501)  # noqa: PLR2004  # statuses
    code = _oauth_code(body)
    answered = protocol.describe_answer(status, headers, body)
    if passing:
        said = f"the token endpoint failed: {answered}"
    elif code in _CREDENTIALS or (status == 401 and code is None):  # noqa: PLR2004  # the same
        said = f"the token endpoint refused the credentials: {code or answered}"
    elif code is not None:
        said = f"the token endpoint refused the request: {code}"
    else:
        said = f"no token endpoint answered, but something else: {answered}; is token_url right?"
    return TokenError(
        said,
        code=code,
        retry_after=(parse_retry_after(headers, now) or 0.0) if passing else None,
        status=status,
        body=body,
        request_id=protocol.request_id(headers),
    )


def no_grant(problem: WireError | TimeoutError, within: float) -> TokenError:
    """Return the error of a token request that got no answer: for the reason given, or in so many seconds."""
    if isinstance(problem, WireError):
        kind = TransportError if problem.sent else ConnectError
        lost, said = kind(problem.reason), "gave no answer" if problem.sent else "was not reached"
        lost.__cause__ = problem.cause
    else:
        lost, said = TransportError(f"none within {within:g} s"), "gave no answer"
    hopeless = isinstance(problem, WireError) and problem.hopeless
    error = TokenError(f"the token endpoint {said}: {lost.message}", retry_after=None if hopeless else 0.0)
    error.__cause__ = lost
    return error


def sendable(token: object) -> bool:
    """Return whether it is text that can stand in a header: visible ASCII, so no line end can begin another header."""
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _oauth_code(body: bytes) -> str | None:
    """Return the error's name in RFC 6749 section 5.2 (I); any other text is the server's own and is not repeated."""
    try:
        code = msgspec.json.decode(body, type=_Refusal).error
    except READING_ERRORS:
        return None
    return code if code in _CREDENTIALS | _REQUEST else None
