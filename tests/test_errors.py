"""Every error: what it says, what it keeps, and that it travels whole."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async import errors
from amili_async._cursor import Cursor
from amili_async.errors import (
    MAX_BODY,
    MAX_DETAIL,
    MAX_LINE,
    AmiliError,
    AmiliWarning,
    APIError,
    ConfigurationError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    TokenError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amili_async.errors import ErrorContext

T = TypeVar("T")
PERSONAL = "Kari Nordmann owes 4500"


def descendants(kind: type[T]) -> Iterator[type[T]]:
    child: type[T]
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from descendants(child)


def through_pickle(error: AmiliError) -> AmiliError:
    # Dask, once anything has imported it, registers a way of its own to pickle every exception; ours is what is tested.
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    pickler.dispatch_table = {}
    pickler.dump(error)
    arrived: AmiliError = pickle.loads(file.getvalue())  # noqa: S301  # our own bytes
    return arrived


KINDS: list[type[AmiliError]] = [AmiliError, *descendants(AmiliError)]

CONTEXT: ErrorContext = {
    "operation": "batches.list",
    "method": "GET",
    "route": "/orgs/{organization_id}/batches",
    "status": 404,
    "request_id": "req-17",
    "attempts": 3,
    "body": PERSONAL.encode(),
    "cursor": Cursor(token=PERSONAL, row=4, fingerprint="f"),
}


def full(kind: type[AmiliError]) -> AmiliError:
    """Return an error of this kind with everything set that it can hold."""
    own: dict[type[AmiliError], Callable[[], AmiliError]] = {
        TokenError: lambda: TokenError("no token", code="invalid_client", retry_after=1.5, **CONTEXT),
        DeadlineExceededError: lambda: DeadlineExceededError("late", spent={"gate": 1.0, "request": 2.5}, **CONTEXT),
        OutcomeUnknownError: lambda: OutcomeUnknownError("?", idempotency_key="k-1", recovery_hint="look", **CONTEXT),
        InvalidArgumentError: lambda: InvalidArgumentError("no", problems=["a must be b", "c is d"], **CONTEXT),
        DecodeError: lambda: DecodeError("no JSON", path="$.data", truncated=True, **CONTEXT),
    }
    if kind in own:
        return own[kind]()
    if issubclass(kind, APIError):
        return kind("refused", location="evil.example", retry_after=7.0, **CONTEXT)
    return kind("it failed", **CONTEXT)


# -- the tree


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^( {4}[│├└─ ]*)(\w+(?:Error|Warning))\b(?: \((\w+)\))?", line)
        if not found:
            continue
        depth, name = len(found[1]), found[2]
        while parents and parents[-1][0] >= depth:
            parents.pop()
        if parents:
            drawn[name] = parents[-1][1]
        if found[3]:
            assert found[3] in {base.__name__ for base in getattr(errors, name).__bases__}
        parents.append((depth, name))
    kinds = [*descendants(AmiliError), *descendants(AmiliWarning)]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in kinds}


def test_errors_are_also_what_the_standard_library_calls_them() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(DeadlineExceededError, TimeoutError)
    assert issubclass(AmiliWarning, UserWarning)


# -- travelling


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, through_pickle])
def test_an_error_travels_whole(kind: type[AmiliError], travel: Callable[[AmiliError], AmiliError]) -> None:
    error = full(kind)
    error.__cause__ = full(NotFoundError)
    error.add_note("seen twice")
    arrived = travel(error)
    assert type(arrived) is kind
    assert vars(arrived) == vars(error)
    assert arrived.args == error.args
    assert str(arrived) == str(error)
    assert isinstance(arrived.__cause__, NotFoundError)
    assert vars(arrived.__cause__) == vars(error.__cause__)


def test_a_cause_of_another_library_stays_behind() -> None:
    error = TransportError("reset")
    error.__cause__ = OSError("a live socket")
    assert through_pickle(error).__cause__ is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_made_of_its_message_alone(kind: type[AmiliError]) -> None:
    error = kind("it failed")
    assert str(error) == "it failed"
    own: dict[type[AmiliError], dict[str, object]] = {
        DeadlineExceededError: {"spent": {}},
        InvalidArgumentError: {"problems": ("it failed",)},
    }
    assert error.to_dict() == {"error": kind.__name__, "message": "it failed", **own.get(kind, {})}
    assert error.detail is None


# -- what it says


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_shows_no_data(kind: type[AmiliError]) -> None:
    error = full(kind)
    shown = f"{error} {error!r} {error.to_dict()}"
    assert PERSONAL not in shown
    json.dumps(error.to_dict())


def test_the_key_of_a_write_whose_outcome_is_unknown_is_there_for_machines() -> None:
    error = full(OutcomeUnknownError)
    assert error.to_dict()["idempotency_key"] == "k-1"
    assert "k-1" not in str(error)


def test_an_error_lists_all_problems_in_one_line() -> None:
    one = InvalidArgumentError.listing("NewInvoice", ["due_date is late"])
    assert (str(one), one.problems) == ("NewInvoice: due_date is late", ("due_date is late",))
    two = InvalidArgumentError.listing("NewInvoice", ["due_date is late", "vat is odd"])
    assert str(two) == "NewInvoice: 2 problems: due_date is late; vat is odd"
    assert two.to_dict()["problems"] == two.problems == ("due_date is late", "vat is odd")


def test_an_error_says_in_one_line_where_it_happened() -> None:
    error = NotFoundError("404\r\nNot   Found", **CONTEXT)
    assert str(error) == (
        "batches.list: 404 Not Found (GET /orgs/{organization_id}/batches, 3 attempts, request id req-17)"
    )
    assert repr(error) == f"NotFoundError({str(error)!r})"


def test_a_status_that_the_message_does_not_name_is_added() -> None:
    assert str(OutcomeUnknownError("unknown", status=202, attempts=1)) == "unknown (status 202)"


def test_to_dict_holds_what_is_set() -> None:
    assert full(RateLimitedError).to_dict() == {
        "error": "RateLimitedError",
        "message": str(full(RateLimitedError)),
        "operation": "batches.list",
        "method": "GET",
        "route": "/orgs/{organization_id}/batches",
        "status": 404,
        "request_id": "req-17",
        "attempts": 3,
        "location": "evil.example",
        "retry_after": 7.0,
    }
    assert full(TokenError).to_dict()["code"] == "invalid_client"
    assert full(DecodeError).to_dict()["path"] == "$.data"
    assert full(OutcomeUnknownError).to_dict()["recovery_hint"] == "look"
    assert full(DeadlineExceededError).to_dict()["spent"] == {"gate": 1.0, "request": 2.5}


# -- the body


def test_a_body_is_cut_at_64_kib_and_copied() -> None:
    answer = bytearray(b"x" * (MAX_BODY + 1))
    error = ServerError("500", body=bytes(answer))
    assert error.body == b"x" * MAX_BODY
    assert type(ServerError("500", body=memoryview(answer)[:3]).body) is bytes  # type: ignore[arg-type]  # what a view becomes


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"type": "about:blank", "title": "Bad", "detail": "dueDate is missing"}', "dueDate is missing"),
        (b'{"title": "Bad"}', "Bad"),
        (b'{"message": "no such batch"}', "no such batch"),
        (b'{"error": "invalid_client", "error_description": "wrong secret"}', "wrong secret"),
        (b'{"error": {"code": 7, "message": "deep"}}', "deep"),
        (b'{"errors": [{"objectname": "x", "message": "first"}, {"message": "second"}]}', "first"),
        (b'{"summary": {"status": "FAILED"}}', "FAILED"),
        (b'"just text"', "just text"),
        (b"no   such\n batch", "no such batch"),
        (b"<!doctype html><html><head><title>502 Bad&nbsp;Gateway</title></head>", "502 Bad Gateway"),
        (b"<html><body><H1 class='x'>Oops</H1>", "Oops"),
        ("æøå".encode("latin-1"), "���"),
        (b"<html>", None),
        (b'{"detail": "", "title": null, "errors": [], "code": 7}', None),
        (b"{}", None),
        (b"[]", None),
        (b"7", None),
        (b"   ", None),
        (b"", None),
        (None, None),
    ],
)
def test_what_the_server_said_is_read_from_any_kind_of_body(body: bytes | None, detail: str | None) -> None:
    assert BadRequest(body).detail == detail


def BadRequest(body: bytes | None) -> APIError:  # noqa: N802  # reads as what it makes
    return errors.BadRequestError("400", body=body)


def test_a_long_detail_is_cut() -> None:
    detail = BadRequest(b"x" * 5_000).detail
    assert detail is not None
    assert len(detail) == MAX_DETAIL
    assert detail.endswith("x…")


@given(
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_no_body_breaks_the_reading(body: bytes) -> None:
    detail = BadRequest(body).detail
    assert detail is None or "\n" not in detail


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"error":' * 7_000])
def test_a_body_nested_without_end_is_only_unreadable(body: bytes) -> None:
    assert BadRequest(body).detail is not None


def test_never_sent_is_told_apart_from_sent() -> None:
    assert issubclass(ConnectError, TransportError)
    assert not issubclass(OutcomeUnknownError, TransportError)


# -- text from elsewhere


@pytest.mark.parametrize(
    "body",
    [
        b"<h1>a" * 13_000,
        b"<title" * 10_000,
        b"<h1>" + b"<" * 65_000,
        b"<h1>&#" + b"9" * 65_000 + b";</h1>",
        b"<h1>" + b"&amp;" * 13_000 + b"</h1>",
        b"<h1>" + b" " * 65_000 + b"</h1>",
        b" " * 65_000 + b"x",
        b'"' + b"\\u202e" * 10_000 + b'"',
        b"9" * 65_000,
    ],
    ids=lambda body: str(body[:12]),
)
def test_a_body_made_to_be_slow_to_read_is_read_as_any_other(body: bytes) -> None:
    looked: list[int] = []

    class Counted(str):
        """Text that notes how much of it is handed on."""

        __slots__ = ()

        def __getitem__(self, key: object) -> str:
            part = str.__getitem__(self, key)  # type: ignore[index]  # passed on
            looked.append(len(part))
            return part

    detail = BadRequest(body).detail
    assert detail is None or len(detail) <= MAX_DETAIL
    errors._plain(Counted(body.decode().strip()))  # pyright: ignore[reportPrivateUsage]  # what `detail` reads pages with
    assert sum(looked) <= 10_000


@pytest.mark.parametrize(
    "text",
    [
        "a\x1b[31mred",
        "a\x9b31mred",
        "a\x85b",
        "a\u202egnp.exe",
        "a\u2066b\u2069",
        "a\x00b",
        "a\x7fb",
        "a\u200bb",
        "\ud800",
    ],
)
def test_nothing_that_a_terminal_acts_on_is_in_what_an_error_says(text: str) -> None:
    error = TransportError(f"the answer of {text}", request_id=None)
    assert str(error).isprintable()
    assert error.to_dict()["message"] == str(error)
    assert repr(error).isprintable()
    said = BadRequest(json.dumps({"message": text}).encode()).detail
    assert said is not None
    assert said.isprintable()
    page = BadRequest(f"<h1>{text}</h1>".encode("utf-8", "replace")).detail
    assert page is None or page.isprintable()


def test_an_error_is_one_line_of_bounded_length() -> None:
    error = TransportError("line one\nline two " + "x" * 1_000_000)
    assert len(str(error)) == MAX_LINE
    assert str(error).startswith("line one line two xxx")
    assert len(repr(error)) < MAX_LINE + 100


@pytest.mark.parametrize(
    ("page", "detail"),
    [
        ("<html><h1><b>Out</b> of service</h1><p>more</p>", "Out of service"),
        ("<title></title><h1>Oops</h1>", "Oops"),
        ("<h1>never closed", "never closed"),
        ("<h1class>no heading</h1>", None),
        ("<TITLE>502</TITLE>", "502"),
        ("<h1></h1>" * 10 + "<h1>too late</h1>", None),
    ],
)
def test_a_pages_heading_is_what_it_says(page: str, detail: str | None) -> None:
    assert BadRequest(page.encode()).detail == detail
