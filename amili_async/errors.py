"""Every exception and warning of this package, in one tree.

::

    AmiliError
    ├── ConfigurationError (ValueError)     what you passed cannot be right; nothing was sent
    │   └── InvalidArgumentError            of one call: a filter, an id, a member of what is to be sent
    ├── TokenError                          the token endpoint refused or gave no token
    ├── TransportError                      sent, and no usable answer came back
    │   └── ConnectError                    never sent: DNS, connect, TLS, no free connection
    ├── DeadlineExceededError (TimeoutError)  the call's own deadline passed
    ├── OutcomeUnknownError                 a write may or may not have taken effect
    ├── APIError                            an answer with a status that is no success
    │   ├── BadRequestError                 400
    │   ├── UnauthorizedError               401
    │   ├── ForbiddenError                  403
    │   ├── NotFoundError                   404
    │   ├── ConflictError                   409
    │   ├── UnprocessableError              422
    │   ├── LockedError                     423
    │   ├── RateLimitedError                429
    │   └── ServerError                     5xx
    ├── DecodeError                         a 2xx whose body is not what was asked for
    ├── PaginationLoopError                 a list that hands out a page token twice
    ├── ClientClosedError                   the client was closed before
    ├── WrongLoopError                      the client belongs to another event loop
    ├── StoreError                          the sync store cannot be read or written
    ├── ReconciliationError                 more rows are not on the server any more than a sync takes for a fact
    ├── ClusterError                        the Dask cluster of a sync is out of reach
    └── WebhookVerificationError            a webhook whose signature does not verify

    AmiliWarning (UserWarning)
    ├── UnconfirmedRouteWarning             a route whose path is a guess was called
    └── UnusualValueWarning                 what is sent may be a slip

Errors hold plain values only: they pickle, deep-copy and cross process boundaries whole. None keeps a live response, a
token, a secret or a query value, not in its causes and contexts either, and not in the local variables of the frames it
ran through, which lose them (the caller's own stay). ``str``, ``repr`` and ``to_dict()`` show no secret, no query value
and nothing that a server wrote; what it wrote is in ``body`` and, as text, in ``detail``.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType
    from typing import Self

    from amili_async._cursor import Cursor
    from amili_async.models import Batch

MAX_BODY = 64 * 1024
"""The bytes of an answer that an error keeps, at most."""

MAX_DETAIL = 300
"""The characters of `AmiliError.detail`, at most."""


MAX_LINE = 4_000
"""The characters of ``str(error)``, at most: whatever it is of, it is one line of a log."""

_BELOW_THE_CALLER = frozenset({"aiohappyeyeballs", "aiohttp", "amili_async", "asyncio", "contextlib", "uvloop"})
"""Whose frames an error loses the local variables of: never those of a caller, or of a callback of the caller's."""

_HEADING = re.compile(r"<(?:title|h1)\b[^<>]*>", re.IGNORECASE)
_HEADING_END = re.compile(r"</(?:title|h1)\b", re.IGNORECASE)
_HEADINGS = 4
"""The headings of a page that are looked at, at most."""
_TAG = re.compile(r"<[^<>]*>")

_SAYING = ("detail", "title", "message", "error_description", "error", "errors", "summary", "status")


class ErrorContext(TypedDict, total=False):
    """The keywords that every error takes: where it happened and what came back."""

    operation: str | None
    method: str | None
    route: str | None
    status: int | None
    request_id: str | None
    attempts: int | None
    body: bytes | None
    cursor: Cursor | None


class AmiliError(Exception):
    """The root of every error that this package raises.

    Attributes that do not apply are ``None``: a call that was never sent has no ``status``.
    """

    shown: ClassVar[tuple[str, ...]] = ("operation", "method", "route", "status", "request_id", "attempts")
    """The attributes that ``to_dict()`` holds where they are set."""

    def __init__(self, message: str, **context: Unpack[ErrorContext]) -> None:
        super().__init__(message)
        self.message = message
        self.operation: str | None = context.get("operation")
        """The operation's name in the route table, such as ``batches.list``."""
        self.method: str | None = context.get("method")
        self.route: str | None = context.get("route")
        """The path template, never the path: ``/orgs/{organization_id}/batches``."""
        self.status: int | None = context.get("status")
        self.request_id: str | None = context.get("request_id")
        self.attempts: int | None = context.get("attempts")
        """How many requests of this call went out; 0 where none did."""
        body = context.get("body")
        self.body: bytes | None = None if body is None else bytes(body[:MAX_BODY])
        """What the server wrote, cut at 64 KiB. It may hold personal data: log it nowhere."""
        self.cursor: Cursor | None = context.get("cursor")
        """Where a list that ended with this error goes on."""

    def __str__(self) -> str:
        notes = [
            " ".join(part for part in (self.method, self.route) if part),
            f"status {self.status}" if self.status is not None and str(self.status) not in self.message else "",
            f"{self.attempts} attempts" if self.attempts is not None and self.attempts > 1 else "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        context = ", ".join(note for note in notes if note)
        name = f"{self.operation}: " if self.operation else ""
        return _cut(_printable(f"{name}{self.message}{f' ({context})' if context else ''}"), MAX_LINE)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # The default calls __init__ with `args` alone and so loses every keyword. A cause of another library's may not
        # pickle, or may hold a connection: only our own travels.
        cause = self.__cause__ if isinstance(self.__cause__, AmiliError) else None
        return (_rebuild, (type(self), self.args, dict(self.__dict__), cause))

    def to_dict(self) -> dict[str, object]:
        """Return what may be logged: class, one-line message and plain attributes, without body and cursor."""
        values = {name: getattr(self, name) for name in self.shown}
        known = {name: value for name, value in values.items() if value is not None}
        return {"error": type(self).__name__, "message": str(self), **known}

    @property
    def detail(self) -> str | None:
        """What the server said, read from ``body``: problem details, ``message``, ``error``, plain text, an HTML title.

        It may quote personal data, so it is never part of ``str``.
        """
        return _detail(self.body) if self.body else None


def _rebuild(
    kind: type[AmiliError], args: tuple[object, ...], state: Mapping[str, object], cause: AmiliError | None
) -> AmiliError:
    error = kind.__new__(kind, *args)
    error.args = args  # TimeoutError, one of them, takes its arguments in __init__ alone
    error.__dict__.update(state)
    error.__cause__ = cause
    return error


def detach(error: BaseException) -> None:
    """Let an error go without what it was raised among.

    Frames keep their local variables for as long as an error is kept: the token, the live response, a body of
    megabytes; reporters such as Sentry send them on. Those of this package, and of the libraries below it, lose them,
    and keep the lines that a traceback shows. A context that no traceback shows is dropped.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, AmiliError) and link.__suppress_context__:
            link.__context__ = None
        step = link.__traceback__
        while step is not None:
            _empty(step.tb_frame)
            step = step.tb_next
        link = link.__cause__ or link.__context__


def _empty(frame: FrameType | None) -> None:
    """Clear a frame, and those that called it: it keeps them, also those that an error was caught in on its way."""
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BELOW_THE_CALLER:
        try:
            frame.clear()
        except RuntimeError:  # one that still runs, as do all above it: they have their turn further up
            return
        frame = frame.f_back


def without_frames(error: BaseException) -> BaseException:
    """Return an error of another library fit to be a cause: without the frames that it and its own causes ran through.

    Their local variables hold the token and the live connection; reporters such as Sentry send them on.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _detail(body: bytes) -> str | None:
    text = body.decode("utf-8", "replace").strip()
    try:
        said = _said(json.loads(text))
    except (ValueError, RecursionError):
        return _plain(text)
    return _one_line(said) if said else None


def _said(answer: Any) -> str | None:
    """Return the first readable text among the members that error bodies are known to use."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return _said(answer[0]) if answer else None
    if not isinstance(answer, dict):
        return None
    members: dict[str, Any] = dict(answer)  # pyright: ignore[reportUnknownArgumentType]  # JSON of any shape
    return next((text for name in _SAYING if (text := _said(members.get(name)))), None)


def _plain(text: str) -> str | None:
    if text[:1] != "<":
        return _one_line(text) or None
    from html import unescape  # noqa: PLC0415  # its table of 2,231 entities, which few programs ever need

    for heading in islice(_HEADING.finditer(text), _HEADINGS):
        # So many characters at most: neither a heading without an end nor a number of thousands of digits costs more.
        written = _TAG.sub(" ", _HEADING_END.split(text[heading.end() : heading.end() + 4 * MAX_DETAIL], 1)[0])
        if line := _one_line(unescape(written)):
            return line
    return None


def _one_line(text: str) -> str:
    return _cut(_printable(text[: 4 * MAX_DETAIL]), MAX_DETAIL)


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _printable(text: str) -> str:
    """Return text in one line, without what a terminal acts on: escapes of either set, marks that turn text around."""
    line = " ".join(text.split())
    return (
        line
        if line.isprintable()
        else "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line)
    )


class ConfigurationError(AmiliError, ValueError):
    """An argument or setting that cannot be right. It names what is wrong and what would be right; nothing was sent."""


class InvalidArgumentError(ConfigurationError):
    """Arguments of one call that cannot be right: a filter, an id, a member of what is to be sent. Nothing was sent.

    ``problems`` has a line for each, which begins with the argument's or member's name. A service that passes on what
    its own callers sent answers 422.
    """

    shown: ClassVar[tuple[str, ...]] = (*ConfigurationError.shown, "problems")

    def __init__(self, message: str, *, problems: Sequence[str] = (), **context: Unpack[ErrorContext]) -> None:
        super().__init__(message, **context)
        self.problems: tuple[str, ...] = tuple(problems) or (message,)

    @classmethod
    def listing(cls, subject: str, problems: Sequence[str]) -> Self:
        """Return the error that lists all that is wrong with one thing."""
        count = "" if len(problems) == 1 else f"{len(problems)} problems: "
        return cls(f"{subject}: {count}{'; '.join(problems)}", problems=problems)


class TokenError(AmiliError):
    """The token endpoint refused the credentials, or its answer holds no token.

    ``code`` is OAuth's own word (``invalid_client``) where the endpoint gave one of RFC 6749's. ``retry_after`` is in
    how many seconds the endpoint will be asked again; ``None`` where asking again is pointless.
    """

    shown: ClassVar[tuple[str, ...]] = (*AmiliError.shown, "code", "retry_after")

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.code = code
        self.retry_after = retry_after


class TransportError(AmiliError):
    """The request was sent and no usable answer came back: timeout, disconnect, reset, a body cut short.

    Raised for calls that are safe to repeat, after their last attempt; a write gets `OutcomeUnknownError` instead.
    """


class ConnectError(TransportError):
    """The request was never sent: DNS, connect, TLS or the wait for a free connection failed. Repeating is safe."""


class DeadlineExceededError(AmiliError, TimeoutError):
    """The call's deadline passed before it had an answer; no write was in flight.

    ``spent`` says where the seconds went: ``gate``, ``slot``, ``token``, ``request`` and ``pause``. ``batch`` is the
    last batch seen where `batches.wait` gave up, ``pending`` the ids of those that `batches.wait_all` gave up on.
    """

    shown: ClassVar[tuple[str, ...]] = (*AmiliError.shown, "spent")

    def __init__(
        self,
        message: str,
        *,
        spent: Mapping[str, float] | None = None,
        batch: Batch | None = None,
        pending: Sequence[str] = (),
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.spent: dict[str, float] = dict(spent or {})
        self.batch = batch
        self.pending: tuple[str, ...] = tuple(pending)


class OutcomeUnknownError(AmiliError):
    """A write was sent and its outcome is not known: it may have taken effect, so it was not repeated.

    ``idempotency_key`` is the caller's own; ``recovery_hint`` says how to find out before sending again. What
    happened is the cause (``__cause__``).
    """

    shown: ClassVar[tuple[str, ...]] = (*AmiliError.shown, "idempotency_key", "recovery_hint")

    def __init__(
        self,
        message: str,
        *,
        idempotency_key: str | None = None,
        recovery_hint: str | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.idempotency_key = idempotency_key
        self.recovery_hint = recovery_hint


class APIError(AmiliError):
    """An answer whose status is no success.

    ``code`` is the server's own name for the reason, such as ``INVOICE_LOCKED``, where its answer holds one; in its own
    words the reason is in ``detail``. ``location`` is the host that a redirect named; it was not followed.
    """

    shown: ClassVar[tuple[str, ...]] = (*AmiliError.shown, "code", "location")

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        location: str | None = None,
        retry_after: float | None = None,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.code = code
        self.location = location
        self.retry_after = retry_after
        """Seconds that the server asked to wait, where it said so."""


class BadRequestError(APIError):
    """400: the request is malformed."""


class UnauthorizedError(APIError):
    """401: the token was refused, and a new one too."""


class ForbiddenError(APIError):
    """403: the credentials do not reach this organization or operation."""


class NotFoundError(APIError):
    """404: no such thing, or not for these credentials."""


class ConflictError(APIError):
    """409: it contradicts what is there, such as an invoice that exists already."""


class UnprocessableError(APIError):
    """422: understood, and refused for what it says."""


class LockedError(APIError):
    """423: being worked on by someone else."""


class RateLimitedError(APIError):
    """429: too many requests, and waiting as long as asked (``retry_after``) was not possible."""

    shown: ClassVar[tuple[str, ...]] = (*APIError.shown, "retry_after")


class ServerError(APIError):
    """5xx: the server failed."""

    shown: ClassVar[tuple[str, ...]] = (*APIError.shown, "retry_after")


class DecodeError(AmiliError):
    """A success whose body is not what was asked for: no JSON, no envelope, HTML, or members of the wrong kind.

    ``path`` is where in the body (``$.data[3].createdAt``), without the value. ``truncated`` is true for JSON that ends
    early, as a cut body is.
    """

    shown: ClassVar[tuple[str, ...]] = (*AmiliError.shown, "path")

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        truncated: bool = False,
        **context: Unpack[ErrorContext],
    ) -> None:
        super().__init__(message, **context)
        self.path = path
        self.truncated = truncated


class PaginationLoopError(AmiliError):
    """The list handed out a page token that it had handed out before, so it would never end."""


class ClientClosedError(AmiliError):
    """The client was closed before this call, or while it ran."""


class WrongLoopError(AmiliError):
    """The client was first used in another event loop. Make one client per loop."""


class StoreError(AmiliError):
    """The store of a sync cannot be read or written, or is newer than this version knows."""


class ReconciliationError(AmiliError):
    """More of an organization's rows are gone from the server than a sync takes for a fact; none was marked as gone."""


class ClusterError(AmiliError):
    """The Dask cluster of a sync cannot be reached, has no workers, or was lost. What was written is whole."""


class WebhookVerificationError(AmiliError):
    """The webhook's signature is missing or wrong, or too old. Answer 401 and nothing more."""


class AmiliWarning(UserWarning):
    """The root of this package's warnings."""


class UnconfirmedRouteWarning(AmiliWarning):
    """A route whose path is a guess (mark U) was called without a confirmed path in ``routes=``."""


class UnusualValueWarning(AmiliWarning):
    """What is sent may be a slip: an amount finer than the currency, due before the invoice's date, an unknown type."""
