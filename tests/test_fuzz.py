"""Fuzz: whatever a server, a sender or a settings file holds, what comes out is a value or an error of ours.

Many more examples than elsewhere, so these stay out of the quick run.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amili_async import AmiliClient, AmiliError, Batch, Case, Cursor, Invoice, Settlement
from amili_async._decoding import Reader
from amili_async._protocol.retry import parse_retry_after
from amili_async.webhooks import WebhookVerifier, parse_event

if TYPE_CHECKING:
    from collections.abc import Mapping

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
