"""Access tokens: given out for a client id and secret, accepted until they expire or are revoked."""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


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
        self._secrets: dict[str, str] = dict([credentials])
        self._reach: dict[str, frozenset[str]] = {}
        """Which organizations a client id reaches, where that is not all of them."""
        self._expires: dict[str, float] = {}
        self._holders: dict[str, str] = {}
        """The client id that a token was given to, where it does not reach all organizations."""
        self._issued = 0

    def limit(self, organization_ids: Iterable[str]) -> Credentials:
        """Return further credentials, which reach these organizations alone."""
        if isinstance(organization_ids, str):
            raise ValueError("limited_credentials takes several ids, such as a list, not one text")  # noqa: TRY004  # as all
        number = len(self._secrets) + 1
        made = Credentials(f"sandbox-{self._seed}-{number}", f"sandbox-secret-{self._seed}-{number}")
        self._reach[made.client_id] = frozenset(organization_ids)
        self._secrets[made.client_id] = made.client_secret
        return made

    def reaches(self, token: str, organization_id: str | None) -> bool:
        """Return whether a token is good for an organization; for what is no organization's, any is."""
        holder = self._holders.get(token)
        return holder is None or organization_id is None or organization_id in self._reach[holder]

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

    def issue(self, client_id: str = "") -> str:
        """Return another token that is in force, for what the client id reaches."""
        self._issued += 1
        digest = blake2b(f"{self._seed}/{self._issued}".encode(), digest_size=24).digest()
        token = f"sandbox-{base64.urlsafe_b64encode(digest).decode()}"
        self._expires[token] = self._clock() + self._lifetime
        if client_id in self._reach:
            self._holders[token] = client_id
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
        client_id = form.get("client_id", "")
        if client_id not in self._secrets or form.get("client_secret") != self._secrets[client_id]:
            return _refusal(401, "invalid_client", "client_id or client_secret is wrong")
        now = int(self._clock())
        lifetime = int(self._lifetime) if self._lifetime == int(self._lifetime) else self._lifetime
        answer: dict[str, object] = {
            "access_token": self.issue(client_id),
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
