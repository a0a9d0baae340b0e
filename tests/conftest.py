"""What all tests share: a sandbox, clients of it, the clock of the test's event loop, and a time limit.

A folder or a module says what its ``sandbox`` is like in ``sandbox_settings``, a test with ``@pytest.mark.amili(...)``,
as it does for the plugin's own fixture; ``auth`` says how its clients are let in. More of either come from
``make_sandbox`` and ``make_client``. All of them run in the test's loop, and end with the test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tomllib
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Unpack

import hypothesis
import pytest

from amili_async import AmiliClient, ClientCredentials
from amili_async import _clock as clock_module
from amili_async.sandbox import Sandbox
from tests.support import aioresponses_shim as aioresponses_shim  # noqa: PLC0414  # imported for what it mends
from tests.support import event_loops
from tests.support import figures as figures_module
from tests.support.ports import free_port
from tests.support.virtual_time import clock_of, has_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amili_async import TokenProvider
    from amili_async._client import ClientSettings
    from amili_async._clock import Clock
    from tests.support.factories import ClientFactory, SandboxFactory


def pytest_addoption(parser: pytest.Parser) -> None:
    event_loops.add_options(parser)
    figures_module.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    event_loops.configure(config)
    figures_module.configure(config)
    # An example that takes long, to make or to run, says that the machine is busy, and would be reported as a failure.
    untimed = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.register_profile("untimed", untimed)
    hypothesis.settings.load_profile("untimed")


def pytest_unconfigure(config: pytest.Config) -> None:
    figures_module.finish(config)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> figures_module.Figures:
    """Take what a test has measured; ``--figures`` says where it goes."""
    return figures_module.Figures(request.config.stash[figures_module.FILE])


# A shell starts what it puts into the background with Control-C ignored, and so would be all that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What asks for colours, or for lines of some width, is looked at once, when what writes them is imported.
for name in (
    *("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "COLUMNS", "LINES"),
    "GITHUB_ACTIONS",  # Typer takes it for a wish for colours
):
    os.environ.pop(name, None)

_ENVIRONMENT = (
    *(f"AMILI_{name}" for name in ("CLIENT_ID", "CLIENT_SECRET", "TOKEN", "ENVIRONMENT", "BASE_URL", "TOKEN_URL")),
    *("AMILI_AUTOCOLLECT_URL", "AMILI_STORE"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


def pytest_runtest_setup() -> None:
    """Let SIGTERM end a run as Control-C does: what a CI that has waited too long stops leaves no server behind.

    Before each test, as an event loop that gives the signal back gives it back to the system.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests that the quick run leaves out a time limit of their own, where they have none yet."""
    assert config.inipath is not None
    options = tomllib.loads(config.inipath.read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    slow = {marker.partition(":")[0] for marker in options["markers"]}
    for item in items:
        if slow & {marker.name for marker in item.iter_markers()} and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings and proxies out of the tests."""
    for name in _ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def unused_tcp_port() -> int:
    """A port that stays free until the test takes it: the one of pytest-asyncio's may become a connection's."""
    return free_port()


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    """The clock of clients and sandboxes: the loop's own where time is virtual, else the machine's."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        if has_clock(loop):
            stack.enter_context(clock_module.installed(clock_of(loop)))
        yield clock_module.current()


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    """What the sandbox is like."""
    return {"organizations": 2, "batches": 8, "entries": 1, "page_size": 3}


@pytest.fixture
async def make_sandbox(clock: Clock) -> AsyncIterator[SandboxFactory]:
    """Start sandboxes."""
    async with AsyncExitStack() as running:

        async def make(**settings: Any) -> Sandbox:
            # A query name that the client misspells is to be seen.
            given: dict[str, Any] = {"clock": clock.time, "strict": True, **settings}
            return await running.enter_async_context(Sandbox(**given))

        yield make


@pytest.fixture
async def sandbox(
    request: pytest.FixtureRequest, make_sandbox: SandboxFactory, sandbox_settings: dict[str, object]
) -> Sandbox:
    """A sandbox as ``sandbox_settings`` and the test's marker have it."""
    marks = reversed(list(request.node.iter_markers("amili")))
    return await make_sandbox(
        **{**sandbox_settings, **{name: mark.kwargs[name] for mark in marks for name in mark.kwargs}}
    )


@pytest.fixture
def auth(sandbox: Sandbox) -> TokenProvider | str:
    """How clients are let in: with the sandbox's credentials."""
    return ClientCredentials(*sandbox.credentials)


@pytest.fixture
async def make_client(sandbox: Sandbox, auth: TokenProvider | str, clock: Clock) -> AsyncIterator[ClientFactory]:  # noqa: ARG001  # clients take the clock that is in force
    """Make clients of the sandbox."""
    async with AsyncExitStack() as open_clients:

        def make(other: TokenProvider | str | None = None, /, **settings: Unpack[ClientSettings]) -> AmiliClient:
            given: ClientSettings = {
                "base_url": sandbox.base_url,
                "token_url": sandbox.token_url,
                "autocollect_url": sandbox.autocollect_url,
                **settings,
            }
            client = AmiliClient(auth if other is None else other, **given)
            open_clients.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
def client(make_client: ClientFactory) -> AmiliClient:
    """A client of the sandbox."""
    return make_client()


@pytest.fixture
def organization(sandbox: Sandbox) -> str:
    """The sandbox's first organization."""
    return sandbox.organization_ids[0]
