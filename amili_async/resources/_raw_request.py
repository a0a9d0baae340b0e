"""Free calls: what ``client.request`` sends for operations that have no method."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from amili_async._http.endpoints import check_url
from amili_async._protocol.requests import Call, check_headers, encode_query, join, percent
from amili_async._routes import Route
from amili_async.errors import ConfigurationError
from amili_async.models._base import Model

if TYPE_CHECKING:
    from collections.abc import Iterable

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_LOST = re.compile(r"[\x00-\x1f\x7f#]")
"""What `urlsplit` drops without a word, and so leads elsewhere."""

_encoder = msgspec.json.Encoder(decimal_format="number")
_any_json = msgspec.json.Decoder(msgspec.Raw)


def encode_body(value: object) -> bytes:
    """Return a value as wire JSON, money as digits, models as they are sent; bytes are JSON that is written already.

    Raises:
        ConfigurationError: the value holds something that JSON cannot say, such as an amount that is no number.
    """
    if isinstance(value, bytes):
        return value
    try:
        encoded = _encoder.encode(_as_sent(value))
        _any_json.decode(encoded)  # a Decimal may be NaN, which is written and is no JSON
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"json cannot be written as JSON: {type(error).__name__}") from None
    return encoded


def _as_sent(value: Any) -> object:
    """Return a value with what stands for each model in it: its members, and those of its ``extra``."""
    if isinstance(value, Model):
        return value.to_builtins()
    if isinstance(value, dict):
        return {name: _as_sent(member) for name, member in value.items()}  # pyright: ignore[reportUnknownVariableType]  # of any kind
    if isinstance(value, list | tuple):
        return [_as_sent(item) for item in value]  # pyright: ignore[reportUnknownVariableType]  # the same
    return value


def raw_request(
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None,
    body: bytes | None,
    headers: Mapping[str, str] | None,
    idempotency_key: str | None,
    repeatable: bool | None,
) -> Call:
    """Return the call for a method, and a path below the API root or an absolute URL.

    Raises:
        ConfigurationError: an argument that cannot be right, by its name.
    """
    name = str(method).upper()
    if name not in METHODS:
        raise ConfigurationError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    target, absolute = _target(path)
    pairs = encode_query(_pairs(query))
    if pairs:
        target = f"{target}&{pairs}" if "?" in target else join(target, pairs)
    return Call(
        route=Route("request", name, "{path}", mark="U"),
        method=name,
        target=target,
        absolute=absolute,
        body=body,
        headers=check_headers(headers) if headers else None,
        idempotency_key=idempotency_key,
        repeatable=name == "GET" if repeatable is None else repeatable,
    )


def _pairs(query: object) -> Iterable[tuple[str, str]]:
    """Return a query's names and values."""
    if query is None:
        return ()
    if isinstance(query, Mapping):
        given: list[tuple[Any, Any]] = [*query.items()]
        if all(isinstance(name, str) and isinstance(value, str) for name, value in given):
            return given
    raise ConfigurationError("query must be a dict of names and values, all of them text")


def _target(path: object) -> tuple[str, bool]:
    """Return path and query, percent-encoded, and whether it is a whole URL."""
    if not isinstance(path, str) or not path:
        raise ConfigurationError("path must be text, such as /orgs/…/batches")
    if _LOST.search(path):
        raise ConfigurationError("path must hold no # and no control characters; a # in an id is written %23")
    try:
        parts = urlsplit(path)
    except ValueError:
        raise ConfigurationError("path is neither a path nor a URL") from None
    if any(unquote(segment) in {".", ".."} for segment in parts.path.split("/")):
        raise ConfigurationError("path must have no segments of dots: they lead out of the API")
    target = join(percent(parts.path, "path", safe=_PATH_SAFE), percent(parts.query, "path", safe=_PATH_SAFE + "?"))
    if not parts.scheme and not parts.netloc:
        if not path.startswith("/"):
            raise ConfigurationError("path must begin with /, or be an absolute https URL")
        return target, False
    root = check_url(f"{parts.scheme}://{parts.netloc}", "path")
    return f"{root}{target if target.startswith('/') else f'/{target}'}", True
