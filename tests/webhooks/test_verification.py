"""Webhooks are verified over their bytes, in constant time, by a scheme of which every part is a setting."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.errors import ConfigurationError, DecodeError, WebhookVerificationError
from amili_async.webhooks import UnverifiedWebhooks, WebhookVerifier

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "hemmelig"
BODY = b'{"id":"1","type":"BATCH_COMPLETED","timeStamp":"2025-08-15T11:42:00Z","data":{}}'
SENT = 1755258120.0


def signature(body: bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


def signed(body: bytes, **options: Any) -> dict[str, str]:
    return {"X-Webhook-Signature": signature(body, **options)}


@given(body=st.binary(), secret=st.text(min_size=1))
def test_what_was_signed_with_the_secret_verifies(body: bytes, secret: str) -> None:
    WebhookVerifier(secret).verify(body, signed(body, secret=secret))


@given(body=st.binary(), other=st.binary(), header=st.text())
def test_nothing_else_verifies(body: bytes, other: bytes, header: str) -> None:
    verifier = WebhookVerifier(SECRET)
    if body != other:
        with pytest.raises(WebhookVerificationError):
            verifier.verify(body, signed(other))
    with pytest.raises(WebhookVerificationError):
        verifier.verify(body, {"X-Webhook-Signature": header})


@pytest.mark.parametrize("headers", [{}, {"X-Webhook-Signature": ""}, {"X-Other": signature(BODY)}])
def test_a_missing_signature_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationError, match="missing or wrong"):
        WebhookVerifier(SECRET).verify(BODY, headers)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_the_algorithm_is_a_setting(algorithm: Any) -> None:
    verifier = WebhookVerifier(SECRET, algorithm=algorithm)
    verifier.verify(BODY, signed(BODY, algorithm=algorithm))
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, signed(BODY, algorithm="sha256" if algorithm != "sha256" else "sha1"))


def test_encoding_header_and_prefix_are_settings() -> None:
    digest = hmac.digest(SECRET.encode(), BODY, "sha256")
    WebhookVerifier(SECRET, encoding="base64").verify(BODY, {"X-Webhook-Signature": base64.b64encode(digest).decode()})
    urlsafe = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    WebhookVerifier(SECRET, encoding="base64url").verify(BODY, {"X-Webhook-Signature": urlsafe})
    verifier = WebhookVerifier(SECRET, header="Amili-Signature", prefix="sha256=")
    verifier.verify(BODY, {"amili-signature": f"sha256={digest.hex()}"})
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, {"amili-signature": digest.hex()})


def test_one_of_several_signatures_is_enough_and_hex_has_no_case() -> None:
    header = {"X-Webhook-Signature": f"nonsense, {'0' * 64}, {signature(BODY).upper()}"}
    WebhookVerifier(SECRET).verify(BODY, header)


def test_several_secrets_verify_while_one_replaces_another() -> None:
    verifier = WebhookVerifier(["old", b"new"])
    verifier.verify(BODY, signed(BODY, secret="old"))
    verifier.verify(BODY, signed(BODY, secret="new"))
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, signed(BODY, secret="older"))


def test_a_template_says_what_is_signed() -> None:
    verifier = WebhookVerifier(SECRET, signed="{timestamp}.{idempotency_key}.{body}!", timestamp_header="X-Timestamp")
    headers = {"X-Timestamp": "17", "IdempotencyKey": "k"}
    verifier.verify(BODY, headers | signed(b"17.k." + BODY + b"!"))
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, headers | {"X-Timestamp": "18"} | signed(b"17.k." + BODY + b"!"))


def test_a_body_that_looks_like_a_template_is_taken_as_it_is() -> None:
    body = b"{timestamp}{body}"
    verifier = WebhookVerifier(SECRET, signed="{timestamp}.{body}", timestamp_header="X-Timestamp")
    verifier.verify(body, {"X-Timestamp": "17"} | signed(b"17." + body))


def test_a_function_says_what_is_signed() -> None:
    def digest_of(body: bytes, headers: Mapping[str, str]) -> bytes:
        return headers["X-Nonce"].encode() + hashlib.sha256(body).digest()

    headers = {"X-Nonce": "n"}
    verifier = WebhookVerifier(SECRET, signed=digest_of)
    verifier.verify(BODY, headers | signed(digest_of(BODY, headers)))


@pytest.mark.parametrize(("clock", "genuine"), [(SENT + 299, True), (SENT - 299, True), (SENT + 301, False)])
def test_an_event_outside_the_tolerance_is_refused(clock: float, genuine: bool) -> None:  # noqa: FBT001  # a table
    verifier = WebhookVerifier(SECRET, tolerance=300, clock=lambda: clock)
    if genuine:
        verifier.verify(BODY, signed(BODY))
    else:
        with pytest.raises(WebhookVerificationError, match="out of bounds"):
            verifier.verify(BODY, signed(BODY))


@pytest.mark.parametrize("stamp", ["", "nan", "inf", "soon", "1" * 400])
def test_a_moment_that_is_none_is_out_of_bounds(stamp: str) -> None:
    verifier = WebhookVerifier(SECRET, timestamp_header="X-Timestamp", tolerance=300, clock=lambda: SENT)
    verifier.verify(BODY, signed(BODY) | {"X-Timestamp": str(SENT)})
    with pytest.raises(WebhookVerificationError, match="out of bounds"):
        verifier.verify(BODY, signed(BODY) | {"X-Timestamp": stamp})


@pytest.mark.parametrize("body", [b"{}", b'{"timeStamp": null}', b'{"timeStamp": "2025"}', b'{"timeStamp": true}'])
def test_an_event_without_a_moment_is_out_of_bounds(body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="out of bounds"):
        WebhookVerifier(SECRET, tolerance=300, clock=lambda: SENT).verify(body, signed(body))


def test_a_genuine_body_that_is_no_json_has_no_moment_to_look_at() -> None:
    with pytest.raises(DecodeError):
        WebhookVerifier(SECRET, tolerance=300).verify(b"<html>", signed(b"<html>"))


def test_text_is_refused_since_json_written_again_does_not_verify() -> None:
    with pytest.raises(ConfigurationError, match="bytes as they came"):
        WebhookVerifier(SECRET).verify(BODY.decode(), {})  # type: ignore[arg-type]  # what is being refused


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"secrets": ""}, "secrets"),
        ({"secrets": []}, "secrets"),
        ({"secrets": ["a", b""]}, "secrets"),
        ({"algorithm": "md5"}, "algorithm"),
        ({"encoding": "rot13"}, "encoding"),
        ({"header": ""}, "header"),
        ({"signed": "{timestamp}"}, "signed"),
        ({"signed": "{timestamp}.{body}"}, "timestamp_header"),
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    settings: dict[str, Any] = {"secrets": SECRET, **options}
    with pytest.raises(ConfigurationError, match=named):
        WebhookVerifier(**settings)


def test_secrets_are_in_no_repr_and_travel_nowhere() -> None:
    verifier = WebhookVerifier(SECRET)
    assert SECRET not in repr(verifier)
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(verifier)
    with pytest.raises(TypeError, match="secrets"):
        copy.copy(verifier)


def test_only_an_object_that_says_so_skips_verification() -> None:
    UnverifiedWebhooks().verify(BODY, {})
    with pytest.raises(TypeError):
        WebhookVerifier()  # type: ignore[call-arg]  # nothing is accepted by omission
