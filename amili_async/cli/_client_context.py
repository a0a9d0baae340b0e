"""Opens the client that the environment describes, and tells at the end what drift it met."""

from __future__ import annotations

import os
import re
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from amili_async.cli._console import say, say_each
from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from amili_async import AmiliClient, Profile
    from amili_async._client import ClientSettings
    from amili_async.events import (
        AttemptEnded,
        Drift,
        DriftKind,
        GateClosed,
        QuarantinedRow,
        RateLearned,
        RetryPlanned,
        TokenRequested,
    )
    from amili_async.sandbox import Sandbox
    from amili_async.sync import ClientPool


NAMED = 8
"""How many differences of one kind are named."""

WORDS: dict[DriftKind, str] = {
    "member": "unknown members",
    "value": "unknown values",
    "type": "unknown entries",
    "leniency": "read by bending the rules",
}


class DriftNotes:
    """A hook that keeps what was met."""

    def __init__(self) -> None:
        self.drift: dict[tuple[str, DriftKind], list[Drift]] = {}
        self.quarantined: list[QuarantinedRow] = []

    def on_drift(self, record: Drift) -> None:
        """Keep a difference."""
        self.drift.setdefault((record.operation, record.kind), []).append(record)

    def on_quarantine(self, record: QuarantinedRow) -> None:
        """Keep where a row could not be read."""
        self.quarantined.append(record)

    def tell(self) -> None:
        """Print what was met to standard error; nothing where all was as documented."""
        if self.drift:
            say("Not quite as documented, and read all the same:")
            say_each(
                f"{operation}: {WORDS[kind]} {_named([_name(record) for record in records])}"
                for (operation, kind), records in self.drift.items()
            )
        if self.quarantined:
            count = len(self.quarantined)
            rows = "1 row could not be read and was" if count == 1 else f"{count:,} rows could not be read and were"
            say(f"{rows} left out:")
            say_each(f"{record.operation} {record.path}: {record.reason}" for record in self.quarantined)


def _name(record: Drift) -> str:
    place = re.sub(r"^\$\.data(\[\.\.\.\])?\.?", "", record.path)
    if record.kind == "member":
        return place
    return f"{place} ({record.found})" if record.kind == "leniency" else record.found


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


class GlobalOptions(NamedTuple):
    """What stands before a command: which servers, whether each request is told, and what the server is like."""

    environment: str | None = None
    debug: bool = False
    profile: Path | None = None


global_options: ContextVar[GlobalOptions] = ContextVar("global_options", default=GlobalOptions())  # noqa: B039  # frozen
"""What stands before the command that runs."""


class Requests:
    """A hook that tells each request and what was answered, by the path's template."""

    def on_attempt(self, record: AttemptEnded) -> None:
        """Tell how a request ended."""
        came = f"{record.status}, {record.received_bytes:,} bytes" if record.status else str(record.error)
        known = f", request id {record.request_id}" if record.request_id else ""
        say(f"{record.method} {record.route}: {came} in {record.seconds:.3f} s{known}")

    def on_token(self, record: TokenRequested) -> None:
        """Tell how a token request ended."""
        status = f" ({record.status})" if record.status else ""
        say(f"token {record.outcome}{status}")


class Waits:
    """A hook that tells why a command takes its time."""

    def __init__(self) -> None:
        self._told = 0.0

    def on_retry(self, record: RetryPlanned) -> None:
        """Tell that a request will be repeated."""
        if record.reason != "429":  # told once for all of them, below
            say(f"{record.operation}: {record.reason}, trying again in {record.wait:.1f} s")

    def on_gate(self, record: GateClosed) -> None:
        """Tell that the server asked to wait."""
        say(f"{record.operation}: rate limited, waiting {record.seconds:.1f} s")

    def on_rate(self, record: RateLearned) -> None:
        """Tell how fast it goes, where that has changed by much."""
        if abs(record.rate - self._told) > self._told / 4:
            self._told = record.rate
            say(f"{record.operation}: rate limited, going at {record.rate:.3g} requests a second")


@asynccontextmanager
async def opened(
    server: Sandbox | None = None, *, hooks: Sequence[object] = (Waits(),), concurrency: int = 16
) -> AsyncGenerator[AmiliClient, None]:
    """Yield a client of a sandbox, or with the credentials and the server that the ``AMILI_*`` variables name.

    Unless it is given other hooks, it tells what it waits for.

    Raises:
        ConfigurationError: a variable is missing or cannot be right; it is named.
    """
    from amili_async import AmiliClient, ClientCredentials  # noqa: PLC0415  # what calls nothing starts without it

    notes = DriftNotes()
    settings = _settings(notes, hooks, concurrency)
    if server is None:
        client = AmiliClient.from_env(**settings | _servers())
    else:
        # A proxy of the machine's has no business between two ends of one process.
        settings |= {"base_url": server.base_url, "token_url": server.token_url, "trust_env": False}
        client = AmiliClient(ClientCredentials(*server.credentials), **settings)
    async with client as amili:
        try:
            yield amili
        finally:
            notes.tell()


@asynccontextmanager
async def opened_for(
    creditors: Path, organization_ids: Sequence[str] | None, *, concurrency: int
) -> AsyncGenerator[ClientPool, None]:
    """Yield the clients of the creditors in a file, for these of their organizations, or for all.

    Raises:
        ConfigurationError: something in the file or the environment cannot be right; it is named.
    """
    from amili_async.sync import ClientPool  # noqa: PLC0415  # the other commands start without it

    notes = DriftNotes()
    settings = _settings(notes, (), concurrency) | _servers()
    async with ClientPool.from_file(creditors, organization_ids, **settings) as clients:
        try:
            yield clients
        finally:
            notes.tell()


def known_profile() -> Profile | None:
    """Return what ``--profile`` says of the server."""
    from amili_async import Profile  # noqa: PLC0415  # what calls nothing starts without it

    path = global_options.get().profile
    return None if path is None else Profile.load(path)


def _settings(notes: DriftNotes, hooks: Sequence[object], concurrency: int) -> ClientSettings:
    told = (Requests(),) if global_options.get().debug else ()
    settings: ClientSettings = {"hooks": (notes, *hooks, *told), "concurrency": concurrency, "on_invalid": "skip"}
    if (profile := known_profile()) is not None:
        settings["profile"] = profile
    return settings


def _servers() -> ClientSettings:
    """Return which servers ``--env`` names, where it does."""
    environment = global_options.get().environment
    if environment is None:
        return {}
    _refuse_two_servers(environment)
    return {"environment": environment}


def _refuse_two_servers(environment: str) -> None:
    for name in ("AMILI_BASE_URL", "AMILI_TOKEN_URL"):
        if os.environ.get(name):
            raise ConfigurationError(
                f"--env {environment} and {name} name two servers; unset {name}, or leave --env out"
            )
