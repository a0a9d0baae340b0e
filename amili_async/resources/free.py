"""Free calls: what ``client.request`` sends for operations that have no method."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from amili_async.errors import ConfigurationError
from amili_async.protocol import Call, check_headers, encode_query, join, percent
from amili_async.routes import Route
from amili_async.servers import check_url

if TYPE_CHECKING:
    from collections.abc import Mapping

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")

_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_body(value: object) -> bytes:
    """Return a value as wire JSON, money as digits; bytes are taken for JSON that is written already.

    Raises:
        ConfigurationError: the value holds something that JSON cannot say.
    """
    if isinstance(value, bytes):
        return value
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"json cannot be written as JSON: {type(error).__name__}") from None


def free_call(
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
    pairs = encode_query((query or {}).items())
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


def _target(path: object) -> tuple[str, bool]:
    """Return path and query, percent-encoded, and whether it is a whole URL."""
    if not isinstance(path, str) or not path:
        raise ConfigurationError("path must be text, such as /orgs/…/batches")
    try:
        parts = urlsplit(path)
    except ValueError:
        raise ConfigurationError("path is neither a path nor a URL") from None
    if any(segment in {".", ".."} for segment in parts.path.split("/")):
        raise ConfigurationError("path must have no segments of dots: they lead out of the API")
    target = join(percent(parts.path, "path", safe=_PATH_SAFE), percent(parts.query, "path", safe=_PATH_SAFE + "?"))
    if not parts.scheme and not parts.netloc:
        if not path.startswith("/"):
            raise ConfigurationError("path must begin with /, or be an absolute https URL")
        return target, False
    root = check_url(f"{parts.scheme}://{parts.netloc}", "path")
    return f"{root}{target if target.startswith('/') else f'/{target}'}", True
