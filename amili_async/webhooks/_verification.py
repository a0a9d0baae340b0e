"""Verification: whether a webhook's bytes were signed with a secret that only Amili and its user know.

How Amili signs is not public, so every part of the scheme is a setting, to be set from what Amili told you; the
defaults are a guess (I).
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

from amili_async._redaction import redacted
from amili_async.errors import AmiliError, ConfigurationError, DecodeError, WebhookVerificationError
from amili_async.models._inputs import is_broken
from amili_async.webhooks._envelope import KEY_HEADER, checked, header, read_envelope, unix_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Algorithm = Literal["sha1", "sha256", "sha384", "sha512"]
"""The hash that signatures are made with."""
Encoding = Literal["hex", "base64", "base64url"]
"""How the bytes of a signature are written."""
Signed: TypeAlias = "str | Callable[[bytes, Mapping[str, str]], bytes]"
"""What is signed: a template such as ``{timestamp}.{body}``, or a function of body and headers."""

LEAST_SECRET = 16
"""Bytes that a secret has at least."""

_ALGORITHMS: tuple[Algorithm, ...] = ("sha1", "sha256", "sha384", "sha512")
_DECODERS: dict[Encoding, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64decode(text, validate=True),
    "base64url": lambda text: base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True),
}
_ENCODERS: dict[Encoding, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "base64url": lambda digest: base64.urlsafe_b64encode(digest).decode().rstrip("="),
}
_PARTS = ("{body}", "{timestamp}", "{idempotency_key}")
# What stands beside the body in a template must not be able to hold a piece of it: a body begins with a brace.
_BESIDE = re.compile(r"[ !#-z|~]{0,255}", re.ASCII)


class WebhookVerifier:
    """Tells a genuine webhook from a forged one, by an HMAC over its bytes.

    Args:
        secrets: the shared secret, or several while one replaces another: `str`, taken as UTF-8, or `bytes`, of at
            least 16 bytes each.
        algorithm: ``sha1``, ``sha256``, ``sha384`` or ``sha512``.
        encoding: how the signature is written: ``hex``, ``base64`` or ``base64url``.
        header: the header that holds it; several signatures may stand in it, separated by commas.
        prefix: text before each signature, such as ``sha256=``.
        signed: what the HMAC is made over: a template of ``{body}``, ``{timestamp}`` and ``{idempotency_key}``, such as
            ``"{timestamp}.{body}"``, or a function of body and headers that returns the bytes.
        timestamp_header: the header that holds the moment of sending, as Unix seconds or ISO 8601; without one it is
            the event's own ``timeStamp``, which the signature covers as a part of the body.
        tolerance: seconds that the moment may lie in the past or future; ``None`` does not look at it. What is not
            signed says nothing, so a ``timestamp_header`` has to be part of ``signed``.
        allow_weak_secrets: takes secrets that are too short, or one byte again and again, too.
        clock: returns Unix seconds.

    Raises:
        ConfigurationError: a setting that cannot be right, by its name.
    """

    @redacted
    def __init__(
        self,
        secrets: str | bytes | Iterable[str | bytes],
        *,
        algorithm: Algorithm = "sha256",
        encoding: Encoding = "hex",
        header: str = "X-Webhook-Signature",
        prefix: str = "",
        signed: Signed = "{body}",
        timestamp_header: str | None = None,
        tolerance: float | None = None,
        allow_weak_secrets: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = _secrets(secrets, allow_weak=allow_weak_secrets)
        if algorithm not in _ALGORITHMS:
            raise ConfigurationError(f"algorithm must be one of {', '.join(_ALGORITHMS)}, not {algorithm!r}")
        if encoding not in _DECODERS:
            raise ConfigurationError(f"encoding must be one of {', '.join(_DECODERS)}, not {encoding!r}")
        # What is of the wrong type would fail at the first delivery, and refuse every one of them.
        for name, value in (("header", header), ("prefix", prefix), ("timestamp_header", timestamp_header)):
            if not isinstance(value, str) and (name != "timestamp_header" or value is not None):
                raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
        if not header.strip():
            raise ConfigurationError("header must be the name of the header that holds the signature")
        if timestamp_header is not None and not timestamp_header.strip():
            raise ConfigurationError("timestamp_header must be the name of the header that holds the moment of sending")
        if isinstance(signed, str):
            _check_template(signed, timestamp_header)
        elif not callable(signed):
            raise ConfigurationError(f"signed must be a template or a function, not {type(signed).__name__}")
        if tolerance is not None and (
            isinstance(tolerance, bool)
            or not isinstance(tolerance, int | float)  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            or not tolerance > 0
        ):
            raise ConfigurationError(f"tolerance must be a number of seconds above 0, or None, not {tolerance!r}")
        self._algorithm = algorithm
        self._encoding: Encoding = encoding
        self._header = header
        self._prefix = prefix
        self._signed = signed
        self._timestamp_header = timestamp_header
        self._tolerance = tolerance
        self._clock = clock
        if timestamp_header is not None and tolerance is not None and isinstance(signed, str):
            self._check_timestamp_is_signed("{timestamp}" in signed)

    def __repr__(self) -> str:
        return f"WebhookVerifier({self._algorithm}, header={self._header!r}, {len(self._secrets)} secrets)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a WebhookVerifier does not pickle or copy: its secrets would go with it")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Return if the signature is right.

        Takes the body as it came: JSON that was parsed and written again does not verify. Header names are compared
        without regard to case.

        Raises:
            WebhookVerificationError: the signature is missing or wrong, or the moment of sending is out of bounds; or
                ``signed`` is a function that failed, with its error as the cause.
            ConfigurationError: the body is no bytes, the headers no mapping, or the function ``signed`` leaves the
                timestamp out, which ``tolerance`` is to look at.
        """
        body, headers = checked(body, headers)
        signatures = self._signatures(header(headers, self._header))
        message = self._message(body, headers)
        expected = [hmac.digest(secret, message, self._algorithm) for secret in self._secrets]
        # Every pair is compared, and each in constant time: how long it takes tells nothing of which one fits.
        fits = [hmac.compare_digest(digest, signature) for digest in expected for signature in signatures]
        if not any(fits):
            raise WebhookVerificationError("the webhook's signature is missing or wrong")
        if self._tolerance is not None:
            self._check_moment(body, headers, self._tolerance)

    def sign(self, body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the headers with which a body verifies: for tests of your own service, and for its stand-ins.

        They are the given ones, the signature by the first of the secrets, and, where there is a ``timestamp_header``
        that is not given, the present moment in it.

        Raises:
            ConfigurationError: the body is no bytes, or the headers are no mapping.
            WebhookVerificationError: what is to be signed cannot be made of them.
        """
        body, given = checked(body, headers or {})
        signed = dict(given)
        if self._timestamp_header is not None and header(signed, self._timestamp_header) is None:
            signed[self._timestamp_header] = str(int(self._clock()))
        digest = hmac.digest(self._secrets[0], self._message(body, signed), self._algorithm)
        signed[self._header] = self._prefix + _ENCODERS[self._encoding](digest)
        return signed

    def _signatures(self, value: str | None) -> list[bytes]:
        signatures: list[bytes] = []
        for text in (value or "").split(","):
            written = text.strip()
            if not written.startswith(self._prefix):
                continue
            try:
                signatures.append(_DECODERS[self._encoding](written.removeprefix(self._prefix)))
            except ValueError:
                continue
        return signatures

    def _message(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return what is signed.

        Raises:
            WebhookVerificationError: it cannot be made of these headers.
            ConfigurationError: it leaves out what it has to hold.
        """
        if isinstance(self._signed, str):
            return self._filled(self._signed, body, headers)
        try:
            message = self._signed(body, headers)
            if self._timestamp_header is not None and self._tolerance is not None:
                later = f"{header(headers, self._timestamp_header) or ''}0"
                other = self._signed(body, _WithHeader(headers, self._timestamp_header, later))
                self._check_timestamp_is_signed(other != message)
            return bytes(message)
        except AmiliError:
            raise
        except Exception as error:
            raise WebhookVerificationError(f"signed failed with {type(error).__name__}") from error

    def _filled(self, template: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        stands_for = {"{timestamp}": self._timestamp_header, "{idempotency_key}": KEY_HEADER}
        before, _, after = template.partition("{body}")
        for part, name in stands_for.items():
            if name is None or part not in template:
                continue
            value = header(headers, name) or ""
            if not _BESIDE.fullmatch(value):
                raise WebhookVerificationError(f"the header {name} cannot be part of what is signed")
            before, after = before.replace(part, value), after.replace(part, value)
        return before.encode() + body + after.encode()

    def _check_timestamp_is_signed(self, it_is: bool) -> None:  # noqa: FBT001  # the condition itself
        if not it_is:
            raise ConfigurationError(
                "timestamp_header is not part of signed, so anybody could set it, and tolerance would mean nothing; "
                'sign it too, such as "{timestamp}.{body}", or leave it out: the event\'s own timeStamp is signed'
            )

    def _check_moment(self, body: bytes, headers: Mapping[str, str], tolerance: float) -> None:
        name = self._timestamp_header
        try:
            sent = unix_seconds(header(headers, name) if name else read_envelope(body).time_stamp)
        except DecodeError:
            sent = None
        # `not <=`, as a moment of "nan" is greater than nothing.
        if sent is None or not abs(self._clock() - sent) <= tolerance:
            raise WebhookVerificationError("the webhook's moment of sending is missing or out of bounds")


class _WithHeader(Mapping[str, str]):
    """Headers, one of them replaced: a mapping that looks names up as the one that it stands before does."""

    def __init__(self, headers: Mapping[str, str], name: str, value: str) -> None:
        self._headers = headers
        self._name = name.lower()
        self._value = value

    def __getitem__(self, name: str) -> str:
        return self._value if name.lower() == self._name else self._headers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


class UnverifiedWebhooks:
    """Takes every webhook for genuine: for a tunnel or a test that nobody else can reach, never for the internet."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Verify nothing."""


def _check_template(signed: str, timestamp_header: str | None) -> None:
    parts = re.findall(r"\{[^{}]*\}", signed)
    if parts.count("{body}") != 1:
        raise ConfigurationError("signed must hold {body} once, or anybody could change it")
    if not set(parts) <= {*_PARTS}:
        raise ConfigurationError(f"signed holds {' '.join(parts)}; it may hold {', '.join(_PARTS)}")
    if "{timestamp}" in parts and timestamp_header is None:
        raise ConfigurationError("timestamp_header must name the header that {timestamp} in signed stands for")


def _secrets(secrets: str | bytes | Iterable[str | bytes], *, allow_weak: bool) -> tuple[bytes, ...]:
    # Bytes of another type are iterable, and each of their numbers would make a key of zeros that anybody can guess.
    if isinstance(secrets, bytearray | memoryview):
        raise ConfigurationError(f"secrets must be str or bytes, not {type(secrets).__name__}")
    try:
        several = (secrets,) if isinstance(secrets, str | bytes) else tuple(secrets)
    except TypeError:
        raise ConfigurationError(f"secrets must be str or bytes, not {type(secrets).__name__}") from None
    return tuple(_secret(secret, allow_weak=allow_weak) for secret in several) or _no_secret()


def _secret(secret: str | bytes, *, allow_weak: bool) -> bytes:
    if not isinstance(secret, str | bytes):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"secrets must be str or bytes, not {type(secret).__name__}")
    if isinstance(secret, str) and is_broken(secret):
        # Encoding it would fail with an error that holds the secret.
        raise ConfigurationError(
            "secrets: one is no text in UTF-8, as a variable of the environment may be; give bytes"
        )
    key = secret.encode() if isinstance(secret, str) else bytes(secret)
    if not key:
        return _no_secret()
    if isinstance(secret, str) and secret != secret.strip():
        raise ConfigurationError("secrets: one begins or ends with white space; strip it, or give it as bytes")
    if not allow_weak and (len(key) < LEAST_SECRET or len(set(key)) == 1):
        raise ConfigurationError(
            f"secrets: one is shorter than {LEAST_SECRET} bytes, or one byte again and again, and can be guessed; take "
            "another, or say allow_weak_secrets=True"
        )
    return key


def _no_secret() -> NoReturn:
    raise ConfigurationError("secrets must be the shared secret, or several; none of them empty")
