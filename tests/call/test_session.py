"""The session behind a client: whose it is, which loop it belongs to, how it ends, and the way through proxies."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import warnings
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from amili_async import AmiliClient, ClientCredentials
from amili_async._http.session import read_keep_alive
from amili_async.errors import (
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    NotFoundError,
    TransportError,
    WrongLoopError,
)
from amili_async.sandbox import Fault, Sandbox
from tests.support.calls import ACCEPTED, READ, WRITE
from tests.support.turns import turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from amili_async._client import ClientSettings
    from amili_async.sandbox import VirtualClock
    from tests.support.calls import Calls
    from tests.support.factories import ClientFactory

CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""A key and a certificate for 127.0.0.1, made up for these tests."""


# -- the loop


def test_a_client_is_made_outside_a_loop_and_used_in_one() -> None:
    with Sandbox(organizations=1, batches=1, entries=1) as served:
        client = AmiliClient(served.issue_token(), base_url=served.base_url)

        async def main() -> int:
            async with client:
                return len(await client.batches.list(served.organization_ids[0]).collect())

        assert asyncio.run(main()) == 1


def test_use_from_another_loop_says_so_before_anything_is_sent() -> None:
    with Sandbox(organizations=1, batches=1, entries=1) as served, asyncio.Runner() as own, asyncio.Runner() as other:
        client = AmiliClient(served.issue_token(), base_url=served.base_url)
        copy = client.with_options(deadline=1.0)
        own.run(_first(client, served))
        assert len(served.requests) == 1
        for used in (client, copy):
            with pytest.raises(WrongLoopError, match="AmiliClient was first used in another event loop"):
                other.run(_first(used, served))
        assert len(served.requests) == 1
        own.run(client.aclose())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_client_can_be_closed_after_its_loop_has_ended() -> None:
    with Sandbox(organizations=1, batches=1, entries=1) as served:
        client = AmiliClient(served.issue_token(), base_url=served.base_url)
        asyncio.run(_first(client, served))
        asyncio.run(client.aclose())
        with pytest.raises(ClientClosedError):
            asyncio.run(_first(client, served))
        del client
        gc.collect()  # asyncio's own complaint of the connection, which no loop can close any more


async def _first(client: AmiliClient, served: Sandbox) -> object:
    return await client.batches.list(served.organization_ids[0], prefetch=False).first()


# -- the end


async def test_a_call_after_the_close_says_so(client: AmiliClient, sandbox: Sandbox, calls: Calls) -> None:
    copy = client.with_options(deadline=1.0)
    await client.aclose()
    await client.aclose()
    for closed in (client, copy):
        with pytest.raises(ClientClosedError, match="AmiliClient is closed"):
            await calls.read(closed)
        with pytest.raises(ClientClosedError, match="AmiliClient is closed"):
            await closed.authenticate()
    assert len(sandbox.requests) == 0


async def test_closing_a_copy_does_nothing(client: AmiliClient, calls: Calls) -> None:
    async with client.with_options(deadline=1.0) as copy:
        await calls.read(copy)
    await calls.read(client)


async def test_a_client_closes_at_the_end_of_its_block_even_when_that_fails(sandbox: Sandbox, calls: Calls) -> None:
    client = AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url)

    async def fail() -> None:
        async with client:
            await calls.read(client)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    with pytest.raises(ClientClosedError):
        await calls.read(client)


async def test_a_forgotten_close_warns_of_the_client_and_of_nothing_else(sandbox: Sandbox, calls: Calls) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    client = AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url)
    await calls.read(client)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
        await turns(20)
        gc.collect()
    assert [str(warning.message) for warning in caught] == [
        "AmiliClient was not closed; use `async with AmiliClient(...)` or `await client.aclose()`"
    ]
    assert caught[0].category is ResourceWarning
    assert reported == []


async def test_a_client_that_was_never_used_need_not_be_closed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AmiliClient("token")
        gc.collect()


async def test_a_subclass_is_named_in_the_messages(sandbox: Sandbox, calls: Calls) -> None:
    class Collector(AmiliClient):
        pass

    client = Collector(sandbox.issue_token(), base_url=sandbox.base_url)
    await client.aclose()
    with pytest.raises(ClientClosedError, match=r"^Collector is closed"):
        await calls.read(client)


@pytest.mark.parametrize(
    ("faults", "concurrency"),
    [
        ([f"{READ}:hang"], 16),
        ([f"{READ}:slow-body,seconds=50"], 16),
        ([f"{READ}:hang"], 1),
        ([f"{READ}:status=429,retry_after=40"], 16),
        ([f"{READ}:status=503,retry_after=40"], 16),
        (["token:hang"], 16),
        (["token:hang"], 1),
    ],
    ids=["in flight", "in the body", "for a slot", "at the gate", "to repeat", "for a token", "for a slot and a token"],
)
async def test_closing_ends_calls_wherever_they_wait_and_leaves_nothing_running(
    faults: list[str],
    concurrency: int,
    make_client: ClientFactory,
    sandbox: Sandbox,
    calls: Calls,
    *,
    clock: VirtualClock,
) -> None:
    client = make_client(concurrency=concurrency)
    sandbox.faults.add(*faults)
    before = asyncio.all_tasks()
    running = [asyncio.create_task(calls.read(client)) for _ in range(5)]
    await asyncio.sleep(1.0)
    running.append(asyncio.create_task(calls.read(client)))
    await turns(2)
    closed = clock.monotonic()
    await client.aclose()
    outcomes = await asyncio.gather(*running, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 6
    assert clock.monotonic() == closed
    await turns(5)
    assert asyncio.all_tasks() == before


async def test_closing_twice_at_once_waits_for_the_end_both_times(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:hang")
    running = asyncio.create_task(calls.read(client))
    await asyncio.sleep(1.0)
    await asyncio.gather(client.aclose(), client.aclose())
    with pytest.raises(ClientClosedError):
        await running


async def test_closing_does_not_wait_for_a_call_that_will_not_end(sandbox: Sandbox, calls: Calls) -> None:
    class Stubborn:
        async def token(self, _exchange: object, /) -> str:
            try:
                await asyncio.sleep(3600)
            finally:
                await turns(1_000)
            return "never"

        def reject(self, token: str, /) -> None: ...

    client = AmiliClient(Stubborn(), base_url=sandbox.base_url)
    running = asyncio.create_task(calls.read(client))
    await asyncio.sleep(1.0)
    await client.aclose()
    assert not running.done()
    with pytest.raises(ClientClosedError):
        await running


def test_a_session_that_is_gone_already_is_closed_from_another_loop_without_a_word() -> None:
    with Sandbox(organizations=1, batches=1, entries=1) as served, asyncio.Runner() as own, asyncio.Runner() as other:
        client = AmiliClient(served.issue_token(), base_url=served.base_url)
        own.run(_first(client, served))

        async def end_the_session() -> None:
            await client.caller.transport._connection.open().close()  # pyright: ignore[reportPrivateUsage]  # nothing public hands it out

        own.run(end_the_session())
        other.run(client.aclose())


# -- keep-alive


async def test_a_kept_alive_connection_that_the_server_closed_is_no_error_for_a_get(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    for kind in ("close-idle", "close-reused"):
        sandbox.faults.add(f"{READ}:{kind},count=3")
        for _ in range(4):
            await calls.read(client)
        sandbox.faults.clear()


async def test_a_write_after_a_connection_was_closed_goes_out_on_another_once(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:close-idle", ACCEPTED)
    await calls.read(client)
    await asyncio.sleep(0.1)
    await calls.write(client)
    assert sandbox.requests.count(WRITE) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("timeout=5", 4.0),
        ("timeout=5, max=1000", 4.0),
        ('max=3, Timeout = "60"', 59.0),
        ("timeout=1", 0.5),
        ("timeout=0", 0.0),
        ("max=100", None),
        ("timeout=soon", None),
        ("timeout=-1", None),
        ("", None),
    ],
)
def test_a_connection_is_trusted_a_second_less_than_the_server_announces(header: str, seconds: float | None) -> None:
    assert read_keep_alive(header) == seconds


class Idle:
    """Lets kept-alive connections grow older."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("amili_async._upstream.aiohttp.monotonic", lambda: self.now)
        monkeypatch.setattr("aiohttp.connector.monotonic", lambda: self.now)


@pytest.mark.parametrize(
    ("settings", "announced", "idle", "connections"),
    [
        ({}, None, 0.4, 1),
        ({}, None, 0.6, 2),
        ({"write_keepalive": 10}, None, 9.9, 1),
        ({"write_keepalive": 0}, None, 0.01, 2),
        ({"write_keepalive": 0}, "timeout=60", 0.01, 2),
        ({}, "timeout=5", 3.9, 1),
        ({}, "timeout=5", 4.1, 2),
        ({"write_keepalive": 10}, "timeout=5", 4.1, 2),
        ({}, "nonsense", 0.6, 2),
    ],
)
async def test_a_write_goes_out_on_a_connection_that_was_not_idle_for_too_long(
    settings: ClientSettings,
    announced: str | None,
    idle: float,
    connections: int,
    *,
    make_client: ClientFactory,
    sandbox: Sandbox,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = Idle(monkeypatch)
    client = make_client(sandbox.issue_token(), **settings)
    if announced is not None:
        sandbox.faults.add(Fault(READ, headers={"Keep-Alive": announced}))
    sandbox.faults.add(ACCEPTED)
    await calls.read(client)
    moments.now += idle
    await calls.write(client)
    assert len({request.connection for request in sandbox.requests}) == connections


async def test_what_the_answer_to_a_write_announces_counts_for_the_next_one(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = Idle(monkeypatch)
    client = make_client(sandbox.issue_token())
    sandbox.faults.add(Fault(WRITE, status=202, body=ACCEPTED.body, headers={"Keep-Alive": "timeout=5"}))
    await calls.write(client)
    moments.now += 3.9
    await calls.write(client)
    moments.now += 4.1
    await calls.write(client)
    first, second, third = (request.connection for request in sandbox.requests)
    assert first == second != third


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", True, None])
def test_a_time_that_is_none_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^write_keepalive"):
        AmiliClient("token", write_keepalive=value)


async def test_a_dropped_get_is_counted_as_often_as_it_was_sent(
    client: AmiliClient, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:close")
    with pytest.raises(TransportError) as caught:
        await calls.read(client)
    assert sandbox.requests.count(READ) == caught.value.attempts == 3


# -- an injected session


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"X-Mine": "yes"}, raise_for_status=True) as own:
        yield own


async def test_an_injected_session_is_used_and_left_open_and_as_it_was(
    session: aiohttp.ClientSession, sandbox: Sandbox, calls: Calls
) -> None:
    before = dict(vars(session))
    async with AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session) as client:
        await calls.read(client)
        await calls.read(client)
    assert not session.closed
    assert vars(session) == before
    assert {request.connection for request in sandbox.requests} == {sandbox.requests[0].connection}
    assert sandbox.requests[0].headers["x-mine"] == "yes"


async def test_an_injected_sessions_own_raising_for_status_does_not_change_the_errors(
    session: aiohttp.ClientSession, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add(f"{READ}:status=404")
    client = AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session)
    with pytest.raises(NotFoundError):
        await calls.read(client)


async def test_a_middleware_of_an_injected_session_can_read_and_sign_the_body(sandbox: Sandbox, calls: Calls) -> None:
    async def sign(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        body = await request.body.as_bytes() if isinstance(request.body, aiohttp.Payload) else request.body
        request.headers["X-Length"] = str(len(body))
        return await handler(request)

    sandbox.faults.add(ACCEPTED)
    async with aiohttp.ClientSession(middlewares=[sign]) as session:
        client = AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session)
        await calls.write(client)
    request = sandbox.requests.last(WRITE)
    assert request.headers["x-length"] == str(len(request.body))


async def test_an_injected_session_that_its_owner_closed_is_named(sandbox: Sandbox, calls: Calls) -> None:
    session = aiohttp.ClientSession()
    client = AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session)
    await session.close()
    with pytest.raises(ClientClosedError, match="the session given to AmiliClient is closed"):
        await calls.read(client)


async def test_an_injected_session_with_credentials_of_its_own_is_refused(calls: Calls) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("me", "secret"))
    async with session:
        with pytest.raises(ConfigurationError, match="session must have no auth of its own"):
            await calls.read(AmiliClient("token", session=session))


async def test_a_forgotten_client_over_an_injected_session_warns_of_nothing(
    session: aiohttp.ClientSession, sandbox: Sandbox, calls: Calls
) -> None:
    client = AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session)
    await calls.read(client)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del client
        gc.collect()
    assert not session.closed


def served_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_tls_and_connector_of_ones_own_come_with_an_injected_session(clock: VirtualClock) -> None:
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    async with Sandbox(organizations=1, batches=1, entries=1, clock=clock.time, tls=served_tls()) as served:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session,
            AmiliClient(
                ClientCredentials(*served.credentials),
                base_url=served.base_url,
                token_url=served.token_url,
                session=session,
            ) as client,
        ):
            assert len(await client.batches.list(served.organization_ids[0]).collect()) == 1
        async with AmiliClient(served.issue_token(), base_url=served.base_url) as wary:
            with pytest.raises(
                ConnectError,
                match=rf"the certificate of 127.0.0.1:{served.port} is not trusted: self-signed certificate",
            ):
                await wary.batches.list(served.organization_ids[0]).first()


# -- proxies and netrc


class Tunnels:
    """A forward proxy that opens tunnels to where it is told, and writes down who asked for what."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self, *, refusing: bool = False) -> AsyncGenerator[str]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if refusing:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                writer.close()
                return
            host, _, port = head.split(" ")[1].rpartition(":")
            onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(pump(reader, onward_writer), pump(onward_reader, writer))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while piece := await source.read(65_536):
                    sink.write(piece)
            except ConnectionError:
                pass
            sink.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await turns(50)


async def test_https_goes_through_the_tunnel_of_the_environments_proxy_tokens_too(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tunnels = Tunnels()
    async with (
        Sandbox(organizations=1, batches=1, entries=1, clock=clock.time, tls=served_tls()) as served,
        tunnels.listening() as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s%40crit@{proxy}")
        async with AmiliClient(
            ClientCredentials(*served.credentials),
            base_url=served.base_url,
            token_url=served.token_url,
            ssl=CERTIFICATE,
        ) as client:
            assert len(await client.batches.list(served.organization_ids[0]).collect()) == 1
        assert [request.operation for request in served.requests] == ["token", "batches.list"]
        assert len({request.connection for request in served.requests}) == len(tunnels.heads)
        for head in tunnels.heads:
            assert head.startswith(f"CONNECT 127.0.0.1:{served.port} HTTP/1.1\r\n")
            assert "Proxy-Authorization: Basic bWU6c0Bjcml0\r\n" in head  # me:s@crit
            assert "Bearer" not in head
        assert not any("proxy-authorization" in request.headers for request in served.requests)


async def test_a_proxy_that_refuses_the_tunnel_means_that_nothing_was_sent(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    tunnels = Tunnels()
    async with (
        Sandbox(organizations=1, batches=1, entries=1, clock=clock.time, tls=served_tls()) as served,
        tunnels.listening(refusing=True) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
        async with AmiliClient(served.issue_token(), base_url=served.base_url) as client:
            with pytest.raises(ConnectError) as caught:
                await calls.write(client)
        assert caught.value.attempts == len(tunnels.heads) == 1
        assert caught.value.message == (
            f"the proxy {proxy} answered 407: it asks for a user and password, or refuses those it was given"
        )
        assert len(served.requests) == 0


async def test_http_goes_through_the_environments_proxy_which_is_read_once(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The sandbox is its own proxy here: nothing listens at the address that the client is told.
    monkeypatch.setenv("HTTP_PROXY", sandbox.origin)
    client = make_client(sandbox.issue_token(), base_url="http://127.0.0.1:9/collection/v1")
    await calls.read(client)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    await calls.read(client)
    assert {request.target.partition("/orgs")[0] for request in sandbox.requests} == {
        "http://127.0.0.1:9/collection/v1"
    }


async def test_the_credentials_of_a_proxy_for_plain_http_go_with_each_request_tokens_too(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", sandbox.origin.replace("http://", "http://me:s%40crit@"))
    client = make_client(base_url="http://127.0.0.1:9/collection/v1", token_url="http://127.0.0.1:9/token")
    sandbox.faults.add(ACCEPTED)
    await calls.read(client)
    await calls.write(client)
    assert [request.operation for request in sandbox.requests] == ["token", READ, WRITE]
    assert {request.headers["proxy-authorization"] for request in sandbox.requests} == {"Basic bWU6c0Bjcml0"}


async def test_no_proxy_and_trust_env_keep_the_proxy_out(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    await calls.read(make_client(trust_env=False))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    await calls.read(make_client())
    assert sandbox.requests.count(READ) == 2


async def test_a_netrc_with_an_entry_for_the_host_changes_nothing(
    make_client: ClientFactory,
    sandbox: Sandbox,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password of-the-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    await calls.read(make_client(trust_env=True))
    assert [request.authorization for request in sandbox.requests] == [None, "Bearer"]


class Loopback(AbstractResolver):
    """Finds every host on this machine. A cookie of a bare address would be dropped by any jar."""

    def __init__(self, *_args: object, **_options: object) -> None: ...

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        found = ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)
        return [found] if family in {socket.AF_INET, socket.AF_UNSPEC} else []

    async def close(self) -> None: ...


async def test_cookies_are_neither_kept_nor_sent(
    make_client: ClientFactory, sandbox: Sandbox, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", Loopback)
    client = make_client(sandbox.issue_token(), base_url=f"http://amili.localhost:{sandbox.port}/collection/v1")
    sandbox.faults.add(f"{READ}:header='Set-Cookie: session=1; Path=/'")
    await calls.read(client)
    await calls.read(client)
    assert sandbox.requests.count(READ) == 2
    assert not any("cookie" in request.headers for request in sandbox.requests)
