"""Through a forward proxy: squid, which asks who one is, and tinyproxy, which does not."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from amili_async import AmiliClient, AmiliError, APIError, ConnectError, TokenError
from tests.outside.collection_server import PREFIX
from tests.outside.fronts import PASSWORD, USER
from tests.outside.programs import wait_for
from tests.support.ports import free_port

if TYPE_CHECKING:
    from tests.outside.authority import Authority
    from tests.outside.conftest import Connect, Servers
    from tests.outside.upstream import Upstream

pytestmark = pytest.mark.outside

ORGANIZATION = "7bc05553-4b68-44e8-b7bc-37be63c6d9e9"


async def test_a_walk_through_a_proxy_has_every_row(
    servers: Servers, upstream: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = servers.tinyproxy()
    monkeypatch.setenv("http_proxy", proxy.url)
    client = await connect(upstream.url)
    found = [batch.batch_id async for batch in client.batches.list(ORGANIZATION)]
    assert found == upstream.batch_ids(ORGANIZATION)
    assert "tinyproxy" in upstream.seen()[0].headers["Via"], "it went past the proxy"


async def test_a_proxy_that_asks_who_one_is_refuses_whoever_does_not_say(
    servers: Servers, upstream: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", servers.squid().url)
    client = await connect(upstream.url)
    with pytest.raises(AmiliError):
        await client.batches.list(ORGANIZATION).first()
    assert upstream.seen() == []


async def test_a_proxy_that_asks_who_one_is_is_told_the_password_of_its_url(
    servers: Servers, upstream: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = servers.squid()
    monkeypatch.setenv("http_proxy", proxy.url.replace("//", f"//{USER}:{quote(PASSWORD)}@"))
    client = await connect(upstream.url)
    found = [batch.batch_id async for batch in client.batches.list(ORGANIZATION)]
    assert found == upstream.batch_ids(ORGANIZATION)
    assert "proxy.example" in upstream.seen()[0].headers["Via"], "it went past the proxy"
    assert "Proxy-Authorization" not in upstream.seen()[0].headers


def with_password(url: str, password: str = PASSWORD) -> str:
    return url.replace("//", f"//{USER}:{quote(password, safe='')}@")


async def write_failure(client: AmiliClient) -> AmiliError:
    with pytest.raises(AmiliError) as caught:
        await client.request("POST", f"/orgs/{ORGANIZATION}/invoices", json={})
    return caught.value


async def test_the_tunnel_to_https_is_told_the_password_too_and_the_server_is_not(
    servers: Servers, upstream: Upstream, authority: Authority, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, proxy = servers.nginx(upstream, tls=authority), servers.squid()
    monkeypatch.setenv("https_proxy", with_password(proxy.url))
    client = await connect(front.url, ssl=authority.path)
    found = [batch.batch_id async for batch in client.batches.list(ORGANIZATION)]
    assert found == upstream.batch_ids(ORGANIZATION)
    await client.aclose()  # squid writes of a tunnel when it ends
    tunnel = f"CONNECT localhost:{front.port}"
    wait_for(lambda: any(tunnel in line for line in proxy.access_log()), "squid's log")
    assert not {"Proxy-Authorization", "proxy-authorization"} & upstream.seen()[0].headers.keys()


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_a_proxy_that_does_not_know_us_is_asked_once_and_named_of_the_api_and_the_token_endpoint_alike(
    password: str | None,
    servers: Servers,
    upstream: Upstream,
    authority: Authority,
    *,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    front, proxy = servers.nginx(upstream, tls=authority), servers.squid()
    said = proxy.url if password is None else with_password(proxy.url, password)
    monkeypatch.setenv("https_proxy", said)
    monkeypatch.setenv("http_proxy", said)
    tunnel = f"the proxy 127.0.0.1:{proxy.port} answered 407: it asks for a user and password, or refuses those"
    plain = "the proxy on the way asks for a user and password"
    for url, says, kind in (front.url, tunnel, ConnectError), (upstream.url, plain, APIError):
        async with AmiliClient("outside", base_url=url + PREFIX, ssl=authority.path) as client:
            error = await write_failure(client)
        assert isinstance(error, kind)
        assert says in str(error)
        assert error.attempts == 1
        error = await write_failure(await connect(url, ssl=authority.path))
        assert isinstance(error, TokenError)
        assert says in str(error)
        assert error.retry_after is None

    def refused() -> int:
        return sum(" TCP_DENIED/407 " in line for line in proxy.access_log())

    wait_for(lambda: refused() >= 4, "squid's log")  # each of the four calls above
    assert refused() == 4
    assert upstream.seen() == []


async def test_a_proxy_that_lets_nobody_through_to_a_port_is_asked_once(
    servers: Servers, upstream: Upstream, authority: Authority, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    front, proxy = servers.nginx(upstream, tls=authority), servers.tinyproxy("ConnectPort 443")
    monkeypatch.setenv("https_proxy", proxy.url)
    error = await write_failure(await connect(front.url, ssl=authority.path))
    assert isinstance(error, TokenError)
    assert f"the proxy 127.0.0.1:{proxy.port} answered 403" in str(error)
    assert error.retry_after is None


async def test_a_proxy_that_is_not_there_is_named(
    upstream: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    error = await write_failure(await connect(upstream.url))
    assert f"no connection to the proxy 127.0.0.1:{port}: Connection refused" in str(error)
    assert upstream.seen() == []


async def test_a_server_that_the_proxy_cannot_reach_may_come_back(
    servers: Servers, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = servers.tinyproxy()
    monkeypatch.setenv("https_proxy", proxy.url)
    error = await write_failure(await connect(f"https://127.0.0.1:{free_port()}"))
    assert f"the proxy 127.0.0.1:{proxy.port} answered 50" in str(error)
    assert isinstance(error, TokenError)
    assert error.retry_after is not None
