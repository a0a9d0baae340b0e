"""How a call is made: its deadline, the timeout of one attempt, what is repeated, extra headers, and invalid rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isroutine
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from amili_async._protocol.requests import check_headers
from amili_async._protocol.retry import RetryPolicy
from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    from amili_async.events import QuarantinedRow

OnInvalid: TypeAlias = Literal["raise", "skip"] | Callable[["QuarantinedRow"], object]
"""What becomes of a row that cannot be read: an error, left out, or left out and handed to a function."""


def seconds(value: object, name: str) -> float:
    """Return a duration that a caller gave.

    Raises:
        ConfigurationError: it is no number, not above zero, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ConfigurationError(f"{name} must be a number of seconds above 0, not {value!r}")
    return float(value)


class Timeout(msgspec.Struct, frozen=True):
    """How long one attempt may take, in seconds.

    ``total`` bounds it from the request to the last byte of the body; ``connect`` the way to a connection: the wait for
    a free one, DNS, TCP and TLS.
    """

    __module__ = "amili_async"  # where it is imported from

    total: float = 30.0
    connect: float = 5.0

    def __post_init__(self) -> None:
        seconds(self.total, "timeout.total")
        seconds(self.connect, "timeout.connect")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What ``client.with_options()`` changes. Checked by `options()`."""

    deadline: float | None = 60.0
    timeout: Timeout = Timeout()
    retry: RetryPolicy = RetryPolicy()
    headers: dict[str, str] = {}
    on_invalid: OnInvalid = "raise"


def merge_options(
    base: Options,
    *,
    deadline: float | UnsetType | None = UNSET,
    retry: RetryPolicy | None = None,
    timeout: Timeout | float | None = None,
    headers: Mapping[str, str] | None = None,
    on_invalid: OnInvalid | None = None,
) -> Options:
    """Return the options with those that are given in place of the base's; headers are added to the base's.

    Raises:
        ConfigurationError: one of them cannot be right; its name is in the message.
    """
    if timeout is not None and not isinstance(timeout, Timeout):
        total = seconds(timeout, "timeout")
        timeout = Timeout(total=total, connect=min(total, base.timeout.connect))
    if retry is not None and not isinstance(retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
    return Options(
        deadline=base.deadline if isinstance(deadline, UnsetType) else _deadline(deadline),
        timeout=timeout or base.timeout,
        retry=retry or base.retry,
        headers={**base.headers, **check_headers(headers)},
        on_invalid=base.on_invalid if on_invalid is None else check_on_invalid(on_invalid),
    )


def _deadline(value: float | None) -> float | None:
    return None if value is None else seconds(value, "deadline")


def is_async(function: object) -> bool:
    """Return whether calling this makes a coroutine, or the like, that nobody would await."""
    while isinstance(function, partial):
        function = function.func
    called = function if isroutine(function) else getattr(function, "__call__", None)  # noqa: B004  # what is called, not whether
    return iscoroutinefunction(called) or isasyncgenfunction(called)


def check_on_invalid(value: OnInvalid) -> OnInvalid:
    """Return what to do with invalid rows.

    Raises:
        ConfigurationError: it is neither ``"raise"`` nor ``"skip"`` nor a plain function.
    """
    if is_async(value):
        raise ConfigurationError("on_invalid must be a plain function: nobody would await an async one")
    if callable(value) or value in ("raise", "skip"):  # a set would have to hash what it is given
        return value
    raise ConfigurationError(f'on_invalid must be "raise", "skip" or a function, not {value!r}')
