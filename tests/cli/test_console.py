from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.cli import _console as console
from amili_async.errors import NotFoundError
from amili_async.models import BatchState

OSLO = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "whole", "short"),
    [
        (None, "", ""),
        ("Ola", "Ola", "Ola"),
        (Decimal("4500.00"), "4500.00", "4500.00"),
        (BatchState("QUEUED"), "QUEUED", "QUEUED"),
        (0, "0", "0"),
        (datetime(2026, 5, 17, 12, 30, 5, tzinfo=UTC), "2026-05-17T12:30:05Z", "2026-05-17 12:30"),
        (datetime(2026, 5, 17, 12, 30, tzinfo=OSLO), "2026-05-17T10:30:00Z", "2026-05-17 10:30"),
        ("a\tb\nc\x1b[2J", "a�b�c�[2J", "a�b�c�[2J"),
    ],
)
def test_a_value_is_shown_as_one_cell(value: object, whole: str, short: str) -> None:
    assert console.cell(value) == whole
    assert console.cell(value, short=True) == short


def test_json_is_one_line_with_its_members_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    console.write_json('{"b": 4500.00,\n "a": "Grünerløkka", "b": 1e3}'.encode())
    assert capfdbinary.readouterr().out == '{"b":4500.00,"a":"Grünerløkka","b":1e3}\n'.encode()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_the_server_wrote_is_shown_to_a_person_and_to_no_log(
    *, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    error = NotFoundError("no such batch", status=404, body=b'{"message": "Ola Nordmann has\\u001b[31m none"}')
    said = "; the server says: Ola Nordmann has�[31m none"
    assert console.describe(error) == f"no such batch (status 404){said if terminal else ''}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amili.db", "amili.db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:se@cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("--store=postgresql://me:secret@host/db", "--store=postgresql://me:***@host/db"),
        ("postgresql://me:my secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:se/cr?et@host/db", "postgresql://me:***@host/db"),
        ("PostgreSQL://me:SECRET%40%20@host/db?sslmode=require", "PostgreSQL://me:***@host/db?sslmode=require"),
        ("postgresql://host/db?PassWord=my secret word&x=1", "postgresql://host/db?PassWord=***&x=1"),
        ("postgresql://h/d?pass%77ord =secret&sslpassword=secret", "postgresql://h/d?pass%77ord =***&sslpassword=***"),
        ("host=h password = 'my secret' dbname=x", "host=h password =***"),
        ("postgresql://me@host/db?options=a:b@c", "postgresql://me@host/db?options=a:b@c"),
    ],
)
def test_the_password_of_a_store_is_never_printed(url: str, shown: str) -> None:
    assert console.without_password(url) == shown


SECRET = st.text("0123456789@:/?&=% ").map(lambda text: f"SECRET{text}SECRET")


@given(user=st.text("abc%"), secret=SECRET, options=st.text("abc=&%?:/ "))
def test_no_password_that_a_url_can_hold_is_printed(user: str, secret: str, options: str) -> None:
    assert "SECRET" not in console.without_password(f"postgresql://{user}:{secret}@host/db?{options}")
    written = quote(secret, safe="")
    assert "SECRET" not in console.without_password(f"postgresql://host/db?{options}&password={written}&{options}")


@pytest.mark.parametrize("piece", ["://", ":", "@", "//:@", "=", "password", "password=", "&", "?", "%", "a=b&"])
def test_a_megabyte_made_to_be_bad_for_hiding_passwords_is_read_to_its_end(piece: str) -> None:
    # Were the steps the square of the length, this would take hours.
    many = piece * (1_000_000 // len(piece))
    for text in (
        f"{many}&password=SECRET",
        f"postgresql://a:SECRET{many}@host",
        f"postgresql://host/?{many}&password=SECRET",
    ):
        assert "SECRET" not in console.without_password(text)


def test_where_a_program_finds_the_body_is_not_told_to_a_person() -> None:
    assert (
        console.without_hint("404 Not Found, HTML page (5 bytes, kept in .body)")
        == "404 Not Found, HTML page (5 bytes)"
    )
