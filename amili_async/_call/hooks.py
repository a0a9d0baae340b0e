"""Hooks and log lines: who is told what happened, without ever breaking the call it happened in.

A log line and the record that hooks get say the same: the line's ``extra`` holds the record's fields as ``amili_*``.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from amili_async._protocol.options import is_async
from amili_async._protocol.requests import check_headers
from amili_async.errors import ConfigurationError
from amili_async.events import Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    import msgspec

    from amili_async.events import (
        AttemptEnded,
        CallStarted,
        Drift,
        GateClosed,
        RateLearned,
        RetryPlanned,
        TokenRequested,
    )

# No NullHandler: with one, Python's handler of last resort would print no warning and no error of a service, or of a
# script, in which nobody has set logging up; such as those of a webhook's handler under plain uvicorn.
logger = logging.getLogger("amili_async")

Listener = Literal["on_attempt", "on_retry", "on_gate", "on_rate", "on_token", "on_call", "on_drift", "on_quarantine"]

METHODS = tuple(name for name in vars(Hook) if name.startswith("on_"))
_DRIFT_SPOTS = 10_000
_RATE_NEWS = 0.1
"""Part by which a learnt rate has to differ from the one that was logged last to be logged."""


class Hooks:
    """The hooks of one client and its log. What nobody listens to costs a call nothing."""

    def __init__(self, hooks: Iterable[object]) -> None:
        self._listeners: dict[str, list[tuple[object, Callable[..., object]]]] = {name: [] for name in METHODS}
        self._failed: set[tuple[int, str]] = set()
        self._logged_rate = 0.0
        self._drift_seen: set[tuple[str, str, str, str]] = set()
        self.calls: bool = False
        """Whether anybody wants to know of calls."""
        for hook in hooks:
            self._add(hook)

    @contextmanager
    def with_one_more(self, hook: object) -> Generator[None]:
        """Tell another hook too, while the block runs: for work that watches a client it was given."""
        self._add(hook)
        try:
            yield
        finally:
            for name, listeners in self._listeners.items():
                self._listeners[name] = [listener for listener in listeners if listener[0] is not hook]
            self._look()

    def _add(self, hook: object) -> None:
        methods = [name for name in METHODS if callable(getattr(hook, name, None))]
        if not methods:
            raise ConfigurationError(
                f"hooks: {type(hook).__name__} has no method of a hook; give it one of {', '.join(METHODS)}"
            )
        for name in methods:
            if is_async(getattr(hook, name)):
                raise ConfigurationError(
                    f"hooks: {type(hook).__name__}.{name} must be a plain function: nobody would await an async one"
                )
        for name in methods:
            self._listeners[name].append((hook, getattr(hook, name)))
        self._look()

    def _look(self) -> None:
        self.calls = bool(self._listeners["on_call_start"] or self._listeners["on_call"])

    def listening(self, name: Listener) -> bool:
        """Return whether any hook has this method."""
        return bool(self._listeners[name])

    def start(self, record: CallStarted) -> dict[str, str]:
        """Tell that a call begins; return the headers that hooks want to add to it."""
        added: dict[str, str] = {}
        for hook, listener in self._listeners["on_call_start"]:
            try:
                headers: object = listener(record)
                if headers:
                    added.update(check_headers(_mapping(headers), f"headers of {type(hook).__name__}.on_call_start"))
            except Exception as error:  # noqa: BLE001  # a hook may raise anything, and the call goes on
                self._log_failure(hook, "on_call_start", error)
        return added

    def tell(self, name: Listener, record: msgspec.Struct) -> None:
        """Hand a record to every hook that has this method."""
        for hook, listener in self._listeners[name]:
            try:
                listener(record)
            except Exception as error:  # noqa: BLE001  # a hook may raise anything, and the call goes on
                self._log_failure(hook, name, error)

    def attempt(self, record: AttemptEnded) -> None:
        """Tell and log that a request was answered or failed."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s attempt %d: %s in %.3f s",
                record.operation,
                record.attempt,
                record.status or record.error,
                record.seconds,
                extra=_fields("attempt", record),
            )
        self.tell("on_attempt", record)

    def attempts_watched(self) -> bool:
        """Return whether an attempt's record would reach anybody."""
        return bool(self._listeners["on_attempt"]) or logger.isEnabledFor(logging.DEBUG)

    def retry(self, record: RetryPlanned) -> None:
        """Tell and log that a request will be repeated."""
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "%s attempt %d failed (%s), repeating in %.1f s",
                record.operation,
                record.attempt,
                record.reason,
                record.wait,
                extra=_fields("retry", record),
            )
        self.tell("on_retry", record)

    def gate(self, record: GateClosed) -> None:
        """Tell and log that a 429 holds every call of the client back."""
        if logger.isEnabledFor(logging.WARNING):
            message = "%s: rate limited, all calls wait %.1f s"
            logger.warning(message, record.operation, record.seconds, extra=_fields("gate", record))
        self.tell("on_gate", record)

    def rate(self, record: RateLearned) -> None:
        """Tell, and log where it is news, what rate the server takes."""
        if logger.isEnabledFor(logging.INFO) and abs(record.rate - self._logged_rate) > _RATE_NEWS * self._logged_rate:
            self._logged_rate = record.rate
            message = "%s: rate limited, calls go at %.3g a second"
            logger.info(message, record.operation, record.rate, extra=_fields("rate", record))
        self.tell("on_rate", record)

    def token(self, record: TokenRequested) -> None:
        """Tell and log how a token request ended, or that a token was refused."""
        level = logging.DEBUG if record.outcome == "renewed" else logging.WARNING
        if logger.isEnabledFor(level):
            logger.log(level, "token %s", record.outcome, extra=_fields("token", record))
        self.tell("on_token", record)

    def drift(self, record: Drift) -> None:
        """Tell of a difference from the documentation, once for each operation and spot."""
        spot = (record.operation, record.kind, record.path, record.found)
        if spot in self._drift_seen or len(self._drift_seen) >= _DRIFT_SPOTS:
            return
        self._drift_seen.add(spot)
        self.tell("on_drift", record)

    def _log_failure(self, hook: object, name: str, error: Exception) -> None:
        """Log a hook's failure once: an unpatched hook must not fill the log of a job of a million calls."""
        key = (id(hook), name)
        if key not in self._failed:
            self._failed.add(key)
            message = "hook %s.%s failed; its further failures are not logged"
            logger.error(message, type(hook).__name__, name, exc_info=error, extra={"amili_event": "hook"})


def _mapping(headers: object) -> Mapping[str, str]:
    """Return what ``on_call_start`` returned, for `check_headers` to look at each name and value."""
    return dict(headers)  # type: ignore[call-overload,no-any-return]  # anything else raises here, and is the hook's fault


def _fields(event: str, record: msgspec.Struct) -> dict[str, object]:
    fields = {f"amili_{name}": getattr(record, name) for name in record.__struct_fields__}
    return {"amili_event": event, **fields}
