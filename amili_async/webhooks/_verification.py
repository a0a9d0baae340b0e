"""Verification: whether a webhook's bytes were signed with a secret that only Amili and its user know.

How Amili signs is not public, so every part of the scheme is a setting, to be set from what Amili told you; the
defaults are a guess (I).
"""

from __future__ import annotations

import base64
import hmac
import time
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

from amili_async.errors import ConfigurationError, WebhookVerificationError
from amili_async.webhooks._envelope import KEY_HEADER, header, read_envelope, unix_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Algorithm = Literal["sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64", "base64url"]
Signed: TypeAlias = "str | Callable[[bytes, Mapping[str, str]], bytes]"

_ALGORITHMS: tuple[Algorithm, ...] = ("sha1", "sha256", "sha384", "sha512")
_DECODERS: dict[Encoding, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64decode(text, validate=True),
    "base64url": lambda text: base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True),
}
_PARTS = "{body}, {timestamp}, {idempotency_key}"


class WebhookVerifier:
    """Tells a genuine webhook from a forged one, by an HMAC over its bytes.

    Args:
        secrets: the shared secret, or several while one replaces another; text is taken as UTF-8.
        algorithm: ``sha1``, ``sha256``, ``sha384`` or ``sha512``.
        encoding: how the signature is written: ``hex``, ``base64`` or ``base64url``.
        header: the header that holds it; several signatures may stand in it, separated by commas.
        prefix: text before each signature, such as ``sha256=``.
        signed: what the HMAC is made over: a template of ``{body}``, ``{timestamp}`` and ``{idempotency_key}``, such as
            ``"{timestamp}.{body}"``, or a function of body and headers that returns the bytes.
        timestamp_header: the header that holds the moment of sending, as Unix seconds or ISO 8601; without one it is
            the event's own ``timeStamp``, which the signature covers as a part of the body.
        tolerance: seconds that the moment may lie in the past or future; ``None`` does not look at it.
        clock: returns Unix seconds.

    Raises:
        ConfigurationError: a setting that cannot be right, by its name.
    """

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = _secrets(secrets)
        if algorithm not in _ALGORITHMS:
            raise ConfigurationError(f"algorithm must be one of {', '.join(_ALGORITHMS)}, not {algorithm!r}")
        if encoding not in _DECODERS:
            raise ConfigurationError(f"encoding must be one of {', '.join(_DECODERS)}, not {encoding!r}")
        if not header:
            raise ConfigurationError("header must be the name of the header that holds the signature")
        if isinstance(signed, str) and "{body}" not in signed:
            raise ConfigurationError(f"signed must hold {{body}}, or anybody could change it; it may hold {_PARTS}")
        if isinstance(signed, str) and "{timestamp}" in signed and timestamp_header is None:
            raise ConfigurationError("timestamp_header must name the header that {timestamp} in signed stands for")
        if tolerance is not None and not tolerance > 0:
            raise ConfigurationError(f"tolerance must be a number of seconds above 0, or None, not {tolerance!r}")
        self._algorithm = algorithm
        self._decode = _DECODERS[encoding]
        self._header = header
        self._prefix = prefix
        self._signed = signed
        self._timestamp_header = timestamp_header
        self._tolerance = tolerance
        self._clock = clock

    def __repr__(self) -> str:
        return f"WebhookVerifier({self._algorithm}, header={self._header!r}, {len(self._secrets)} secrets)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a WebhookVerifier does not pickle or copy: its secrets would go with it")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Return if the signature is right.

        Takes the body as it came: JSON that was parsed and written again does not verify. Header names are compared
        without regard to case.

        Raises:
            WebhookVerificationError: the signature is missing or wrong, or the moment of sending is out of bounds.
            ConfigurationError: the body is no bytes.
        """
        if not isinstance(body, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ConfigurationError(
                f"body must be the bytes as they came, not {type(body).__name__}: JSON written again does not verify"
            )
        body = bytes(body)
        signatures = self._signatures(header(headers, self._header))
        message = self._message(body, headers)
        expected = [hmac.digest(secret, message, self._algorithm) for secret in self._secrets]
        # Every pair is compared, and each in constant time: how long it takes tells nothing of which one fits.
        fits = [hmac.compare_digest(digest, signature) for digest in expected for signature in signatures]
        if not any(fits):
            raise WebhookVerificationError("the webhook's signature is missing or wrong")
        if self._tolerance is not None:
            self._check_moment(body, headers, self._tolerance)

    def _signatures(self, value: str | None) -> list[bytes]:
        signatures: list[bytes] = []
        for text in (value or "").split(","):
            written = text.strip()
            if not written.startswith(self._prefix):
                continue
            try:
                signatures.append(self._decode(written.removeprefix(self._prefix)))
            except ValueError:
                continue
        return signatures

    def _message(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        if not isinstance(self._signed, str):
            return self._signed(body, headers)
        values = {
            "{timestamp}": header(headers, self._timestamp_header) if self._timestamp_header else "",
            "{idempotency_key}": header(headers, KEY_HEADER),
        }
        before, _, after = self._signed.partition("{body}")
        for name, value in values.items():
            before, after = before.replace(name, value or ""), after.replace(name, value or "")
        return before.encode() + body + after.encode()

    def _check_moment(self, body: bytes, headers: Mapping[str, str], tolerance: float) -> None:
        name = self._timestamp_header
        sent = unix_seconds(header(headers, name) if name else read_envelope(body).time_stamp)
        # `not <=`, as a moment of "nan" is greater than nothing.
        if sent is None or not abs(self._clock() - sent) <= tolerance:
            raise WebhookVerificationError("the webhook's moment of sending is missing or out of bounds")


class UnverifiedWebhooks:
    """Takes every webhook for genuine: for a tunnel or a test that nobody else can reach, never for the internet."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Verify nothing."""


def _secrets(secrets: str | bytes | Iterable[str | bytes]) -> tuple[bytes, ...]:
    several = (secrets,) if isinstance(secrets, str | bytes) else tuple(secrets)
    found = tuple(secret.encode() if isinstance(secret, str) else bytes(secret) for secret in several)
    if not found or not all(found):
        raise ConfigurationError("secrets must be the shared secret, or several; none of them empty")
    return found
