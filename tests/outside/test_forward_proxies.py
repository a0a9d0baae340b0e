"""Through a forward proxy: squid, which asks who one is, and tinyproxy, which does not."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from amili_async import AmiliError
from tests.outside.fronts import PASSWORD, USER

if TYPE_CHECKING:
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


@pytest.mark.xfail(reason="the password of a plain-http proxy is not sent", strict=True)
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
