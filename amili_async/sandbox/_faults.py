"""Fault: one thing that goes wrong on demand, written in code or as one line of text."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, get_args

from amili_async._routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Kind = Literal[
    "refuse",
    "close",
    "reset",
    "hang",
    "close-after-headers",
    "close-in-body",
    "reset-in-body",
    "cut-chunks",
    "cut-unmarked",
    "cut-gzip",
    "slow-body",
    "close-idle",
    "close-reused",
    "truncate",
    "corrupt",
    "empty",
    "html",
    "wrong-schema",
    "wrong-content-type",
    "oversize",
    "bomb",
    "repeat-token",
    "cycle-tokens",
    "expire-token",
    "empty-page",
    "duplicate-row",
    "last-absent",
    "last-null",
    "last-empty",
    "bad-row",
    "lenient-row",
    "unknown-type",
    "unknown-value",
    "unknown-member",
    "revoke",
]
"""What a fault does; the sandbox's page has a line for each."""

KINDS: frozenset[str] = frozenset(get_args(Kind))

INSTEAD: frozenset[str] = frozenset({"close", "reset", "hang", "close-reused", "expire-token", "revoke"})
"""Kinds that are decided when the request arrives."""
LISTS: frozenset[str] = frozenset(
    {"repeat-token", "cycle-tokens", "empty-page", "duplicate-row", "last-absent", "last-null", "last-empty"}
)
"""Kinds that change a page of a list."""
ROWS: frozenset[str] = frozenset({"bad-row", "lenient-row", "unknown-type", "unknown-value", "unknown-member"})
"""Kinds that change a row of a page, or the object of a single read."""

OPERATIONS: frozenset[str] = frozenset({*ROUTES, "token", "unknown"})
"""What a request can be: an operation of the route table, one for a token, or one for nothing that there is."""

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0}
_SIZES = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z%]*)")
_PLAIN = re.compile(r"[\w.:/%*+-]+", re.ASCII)
_STATUSES = range(100, 600)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, where, and how often.

    ``operation`` is a name of the route table, ``token`` for the token endpoint, ``unknown`` for every other path, or a
    pattern (``batches.*``, ``*``). One that fits nothing is refused.
    What happens is a ``kind``, or an answer of your own (``status``, ``body``, ``content_type``, ``headers``,
    ``location``, ``retry_after``) in place of the right one, or mere ``latency``; they combine.

    ======================  ==================================================================================
    kind                    what happens
    ======================  ==================================================================================
    ``refuse``              the port refuses connections, open ones are dropped, for ``seconds`` or until removed
    ``close``               the connection is closed before the status line
    ``reset``               the same with a reset (RST)
    ``hang``                no answer ever comes
    ``close-after-headers`` closed after status line and headers
    ``close-in-body``       closed half way through the body; ``reset-in-body`` resets it
    ``cut-chunks``          a chunked body that stops without its last chunk
    ``cut-unmarked``        half the body, no ``Content-Length``, then the close that ends such a body
    ``cut-gzip``            a gzip stream that does not end, well framed
    ``slow-body``           the whole body, a little at a time, over ``seconds`` (10)
    ``close-idle``          the right answer, then the kept-alive connection is closed unannounced
    ``close-reused``        closed without an answer, where the connection had served a request before
    ``truncate``            JSON that ends early, well framed
    ``corrupt``             JSON that is broken in its middle
    ``empty``               no body
    ``html``                an HTML page in place of the body
    ``wrong-schema``        JSON that is not what was asked for
    ``wrong-content-type``  the right body as ``text/plain``
    ``oversize``            the right body behind ``size`` bytes (65 MiB) of blanks
    ``bomb``                the same as gzip, small on the wire
    ``repeat-token``        the page hands out the page token that it was asked with
    ``cycle-tokens``        from the third page on, the token of the page before
    ``expire-token``        a page token is refused with 400
    ``empty-page``          no rows, and a token under which they come
    ``duplicate-row``       the last row of the page comes again as the first of the next
    ``last-absent``         the last page's token is absent; ``last-null``: null; ``last-empty``: an empty text
    ``bad-row``             a row that cannot be read; ``row`` says which, else the middle one
    ``lenient-row``         a row that can be read leniently: a date for a moment, a number for text, null for a list
    ``unknown-type``        an entry whose ``$type`` nobody has seen; ``unknown-value``: type and status
    ``unknown-member``      members that nobody has seen, in row and summary
    ``revoke``              the access token is revoked: 401 until the client has another
    ======================  ==================================================================================

    ``count`` ends it after so many times (``None``: never), ``skip`` lets so many matching requests pass first,
    ``probability`` makes it a draw, the same for the same seed. ``organization`` and ``page`` (1 is the first) narrow
    what matches. ``acts`` runs the operation first, so that a write takes effect and its answer is lost.
    Durations are seconds; ``spread`` adds up to so many to ``latency``.

    As text: operation, colon, then kind and settings with commas between: ``batches.list:status=503,retry_after=2``,
    ``invoices.create:reset,acts,count=1``, ``*:latency=20ms,spread=10ms``, ``token:html,probability=10%``. Values with
    commas are quoted as in a shell.
    """

    operation: str
    kind: Kind | None = None
    status: int | None = field(default=None, kw_only=True)
    body: bytes | str | None = field(default=None, kw_only=True)
    content_type: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True, hash=False)
    location: str | None = field(default=None, kw_only=True)
    retry_after: float | str | None = field(default=None, kw_only=True)
    latency: float = field(default=0.0, kw_only=True)
    spread: float = field(default=0.0, kw_only=True)
    seconds: float | None = field(default=None, kw_only=True)
    size: int | None = field(default=None, kw_only=True)
    row: int | None = field(default=None, kw_only=True)
    acts: bool = field(default=False, kw_only=True)
    organization: str | None = field(default=None, kw_only=True)
    page: int | None = field(default=None, kw_only=True)
    count: int | None = field(default=None, kw_only=True)
    skip: int = field(default=0, kw_only=True)
    probability: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.body, str):
            object.__setattr__(self, "body", self.body.encode("utf-8", "surrogateescape"))
        if not any(fnmatchcase(operation, self.operation) for operation in OPERATIONS):
            raise ValueError(f"{self.operation!r} is no operation and fits none{_meant(self.operation, OPERATIONS)}")
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of fault{_meant(self.kind, KINDS)}")
        if self.status is not None and self.status not in _STATUSES:
            raise ValueError(f"status must be 100 to 599, not {self.status}")
        for name in ("latency", "spread", "seconds", "size", "count", "skip", "row"):
            if not (getattr(self, name) or 0) >= 0:
                raise ValueError(f"{name} must not be negative, it is {getattr(self, name)}")
        for name in ("count", "page"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} must be at least 1, or the fault never strikes")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be 0 to 1, not {self.probability}")
        if self.kind is None and not self.answers and not self.alters and not self.delays:
            raise ValueError(
                f"nothing happens: give a kind ({', '.join(sorted(KINDS))}), a status, a body or a latency"
            )

    @property
    def answers(self) -> bool:
        """Whether it brings an answer of its own in place of the right one."""
        return self.status is not None or self.body is not None

    @property
    def alters(self) -> bool:
        """Whether it changes the headers of the answer."""
        return bool(self.headers or self.location or self.content_type) or self.retry_after is not None

    @property
    def delays(self) -> bool:
        """Whether it takes time."""
        return self.latency > 0 or self.spread > 0

    @property
    def extra_headers(self) -> dict[str, str]:
        """The headers that it adds."""
        added = dict(self.headers)
        if self.location is not None:
            added["Location"] = self.location
        if self.retry_after is not None:
            wait = self.retry_after
            added["Retry-After"] = wait if isinstance(wait, str) else f"{wait:g}"
        return added

    def __str__(self) -> str:
        parts: list[str] = [self.kind] if self.kind is not None else []
        for name, default in _DEFAULTS.items():
            value = getattr(self, name)
            if value == default:
                continue
            if name == "headers":
                parts += [_setting("header", f"{header}: {text}") for header, text in self.headers.items()]
            elif isinstance(value, bool):
                parts.append(name)
            else:
                text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
                parts.append(_setting(name, text))
        return f"{self.operation}:{','.join(parts)}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault that a line of text describes.

        Raises:
            ValueError: it describes none; the message says what would.
        """
        operation, colon, rest = text.partition(":")
        operation = operation.strip()
        if not operation or not colon:
            raise ValueError(f"{text!r}: write operation:what, such as batches.list:status=503,count=3 or token:reset")
        settings: dict[str, object] = {}
        headers: dict[str, str] = {}
        lexer = shlex.shlex(rest, posix=True)
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = ",", True, ""
        for part in lexer:
            name, equals, value = part.partition("=")
            name = name.strip()
            if not equals and name in KINDS:
                settings["kind"] = name
            elif not equals and name == "acts":
                settings["acts"] = True
            elif equals and name == "header":
                header, _, content = value.partition(":")
                headers[header.strip()] = content.strip()
            elif equals and name in _READERS:
                settings[name] = _read(name, value)
            else:
                known = [*sorted(KINDS), "acts", *(f"{reader}=" for reader in _READERS), "header="]
                raise ValueError(f"{part!r} is no part of a fault{_meant(f'{name}{equals}', known)}")
        return cls(operation, headers=headers, **settings)  # type: ignore[arg-type]  # each was read by its field's reader


def _meant(given: str, known: Collection[str]) -> str:
    """Return what a message says of a name that is not known: those that are like it, else all."""
    near = get_close_matches(given, sorted(known))
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(sorted(known))}"


def seconds(text: str) -> float:
    """Return a duration such as ``20ms``, ``1.5s``, ``2m`` or ``2`` in seconds."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{text!r} is no duration; write 20ms, 1.5s or 2m")
    return float(found[1]) * _UNITS[found[2]]


def _bytes(text: str) -> int:
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2] not in _SIZES:
        raise ValueError(f"{text!r} is no size; write 1000, 64kB or 65MiB")
    return int(float(found[1]) * _SIZES[found[2]])


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _wait(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _setting(name: str, text: str) -> str:
    # Not shlex.quote, which takes a comma for harmless.
    quoted = "'" + text.replace("'", "'\"'\"'") + "'"
    return f"{name}={text if _PLAIN.fullmatch(text) else quoted}"


def _read(name: str, value: str) -> object:
    try:
        return _READERS[name](value)
    except ValueError as error:
        raise ValueError(f"{name}={value}: {error}") from None


_READERS: dict[str, Callable[[str], object]] = {
    "status": int,
    "body": str,
    "content_type": str,
    "location": str,
    "retry_after": _wait,
    "latency": seconds,
    "spread": seconds,
    "seconds": seconds,
    "size": _bytes,
    "row": int,
    "organization": str,
    "page": int,
    "count": int,
    "skip": int,
    "probability": _share,
}

_DEFAULTS: dict[str, object] = {item.name: {} if item.name == "headers" else item.default for item in fields(Fault)[2:]}
