"""Fixtures for tests of code that uses the client: a sandbox, a client that talks to it, and a clock without waiting.

Every pytest run loads it where the package is installed, so it imports nothing but pytest until a test asks for a
fixture.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox, VirtualClock

_MARKER = (
    "amili(**options): options of the sandbox that the fixture amili_sandbox serves, faults=[...], and "
    "allow_unstruck=True where a fault need not strike"
)
_ALLOW = "amili_allow_unstruck_faults"
_USUAL = {"organizations": 3, "batches": 25, "page_size": 10}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the option known that lets tests pass whose faults never struck."""
    parser.addini(_ALLOW, "whether a test may pass though a fault of amili_sandbox never struck", "bool", default=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that has passed though a fault of its sandbox never struck: it has not tested what it says."""
    outcome = yield
    sandbox: Sandbox | None = getattr(item, "funcargs", {}).get("amili_sandbox")
    marks = [mark.kwargs.get("allow_unstruck") for mark in item.iter_markers("amili")]
    if sandbox is not None and not any(marks) and not item.config.getini(_ALLOW):
        texts = [str(fault) for fault in sandbox.faults.unstruck]
        if texts:
            pytest.fail(
                f"never struck: {'; '.join(texts)} (the requests were {sandbox.requests!r}; where that is as it should "
                f"be: @pytest.mark.amili(allow_unstruck=True), or {_ALLOW} = true)",
                pytrace=False,
            )
    return outcome


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and the fixture that pytest-asyncio has to run."""
    config.addinivalue_line("markers", _MARKER)
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.register(_asyncio_fixtures(), "amili_async_asyncio")


@pytest.fixture
def amili_sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[Sandbox]:
    """A server of the Collection API, in a thread of its own, so that any kind of test can use it.

    It has three organizations with 25 batches each, ten a page, unless ``@pytest.mark.amili(organizations=20, ...)``
    says otherwise; the marker takes everything that `amili_async.sandbox.Sandbox` takes, and ``faults``, a list of them
    or of their texts. A test fails whose fault never struck, unless the marker says ``allow_unstruck=True``. While the
    test runs, the ``AMILI_*`` variables lead to the server: code under test that calls ``AmiliClient.from_env()`` needs
    no change.
    """
    from amili_async import _clock as clock  # noqa: PLC0415  # a run without these fixtures imports nothing
    from amili_async.sandbox import Sandbox  # noqa: PLC0415  # the same

    options: dict[str, Any] = {"clock": lambda: clock.current().time(), **_USUAL}
    for marker in reversed(list(request.node.iter_markers("amili"))):
        if marker.args:
            raise pytest.UsageError("@pytest.mark.amili takes names and values, such as organizations=20")
        options |= marker.kwargs
    faults = options.pop("faults", ())
    options.pop("allow_unstruck", None)
    if "amili_clock" in request.fixturenames:
        request.getfixturevalue("amili_clock")
    try:
        sandbox = Sandbox(**options)
        sandbox.faults.add(*faults)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"@pytest.mark.amili: {error}") from None
    with sandbox:
        for name, value in _environment(sandbox).items():
            monkeypatch.setenv(name, value)
        for name in ("AMILI_TOKEN", "AMILI_ENVIRONMENT"):
            monkeypatch.delenv(name, raising=False)
        yield sandbox


@pytest.fixture
def amili_client(request: pytest.FixtureRequest) -> AmiliClient:
    """A client of `amili_sandbox` with its credentials.

    It opens its connections in the test's own event loop and is closed there, whether pytest-asyncio, in either mode,
    anyio or another plugin runs the test. A test that is no coroutine closes it itself: ``async with amili_client:``.
    """
    client: AmiliClient = request.getfixturevalue(_fixture_for(request))
    return client


@pytest.fixture
def amili_clock() -> Generator[VirtualClock]:
    """A clock on which waiting takes no time: backoff, `Retry-After`, waiters and token expiry.

    It is in force for clients made during the test, and for `amili_sandbox`. ``amili_clock.advance(3600)`` lets an hour
    pass; ``amili_clock.slept`` holds what was waited for.
    """
    from amili_async import _clock as clock  # noqa: PLC0415  # a run without these fixtures imports nothing
    from amili_async.sandbox import VirtualClock  # noqa: PLC0415  # the same

    virtual = VirtualClock()
    with clock.installed(virtual):
        yield virtual


def _asyncio_fixtures() -> object:
    """Return a plugin with the fixture that pytest-asyncio has to run: its strict mode leaves all but its own alone."""
    import pytest_asyncio  # noqa: PLC0415  # it is there, as just seen

    class Fixtures:
        @pytest_asyncio.fixture(name="_amili_client_in_asyncio")
        async def client_in_asyncio(self, amili_sandbox: Sandbox) -> AsyncGenerator[AmiliClient]:
            """A client that pytest-asyncio closes in its loop."""
            async with client_of(amili_sandbox) as client:
                yield client

    return Fixtures()


@pytest.fixture(name="_amili_client_in_anyio")
async def client_in_anyio(amili_sandbox: Sandbox) -> AsyncGenerator[AmiliClient]:
    """A client that anyio's plugin closes in its loop."""
    async with client_of(amili_sandbox) as client:
        yield client


@pytest.fixture(name="_amili_client_in_its_test")
def client_in_its_test(request: pytest.FixtureRequest, amili_sandbox: Sandbox) -> AmiliClient:
    """A client that is closed at the end of the test function, if that is a coroutine; else the test closes it."""
    client = client_of(amili_sandbox)
    test = request.node.obj
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def closing(*args: object, **kwargs: object) -> object:
            async with client:
                return await test(*args, **kwargs)

        request.node.obj = closing
    return client


def client_of(sandbox: Sandbox) -> AmiliClient:
    """Return a client of a sandbox; it makes its session at its first call, in the loop of that call."""
    from amili_async import AmiliClient, ClientCredentials  # noqa: PLC0415  # as above

    return AmiliClient(
        ClientCredentials(*sandbox.credentials),
        base_url=sandbox.base_url,
        token_url=sandbox.token_url,
        autocollect_url=sandbox.autocollect_url,
        trust_env=False,
    )


def _environment(sandbox: Sandbox) -> dict[str, str]:
    """Return the variables that lead `AmiliClient.from_env()` to a sandbox, past any proxy."""
    client_id, client_secret = sandbox.credentials
    direct = {name: ",".join(filter(None, (os.environ.get(name), "127.0.0.1"))) for name in ("no_proxy", "NO_PROXY")}
    return {
        "AMILI_BASE_URL": sandbox.base_url,
        "AMILI_TOKEN_URL": sandbox.token_url,
        "AMILI_AUTOCOLLECT_URL": sandbox.autocollect_url,
        "AMILI_CLIENT_ID": client_id,
        "AMILI_CLIENT_SECRET": client_secret,
        **direct,
    }


def _fixture_for(request: pytest.FixtureRequest) -> str:
    """Return the fixture that makes the client: one in the hands of the plugin that runs the test."""
    in_asyncio = False
    if request.config.pluginmanager.hasplugin("asyncio"):
        from pytest_asyncio import is_async_test  # noqa: PLC0415  # it is there, as just seen

        in_asyncio = is_async_test(request.node)
    in_anyio = "anyio_backend" in request.fixturenames
    if in_asyncio != in_anyio:
        return "_amili_client_in_asyncio" if in_asyncio else "_amili_client_in_anyio"
    # Where both have a hand in it (anyio's marker in pytest-asyncio's auto mode), one runs the test and the other its
    # fixtures, in another loop.
    return "_amili_client_in_its_test"
