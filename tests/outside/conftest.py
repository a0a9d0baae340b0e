"""Servers that are not ours: each starts on a port of loopback when it is asked for, and ends with its test."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest

from amili_async import AmiliClient, ClientCredentials
from tests.outside.authority import Authority
from tests.outside.collection_server import PREFIX
from tests.outside.fronts import running_haproxy, running_nginx, running_squid, running_tinyproxy
from tests.outside.programs import temporary_folder
from tests.outside.upstream import Upstream, UpstreamSettings, running_upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from amili_async._client import ClientSettings
    from tests.outside.fronts import Front, HAProxy, Nginx


class Servers:
    """Starts servers; the last that was started ends first."""

    def __init__(self, running: ExitStack) -> None:
        self._running = running

    def upstream(self, **settings: Unpack[UpstreamSettings]) -> Upstream:
        """Start an API of so many batches, in a process of its own."""
        return self._running.enter_context(running_upstream(**settings))

    def nginx(
        self, upstream: Upstream, *, server: str = "", http: str = "", location: str = "", tls: Authority | None = None
    ) -> Nginx:
        """Start nginx in front, with further directives for its ``http``, ``server`` and ``location``."""
        front = running_nginx(upstream.address, server=server, http=http, location=location, tls=tls)
        return self._running.enter_context(front)

    def haproxy(
        self,
        upstream: Upstream,
        *,
        defaults: str = "",
        frontend: str = "",
        backend: str = "",
        tls: Authority | None = None,
    ) -> HAProxy:
        """Start HAProxy in front, with further lines for its ``defaults``, ``frontend`` and ``backend``."""
        front = running_haproxy(upstream.address, defaults=defaults, frontend=frontend, backend=backend, tls=tls)
        return self._running.enter_context(front)

    def squid(self, settings: str = "") -> Front:
        """Start a forward proxy that lets `fronts.USER` through with `fronts.PASSWORD`, and nobody else."""
        return self._running.enter_context(running_squid(settings))

    def tinyproxy(self, settings: str = "") -> Front:
        """Start a forward proxy that asks nobody who he is."""
        return self._running.enter_context(running_tinyproxy(settings))


class Connect(Protocol):
    """Opens a client of the API that is served at a URL, which may be a front's or the upstream's own."""

    async def __call__(
        self, url: str, *, trusting: Authority | None = None, **settings: Unpack[ClientSettings]
    ) -> AmiliClient: ...


@pytest.fixture
def servers() -> Iterator[Servers]:
    with ExitStack() as running:
        yield Servers(running)


@pytest.fixture
def upstream(servers: Servers) -> Upstream:
    """An upstream whose organizations have 100 batches each, on pages of 10."""
    return servers.upstream()


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """Sign certificates that no machine trusts by itself."""
    with temporary_folder("authority") as folder:
        yield Authority(folder)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open clients of whatever serves the API; they are closed when the test ends."""
    async with AsyncExitStack() as opened:

        async def open_client(
            url: str, *, trusting: Authority | None = None, **settings: Unpack[ClientSettings]
        ) -> AmiliClient:
            if trusting is not None:
                settings["ssl"] = trusting.path
            credentials = ClientCredentials("outside", "secret")
            given: ClientSettings = {"base_url": f"{url}{PREFIX}", "token_url": f"{url}/token", **settings}
            return await opened.enter_async_context(AmiliClient(credentials, **given))

        yield open_client
