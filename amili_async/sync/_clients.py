"""Which client reads which organization: one for all, or one for each of several creditors' credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from amili_async._client import AmiliClient
from amili_async._redaction import redacted
from amili_async.errors import ConfigurationError
from amili_async.sync._creditors import read_creditors
from amili_async.sync._progress import Account
from amili_async.sync._sources import LISTS, ListSource

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self, Unpack

    from amili_async._call.auth import TokenProvider
    from amili_async._client import ClientSettings
    from amili_async.sync._sources import Lists

Clients: TypeAlias = Mapping[str, AmiliClient] | Callable[[str], AmiliClient | None]
"""A client for each organization's id, or a function that returns it; ``None`` for the client of all others."""


class ClientPool(Mapping[str, AmiliClient]):
    """Opens a client for each of several credentials when its first organization is read, and closes them all.

    Organizations that are given the same object, or the same token, share a client: its token and its rate limit.

        async with ClientPool({organization_id: ClientCredentials("id", "secret")}, environment="staging") as clients:
            report = await sync(None, clients, store, clients=clients)

    Args:
        credentials: what each organization is read with, by its id.
        settings: keywords of `AmiliClient`, for all of them. `from_file` takes them from the environment.
    """

    __module__ = "amili_async.sync"  # where it is imported from

    _open: Callable[..., AmiliClient] = AmiliClient

    def __init__(self, credentials: Mapping[str, TokenProvider | str], **settings: Unpack[ClientSettings]) -> None:
        if not isinstance(credentials, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ConfigurationError(
                f"credentials must be a dict of organization ids, not {type(credentials).__name__}"
            )
        self._credentials = dict(credentials)
        self._settings = settings
        self._clients: dict[object, AmiliClient] = {}
        self._closing = AsyncExitStack()

    @classmethod
    @redacted
    def from_file(
        cls,
        path: str | os.PathLike[str],
        organization_ids: Iterable[str] | None = None,
        **settings: Unpack[ClientSettings],
    ) -> Self:
        """Return a pool of the creditors in a TOML or JSON file; servers and certificates as `AmiliClient.from_env`.

        A table for each creditor, called what you like. The file names where secrets are, and holds none:

            [north]
            organizations = ["7bc05553-4b68-44e8-b7bc-37be63c6d9e9"]  # or organizations_file = "north.txt"
            client_id_file = "/run/secrets/north-id"  # or client_id_env, or client_id itself
            client_secret_file = "/run/secrets/north-secret"  # or client_secret_env

        Both from files, they are read anew for each token. Paths are relative to the file's folder.

        Args:
            path: the file.
            organization_ids: these of its organizations; ``None``: all of them.
            settings: keywords of `AmiliClient`; they go before the environment.

        Raises:
            ConfigurationError: what is wrong with the file, with a creditor by its name.
        """
        credentials = read_creditors(Path(path))
        if organization_ids is not None:
            wanted = list(organization_ids)
            if missing := [name for name in wanted if name not in credentials]:
                raise ConfigurationError(f"{path} names no credentials for {', '.join(missing)}")
            credentials = {name: credentials[name] for name in wanted}
        made = cls(credentials, **settings)
        made._open = AmiliClient.from_env
        return made

    @redacted
    def __getitem__(self, organization_id: str) -> AmiliClient:
        credentials = self._credentials[organization_id]
        client = self._clients.get(credentials)
        if client is None:
            client = self._clients[credentials] = self._open(credentials, **self._settings)
            self._closing.push_async_callback(client.aclose)
        return client

    def __iter__(self) -> Any:
        return iter(self._credentials)

    def __len__(self) -> int:
        return len(self._credentials)

    def __repr__(self) -> str:
        return f"ClientPool({len(self._credentials)} organizations, {len(self._clients)} clients open)"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._closing.aclose()


class Reading:
    """One client as a run uses it: its lists, and what its answers tell."""

    def __init__(self, client: AmiliClient) -> None:
        transport = client.caller.transport
        self.clock = transport.clock
        self.concurrency = transport.limits.concurrency
        self.reads = asyncio.Semaphore(self.concurrency)
        """What reads by id go through, of all organizations: their deadline begins when they can be sent."""
        self.account = Account(transport.clock)
        self._client = client
        self._lists: dict[str, Lists[Any]] = {}

    def source(self, resource: str, organization_id: str) -> ListSource[Any]:
        """Return one list of one organization."""
        lists = self._lists.get(resource)
        if lists is None:
            lists = self._lists[resource] = LISTS[resource](self._client)
        return ListSource(lists, organization_id)


class Readings:
    """The clients of a run, each with the run's hooks while it lasts."""

    def __init__(self, client: AmiliClient | None, clients: Clients | None, *hooks: object) -> None:
        self._client = client
        self._clients = clients
        self._hooks = hooks
        self._hooked = ExitStack()
        self._readings: dict[int, Reading] = {}

    @property
    def single(self) -> bool:
        """Whether one client reads all organizations."""
        return self._clients is None

    @property
    def all(self) -> list[Reading]:
        """Those met so far."""
        return list(self._readings.values())

    def of(self, organization_id: str) -> Reading:
        """Return what reads an organization.

        Raises:
            ConfigurationError: nothing does.
        """
        given, found = self._clients, None
        if given is not None:
            found = given(organization_id) if callable(given) else given.get(organization_id)
        client = found or self._client
        if client is None:
            raise ConfigurationError(
                f"clients has no client for organization {organization_id}, and none is given for all"
            )
        transport = client.caller.transport
        # Copies of a client share its transport, and are one.
        reading = self._readings.get(id(transport))
        if reading is None:
            reading = self._readings[id(transport)] = Reading(client)
            for hook in (*self._hooks, reading.account):
                self._hooked.enter_context(transport.hooks.with_one_more(hook))
        return reading

    def close(self) -> None:
        """Leave the clients without the run's hooks."""
        self._hooked.close()
