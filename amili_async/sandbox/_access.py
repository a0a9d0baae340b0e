"""Access tokens: given out for a client id and secret, accepted until they expire or are revoked."""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Credentials(NamedTuple):
    """What a client shows the token endpoint."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"


class TokenAnswer(NamedTuple):
    """What the token endpoint says."""

    status: int
    body: bytes


class AccessTokens:
    """The tokens in force."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        seed: int,
        lifetime: float,
        members: Mapping[str, object],
        clock: Callable[[], float],
    ) -> None:
        self._credentials = credentials
        self._seed = seed
        self._lifetime = lifetime
        self._members = members
        self._clock = clock
        self._expires: dict[str, float] = {}
        self._issued = 0

    def accepts(self, token: str) -> bool:
        """Return whether a request with this bearer token is let in."""
        expires = self._expires.get(token)
        return expires is not None and self._clock() < expires

    def accepts_basic(self, encoded: str) -> bool:
        """Return whether an HTTP Basic value holds the credentials."""
        try:
            given = base64.b64decode(encoded, validate=True).decode()
        except (UnicodeError, binascii.Error):
            return False
        return given == ":".join(self._credentials)

    def issue(self) -> str:
        """Return another token that is in force."""
        self._issued += 1
        digest = blake2b(f"{self._seed}/{self._issued}".encode(), digest_size=24).digest()
        token = f"sandbox-{base64.urlsafe_b64encode(digest).decode()}"
        self._expires[token] = self._clock() + self._lifetime
        return token

    def revoke(self, token: str | None = None) -> None:
        """Refuse a token from here on, or every token given out so far."""
        for known in [token] if token is not None else list(self._expires):
            self._expires.pop(known, None)

    def exchange(self, content_type: str, body: bytes) -> TokenAnswer:
        """Answer a token request as the documentation shows it; refuse as RFC 6749 says (inferred)."""
        if not content_type.startswith("application/x-www-form-urlencoded"):
            return _refusal(400, "invalid_request", "send a form (application/x-www-form-urlencoded)")
        form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return _refusal(400, "unsupported_grant_type", "grant_type must be client_credentials")
        if (form.get("client_id"), form.get("client_secret")) != self._credentials:
            return _refusal(401, "invalid_client", "client_id or client_secret is wrong")
        now = int(self._clock())
        lifetime = int(self._lifetime) if self._lifetime == int(self._lifetime) else self._lifetime
        answer: dict[str, object] = {
            "access_token": self.issue(),
            "token_type": "Bearer",
            "not_before": now,
            "expires_in": lifetime,
            "expires_on": int(now + self._lifetime),
            "resource": "04468334-ec11-4ef8-9e7c-e124bacbd5c1",
            **self._members,
        }
        said = {name: value for name, value in answer.items() if value is not None}
        return TokenAnswer(200, json.dumps(said).encode())


def _refusal(status: int, code: str, description: str) -> TokenAnswer:
    return TokenAnswer(status, json.dumps({"error": code, "error_description": description}).encode())
