from __future__ import annotations

import sys

import pytest

from amili_async.cli import _console as telling
from amili_async.errors import NotFoundError


@pytest.mark.parametrize("terminal", [True, False])
def test_what_the_server_wrote_is_shown_to_a_person_and_to_no_log(
    *, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    error = NotFoundError("no such batch", status=404, body=b'{"message": "Ola Nordmann has\\u001b[31m none"}')
    said = "; the server says: Ola Nordmann has�[31m none"
    assert telling.describe(error) == f"no such batch (status 404){said if terminal else ''}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amili.db", "amili.db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:se@cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("--store=postgresql://me:secret@host/db", "--store=postgresql://me:***@host/db"),
    ],
)
def test_the_password_of_a_store_is_never_printed(url: str, shown: str) -> None:
    assert telling.without_password(url) == shown


def test_where_a_program_finds_the_body_is_not_told_to_a_person() -> None:
    assert (
        telling.without_hint("404 Not Found, HTML page (5 bytes, kept in .body)")
        == "404 Not Found, HTML page (5 bytes)"
    )
