"""Webhooks are verified over their bytes, in constant time, by a scheme of which every part is a setting."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import os
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from amili_async.errors import ConfigurationError, WebhookVerificationError
from amili_async.webhooks import UnverifiedWebhooks, WebhookVerifier

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "hemmelig til etter jul"
BODY = b'{"id":"1","type":"BATCH_COMPLETED","timeStamp":"2025-08-15T11:42:00Z","data":{}}'
SENT = 1755258120.0


def signature(body: bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


def stamped(body: bytes, headers: Mapping[str, str]) -> bytes:
    return headers["X-Timestamp"].encode() + body


def signed(body: bytes, **options: Any) -> dict[str, str]:
    return {"X-Webhook-Signature": signature(body, **options)}


secrets = st.text(st.characters(min_codepoint=33, exclude_categories=["C", "Z"]), min_size=16, max_size=40)


@given(body=st.binary(), secret=secrets.filter(lambda text: len(set(text)) > 1))
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
    old, new, other = "the old secret, 2024", "the new secret, 2025", "the other secret, 2026"
    verifier = WebhookVerifier([old, new.encode()])
    verifier.verify(BODY, signed(BODY, secret=old))
    verifier.verify(BODY, signed(BODY, secret=new))
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, signed(BODY, secret=other))


@pytest.mark.parametrize(
    "weak",
    [
        bytearray(b"an HMAC secret of bytes"),
        memoryview(b"an HMAC secret of bytes"),
        [bytearray(b"an HMAC secret of bytes")],
        [memoryview(b"an HMAC secret of bytes")],
        list(b"an HMAC secret of bytes"),
        [None],
        None,
        17,
    ],
    ids=repr,
)
def test_only_text_and_bytes_are_secrets_and_insisting_does_not_change_that(weak: Any) -> None:
    for insisting in (False, True):
        with pytest.raises(ConfigurationError, match=r"^secrets must be str or bytes, not \w+$"):
            WebhookVerifier(weak, allow_weak_secrets=insisting)


@pytest.mark.parametrize("weak", ["brief", "fifteen letters", b"0123456789abcde", "x" * 32, bytes(32)])
def test_a_secret_that_can_be_guessed_is_refused_unless_one_insists(weak: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="allow_weak_secrets=True") as caught:
        WebhookVerifier([SECRET, weak])
    assert str(weak) not in str(caught.value)
    key = weak.encode() if isinstance(weak, str) else weak
    WebhookVerifier(weak, allow_weak_secrets=True).verify(
        BODY, {"X-Webhook-Signature": hmac.new(key, BODY, "sha256").hexdigest()}
    )


def test_a_secret_with_white_space_around_it_is_refused_as_text_and_taken_as_bytes() -> None:
    with pytest.raises(ConfigurationError, match="white space"):
        WebhookVerifier(f"{SECRET}\n")
    WebhookVerifier(f"{SECRET}\n".encode()).verify(BODY, signed(BODY, secret=f"{SECRET}\n"))


def test_a_secret_that_is_no_text_is_refused_with_no_error_that_holds_it() -> None:
    broken = os.fsdecode(b"0123456789abcdef\xe6")  # as Python reads a variable of the environment in Latin-1
    with pytest.raises(ConfigurationError, match="one is no text in UTF-8") as caught:
        WebhookVerifier(broken)
    assert caught.value.__cause__ is caught.value.__context__ is None
    WebhookVerifier(os.fsencode(broken))


@given(secret=st.binary(min_size=16, max_size=64).filter(lambda key: len(set(key)) > 1))
def test_the_empty_key_fits_no_secret(secret: bytes) -> None:
    forged = {"X-Webhook-Signature": hmac.new(b"", BODY, "sha256").hexdigest()}
    with pytest.raises(WebhookVerificationError):
        WebhookVerifier(secret).verify(BODY, forged)


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


@pytest.mark.parametrize("stamp", ["", "nan", "inf", "soon", "1" * 200])
def test_a_moment_that_is_none_is_out_of_bounds(stamp: str) -> None:
    verifier = WebhookVerifier(
        SECRET, signed="{timestamp}.{body}", timestamp_header="X-Timestamp", tolerance=300, clock=lambda: SENT
    )
    verifier.verify(BODY, verifier.sign(BODY, {"X-Timestamp": str(SENT)}))
    with pytest.raises(WebhookVerificationError, match="out of bounds"):
        verifier.verify(BODY, signed(stamp.encode() + b"." + BODY) | {"X-Timestamp": stamp})


@pytest.mark.parametrize("body", [b"{}", b'{"timeStamp": null}', b'{"timeStamp": "2025"}', b'{"timeStamp": true}'])
def test_an_event_without_a_moment_is_out_of_bounds(body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="out of bounds"):
        WebhookVerifier(SECRET, tolerance=300, clock=lambda: SENT).verify(body, signed(body))


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"timeStamp": "\xff"}', b"{" * 70_000])
def test_a_genuine_body_that_is_no_json_has_no_moment_and_is_out_of_bounds(body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="out of bounds"):
        WebhookVerifier(SECRET, tolerance=300).verify(body, signed(body))


def test_bad_utf_8_elsewhere_does_not_hide_the_moment() -> None:
    body = b'{"timeStamp":"2025-08-15T11:42:00Z","data":{"name":"\xff"}}'
    WebhookVerifier(SECRET, tolerance=300, clock=lambda: SENT).verify(body, signed(body))


def test_a_timestamp_that_nobody_signs_bounds_nothing_and_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="timestamp_header is not part of signed"):
        WebhookVerifier(SECRET, timestamp_header="X-Timestamp", tolerance=300)
    WebhookVerifier(SECRET, timestamp_header="X-Timestamp")


def test_a_function_that_leaves_the_timestamp_out_is_found_at_the_first_webhook() -> None:
    verifier = WebhookVerifier(
        SECRET, signed=lambda body, _: body, timestamp_header="X-Timestamp", tolerance=300, clock=lambda: SENT
    )
    with pytest.raises(ConfigurationError, match="timestamp_header is not part of signed"):
        verifier.verify(BODY, {"X-Timestamp": str(SENT)} | signed(BODY))


def test_a_function_that_signs_the_timestamp_may_look_it_up_in_any_spelling() -> None:
    def dated(body: bytes, headers: Mapping[str, str]) -> bytes:
        return f"{headers['x-timestamp']}.{len(dict(headers))}.{len(headers)}.".encode() + body

    headers = CIMultiDict({"X-Timestamp": str(SENT), "X-Other": "1"})
    verifier = WebhookVerifier(SECRET, signed=dated, timestamp_header="X-Timestamp", tolerance=300, clock=lambda: SENT)
    signed_headers = {**headers, **signed(f"{SENT}.2.2.".encode() + BODY)}
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, CIMultiDict(signed_headers))  # the signature's own header is the third
    headers["X-Webhook-Signature"] = signature(f"{SENT}.3.3.".encode() + BODY)
    verifier.verify(BODY, headers)


def test_a_function_that_fails_is_a_refusal_with_its_error_as_the_cause() -> None:
    verifier = WebhookVerifier(SECRET, signed=stamped)
    with pytest.raises(WebhookVerificationError, match="signed failed with KeyError") as caught:
        verifier.verify(BODY, {})
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_stands_beside_the_body_cannot_hold_a_piece_of_it() -> None:
    verifier = WebhookVerifier(SECRET, signed="{timestamp}.{body}", timestamp_header="X-Timestamp")
    whole = b'17.{"a":1}.{"b":2}'
    verifier.verify(b'{"a":1}.{"b":2}', {"X-Timestamp": "17"} | signed(whole))
    with pytest.raises(WebhookVerificationError, match="X-Timestamp cannot be part"):
        verifier.verify(b'{"b":2}', {"X-Timestamp": '17.{"a":1}'} | signed(whole))


def test_one_headers_value_is_not_filled_in_again() -> None:
    verifier = WebhookVerifier(SECRET, signed="{timestamp}.{idempotency_key}.{body}", timestamp_header="X-Timestamp")
    headers = {"X-Timestamp": "{idempotency_key}", "IdempotencyKey": "k"}
    with pytest.raises(WebhookVerificationError, match="X-Timestamp cannot be part"):
        verifier.verify(BODY, headers | signed(b"k.k." + BODY))


@given(
    body=st.binary(max_size=60),
    headers=st.dictionaries(
        st.sampled_from(["X-Webhook-Signature", "x-webhook-signature", "X-Timestamp", "IdempotencyKey"]) | st.text(),
        st.text() | st.text(st.characters(categories=["Cs"])) | st.binary() | st.none() | st.integers(),
    ),
)
def test_any_bytes_and_headers_are_refused_with_the_errors_own_class(body: bytes, headers: dict[Any, Any]) -> None:
    schemes: list[dict[str, Any]] = [
        {},
        {"tolerance": 300},
        {"encoding": "base64"},
        {"encoding": "base64url", "prefix": "v1="},
        {"signed": "{timestamp}{idempotency_key}{body}", "timestamp_header": "X-Timestamp", "tolerance": 300},
        {"signed": stamped},
    ]
    for options in schemes:
        with pytest.raises(WebhookVerificationError):
            WebhookVerifier(SECRET, **options).verify(body, headers)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"algorithm": "sha512", "encoding": "base64", "header": "Signature", "prefix": "v1="},
        {"encoding": "base64url", "tolerance": 300},
        {"signed": "{timestamp}.{body}", "timestamp_header": "X-Timestamp", "tolerance": 300},
        {"signed": "{idempotency_key}.{body}"},
        {"signed": stamped, "timestamp_header": "X-Timestamp"},
    ],
)
def test_what_it_signs_it_verifies(options: dict[str, Any]) -> None:
    verifier = WebhookVerifier([SECRET, "another secret of ours"], clock=lambda: SENT, **options)
    headers = verifier.sign(BODY, {"IdempotencyKey": "k"})
    assert headers["IdempotencyKey"] == "k"
    verifier.verify(BODY, headers)
    WebhookVerifier(SECRET, clock=lambda: SENT, **options).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY + b" ", headers)


def test_a_moment_that_is_given_is_signed_as_it_is() -> None:
    verifier = WebhookVerifier(
        SECRET, signed="{timestamp}.{body}", timestamp_header="X-Timestamp", tolerance=300, clock=lambda: SENT
    )
    headers = verifier.sign(BODY, {"x-timestamp": str(SENT - 301)})
    assert headers.keys() == {"x-timestamp", "X-Webhook-Signature"}
    with pytest.raises(WebhookVerificationError, match="out of bounds"):
        verifier.verify(BODY, headers)


def test_text_is_refused_since_json_written_again_does_not_verify() -> None:
    with pytest.raises(ConfigurationError, match="bytes as they came"):
        WebhookVerifier(SECRET).verify(BODY.decode(), {})  # type: ignore[arg-type]  # what is being refused
    with pytest.raises(ConfigurationError, match="bytes as they came"):
        WebhookVerifier(SECRET).sign(BODY.decode())  # type: ignore[arg-type]  # the same
    with pytest.raises(ConfigurationError, match="headers must be a mapping of names to values, not list"):
        WebhookVerifier(SECRET).verify(BODY, [("X-Webhook-Signature", "")])  # type: ignore[arg-type]  # the same


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
        ({"signed": "{body}.{body}"}, "signed must hold {body} once"),
        ({"signed": "{timestmap}.{body}"}, "signed holds {timestmap} {body}; it may hold {body}, {timestamp}"),
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"tolerance": "30"}, "tolerance must be a number of seconds above 0, or None, not '30'"),
        ({"tolerance": True}, "tolerance"),
        ({"header": 5}, "header must be text, not int"),
        ({"header": " "}, "header must be the name"),
        ({"prefix": None}, "prefix must be text, not NoneType"),
        ({"signed": b"{body}"}, "signed must be a template or a function, not bytes"),
        ({"timestamp_header": b"X-Sent"}, "timestamp_header must be text, not bytes"),
        ({"timestamp_header": ""}, "timestamp_header must be the name"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    settings: dict[str, Any] = {"secrets": SECRET, **options}
    with pytest.raises(ConfigurationError, match=re.escape(named)):
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
