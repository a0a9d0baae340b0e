"""Fuzz: whatever a server, a sender or a settings file holds, what comes out is a value or an error of ours.

Many more examples than elsewhere, so these stay out of the quick run.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from amili_async import (
    AmiliClient,
    AmiliError,
    Batch,
    Case,
    ConfigurationError,
    Cursor,
    Invoice,
    NewInvoice,
    Profile,
    RetryPolicy,
    Settlement,
)
from amili_async._decoding import Reader
from amili_async._protocol.quota import read_quota
from amili_async._protocol.retry import parse_retry_after
from amili_async.cli._input import read_input
from amili_async.sync._creditors import ids_in, read_creditors
from amili_async.webhooks import WebhookVerifier, parse_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

pytestmark = pytest.mark.fuzz

many = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = st.sampled_from(
    (
        *("summary", "status", "nextPageToken", "data", "batchId", "succeeded", "failed", "$type", "createdAt"),
        *("currency", "caseNumber", "id", "type", "eventType", "organizationId", "timeStamp", "settlementDate"),
        *("invoices", "message"),
    )
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(("2024-01-15", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "invoiceSuccess", ""))
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=6),
    max_leaves=25,
)
BODIES = (
    st.binary(max_size=200)
    | DOCUMENTS.map(lambda value: json.dumps(value).encode())
    | st.tuples(DOCUMENTS, st.integers(0, 60)).map(lambda drawn: json.dumps(drawn[0]).encode()[: drawn[1]])
)
HEADERS = st.dictionaries(
    st.sampled_from(("X-Amili-Event", "x-webhook-signature", "IdempotencyKey", "Date", "Retry-After", "X-Timestamp"))
    | st.text(max_size=10),
    st.text(max_size=60),
    max_size=6,
)


MODELS: tuple[type[Any], ...] = (Batch, Case, Invoice, Settlement)
READERS: dict[type[Any], Reader[Any]] = {model: Reader(model) for model in MODELS}


@many
@given(body=BODIES, model=st.sampled_from(MODELS))
def test_any_body_is_a_value_or_a_decode_error(body: bytes, model: type[Any]) -> None:
    for read in (READERS[model].one, READERS[model].bare, READERS[model].page):
        with suppress(AmiliError):
            read(body, None)
        with suppress(AmiliError):
            read(body, lambda _: None)


@many
@given(body=BODIES, headers=HEADERS)
def test_any_webhook_is_an_event_or_an_error_of_ours(body: bytes, headers: Mapping[str, str]) -> None:
    with suppress(AmiliError):
        parse_event(body, headers)


@many
@given(body=BODIES, headers=HEADERS, encoding=st.sampled_from(("hex", "base64")))
def test_no_webhook_that_was_not_signed_is_verified(body: bytes, headers: Mapping[str, str], encoding: Any) -> None:
    with pytest.raises(AmiliError):
        WebhookVerifier("0123456789abcdef0123456789abcdef", encoding=encoding).verify(body, headers)


@many
@given(text=st.text(max_size=200) | st.binary(max_size=120).map(lambda raw: raw.hex()))
def test_any_text_is_a_cursor_or_an_error_of_ours(text: str) -> None:
    with suppress(AmiliError):
        Cursor.decode(text)


@many
@given(
    value=st.text(max_size=40) | st.integers(-(10**20), 10**20).map(str) | st.floats().map(str),
    date=st.none() | st.text(max_size=40),
)
def test_any_retry_after_is_a_wait_that_can_be_kept_or_none(value: str, date: str | None) -> None:
    headers = {"Retry-After": value} | ({} if date is None else {"Date": date})
    wait = parse_retry_after(headers, 1_700_000_000.0)
    assert wait is None or 0 <= wait < float("inf")


@many
@given(
    name=st.sampled_from(("base_url", "token_url", "autocollect_url", "environment", "user_agent")),
    value=st.text(max_size=40) | st.text(max_size=20).map(lambda text: f"https://{text}"),
)
def test_any_setting_is_taken_or_refused_by_an_error_of_ours(name: str, value: str) -> None:
    options: dict[str, Any] = {name: value}
    with suppress(AmiliError):
        AmiliClient("token", **options)


QUOTA = (
    *("RateLimit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Limit", "X-RateLimit-Remaining", "Date"),
    *("X-RateLimit-Reset", "X-RateLimit-Reset-After", "X-RateLimit-Limit", "x-rate-limit-remaining"),
)
NUMBERS = st.integers(-(10**20), 10**20).map(str) | st.floats().map(str)


@many
@given(headers=st.dictionaries(st.sampled_from(QUOTA), NUMBERS | st.text('0123456789;,=rtw"x .-e', max_size=30)))
def test_any_word_on_a_quota_is_one_that_can_be_kept_or_none(headers: dict[str, str]) -> None:
    told = read_quota(headers, 1_700_000_000.0)
    assert told is None or all(math.isfinite(number) and number >= 0 for number in told)


VARIABLES = (
    *("AMILI_CLIENT_ID", "AMILI_CLIENT_SECRET", "AMILI_TOKEN", "AMILI_ENVIRONMENT", "AMILI_BASE_URL"),
    *("AMILI_TOKEN_URL", "AMILI_AUTOCOLLECT_URL", "AMILI_CLIENT_ID_FILE", "AMILI_CLIENT_SECRET_FILE"),
    *("AMILI_CA_BUNDLE", "AMILI_CLIENT_CERT", "HTTPS_PROXY", "NO_PROXY"),
)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@many
@given(environment=st.dictionaries(st.sampled_from(VARIABLES), VALUES | VALUES.map("https://{}".format), max_size=5))
def test_any_environment_makes_a_client_or_an_error_of_ours(environment: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        with suppress(AmiliError):
            AmiliClient.from_env()


@many
@given(text=st.text(max_size=60) | st.lists(st.text("ab#\ufeff \t", max_size=8)).map("\n".join))
def test_any_file_of_organizations_is_ids_without_blanks_and_comments(text: str) -> None:
    for organization_id in ids_in(text):
        assert organization_id == organization_id.strip() != ""
        assert not organization_id.startswith("#")


MEMBERS = st.sampled_from(
    (
        *("organizations", "organizations_file", "client_id", "client_id_env", "client_secret"),
        *("client_secret_env", "client_secret_file", "token_cache"),
    )
)
CREDITORS = st.dictionaries(
    st.text(max_size=5), st.dictionaries(MEMBERS, DOCUMENTS, max_size=5) | DOCUMENTS, max_size=3
)


@many
@given(written=CREDITORS.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80), suffix=st.booleans())
def test_any_file_of_creditors_or_profile_is_read_or_refused_by_an_error_of_ours(
    written: bytes,
    suffix: bool,  # noqa: FBT001  # hypothesis' own way
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.getbasetemp() / f"fuzzed.{'json' if suffix else 'toml'}"
    file.write_bytes(written)
    with suppress(AmiliError):
        read_creditors(file)
    with suppress(AmiliError):
        Profile.load(file)


ROWS = st.dictionaries(
    st.sampled_from([name for field in fields(NewInvoice) for name in (field.name, field.encode_name)])
    | st.sampled_from(("extra", "extra.kid", "extra.", "invoceNumber"))
    | st.text(max_size=8),
    DOCUMENTS,
    max_size=8,
)


@settings(many, max_examples=500)
@pytest.mark.filterwarnings("ignore::amili_async.UnusualValueWarning")
@given(rows=st.lists(ROWS, max_size=4), lines=st.booleans())
def test_any_file_of_invoices_is_read_or_told_row_by_row_what_is_wrong_with_it(
    rows: list[dict[str, object]],
    lines: bool,  # noqa: FBT001  # hypothesis' own way
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.getbasetemp() / f"fuzzed.{'jsonl' if lines else 'csv'}"
    text = io.StringIO()
    if lines:
        text.writelines(f"{json.dumps(row)}\n" for row in rows)
    else:
        table = csv.DictWriter(text, sorted({name for row in rows for name in row}))
        table.writeheader()
        table.writerows(rows)
    file.write_bytes(text.getvalue().encode("utf-8", "replace"))
    with suppress(ConfigurationError):
        found = read_input(file, NewInvoice, unique="invoice_number")
        told = {int(problem.split(":")[0].removeprefix("line ")) for problem in found.problems}
        assert not lines or {row.line for row in found.rows} | told == {*range(1, len(rows) + 1)}


class Answering:
    """A server of raw bytes: it says what it is told to, whatever it is asked, and closes."""

    def __init__(self) -> None:
        self.answer = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[bytes], object]]:
    """Return what a client makes of an answer, told as bytes."""
    answering = Answering()

    async def opened() -> tuple[asyncio.Server, AmiliClient]:
        server = await asyncio.start_server(answering, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        policy = RetryPolicy(attempts=1)
        return server, AmiliClient("token", base_url=f"http://127.0.0.1:{port}", deadline=5.0, retry=policy)

    async def read(call: Awaitable[object]) -> object:
        try:
            return await call
        except AmiliError as error:
            return error

    with asyncio.Runner() as runner:
        server, client = runner.run(opened())

        def made_of(answer: bytes) -> object:
            answering.answer = answer
            client.reopen()
            return runner.run(read(client.batches.get("org", "batch")))

        yield made_of
        server.close()
        runner.run(client.aclose())


TOLD = (
    *("Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Date", "Retry-After", "Keep-Alive"),
    *("Connection", "Location", "X-Request-Id", "RateLimit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Trailer"),
)
SAID = (
    st.binary(max_size=20).map(lambda raw: raw.translate(None, b"\r\n"))
    | st.integers(-5, 10**12).map(lambda number: str(number).encode())
    | st.sampled_from((b"gzip", b"br", b"chunked", b"close", b"timeout=0", b"application/json", b"identity, gzip"))
)


@settings(many, max_examples=600)
@given(
    status=st.sampled_from((200, 202, 204, 206, 301, 304, 400, 401, 404, 429, 500, 503, 599, 999))
    | st.integers(0, 9999),
    headers=st.lists(st.tuples(st.sampled_from(TOLD), SAID), max_size=6),
    body=BODIES,
)
def test_any_answer_is_a_value_or_an_error_of_ours(
    status: int, headers: list[tuple[str, bytes]], body: bytes, ask: Callable[[bytes], object]
) -> None:
    lines = b"".join(b"%b: %b\r\n" % (name.encode(), said) for name, said in headers)
    found = ask(b"HTTP/1.1 %d Said\r\n%b\r\n%b" % (status, lines, body))
    assert isinstance(found, Batch | AmiliError)
