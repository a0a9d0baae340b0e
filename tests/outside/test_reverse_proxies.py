"""Behind nginx and HAProxy every row comes once and every write arrives once, whatever the proxy does meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.outside.collection_server import PREFIX

if TYPE_CHECKING:
    from amili_async import AmiliClient
    from tests.outside.authority import Authority
    from tests.outside.conftest import Connect, Servers
    from tests.outside.fronts import HAProxy, Nginx
    from tests.outside.upstream import Upstream

pytestmark = pytest.mark.outside

ORGANIZATION = "7bc05553-4b68-44e8-b7bc-37be63c6d9e9"


async def walk(client: AmiliClient, organization: str = ORGANIZATION) -> list[str]:
    return [batch.batch_id async for batch in client.batches.list(organization)]


@pytest.fixture(params=["nginx", "haproxy"])
def front(
    request: pytest.FixtureRequest, servers: Servers, upstream: Upstream, authority: Authority
) -> Nginx | HAProxy:
    """Each of the two, with TLS, gzip and a keep-alive of a second, in front of the upstream."""
    if request.param == "nginx":
        return servers.nginx(
            upstream,
            tls=authority,
            server="keepalive_timeout 1s; gzip on; gzip_types application/json; gzip_min_length 100; gzip_proxied any;",
        )
    return servers.haproxy(
        upstream,
        tls=authority,
        defaults="timeout http-keep-alive 1s\noption http-server-close",
        backend="compression algo gzip\ncompression type application/json",
    )


async def test_a_walk_over_tls_and_gzip_has_every_row_once_in_order(
    front: Nginx | HAProxy, upstream: Upstream, authority: Authority, connect: Connect
) -> None:
    client = await connect(front.url, trusting=authority)
    assert await walk(client) == upstream.batch_ids(ORGANIZATION)
    assert upstream.rows_sent() == Counter(upstream.batch_ids(ORGANIZATION))
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer outside"}
        url = f"{front.url}{PREFIX}/orgs/{ORGANIZATION}/batches"
        async with session.get(url, headers=headers, ssl=authority.context()) as response:
            await response.read()
            assert response.headers["Content-Encoding"] == "gzip", "the walk was packed by nobody"
