"""TLS with real servers: a CA of one's own, a client certificate, and what is said of everything that is wrong.

What cannot get better is asked for once, of the API and of the token endpoint alike.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, AmiliError, BadRequestError, ClientCredentials, ConnectError, TokenError
from tests.outside.collection_server import PREFIX
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.outside.authority import Authority
    from tests.outside.conftest import Connect, Servers
    from tests.outside.fronts import Front
    from tests.outside.upstream import Upstream

pytestmark = pytest.mark.outside

ORGANIZATION = "7bc05553-4b68-44e8-b7bc-37be63c6d9e9"


async def walk(client: AmiliClient) -> int:
    return len(await client.batches.list(ORGANIZATION).collect())


async def failure_of(client: AmiliClient) -> AmiliError:
    with pytest.raises(AmiliError) as caught:
        await client.request("POST", f"/orgs/{ORGANIZATION}/invoices", json={})
    return caught.value


async def at_the_api(url: str, ca_bundle: Path | None = None) -> AmiliError:
    """Return what a write raises whose server is there."""
    async with AmiliClient("outside", base_url=f"{url}{PREFIX}", ssl=ca_bundle) as client:
        return await failure_of(client)


async def at_the_token_endpoint(url: str, api: str, ca_bundle: Path | None = None) -> AmiliError:
    """Return what a write raises whose token endpoint is there."""
    credentials = ClientCredentials("outside", "secret")
    async with AmiliClient(credentials, base_url=api + PREFIX, token_url=f"{url}/token", ssl=ca_bundle) as client:
        return await failure_of(client)


# -- a CA of one's own


async def test_a_ca_of_ones_own_is_trusted_as_a_file_and_as_a_context(
    servers: Servers, upstream: Upstream, authority: Authority, connect: Connect
) -> None:
    front = servers.nginx(upstream, tls=authority)
    for given in (authority.path, str(authority.path), authority.context()):
        assert await walk(await connect(front.url, ssl=given)) == 100


@pytest.mark.parametrize("variable", ["AMILI_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_the_environment_names_it_for_programs_and_the_command_line(
    variable: str, servers: Servers, upstream: Upstream, authority: Authority
) -> None:
    front = servers.nginx(upstream, tls=authority)
    environment = {
        "PATH": os.environ["PATH"],
        "AMILI_CLIENT_ID": "outside",
        "AMILI_CLIENT_SECRET": "secret",
        "AMILI_BASE_URL": f"{front.url}{PREFIX}",
        "AMILI_TOKEN_URL": f"{front.url}/token",
    }

    def listed(**more: str) -> subprocess.CompletedProcess[str]:
        code = "from amili_async.cli import main; main()"
        return subprocess.run(  # noqa: S603  # this interpreter
            [sys.executable, "-c", code, "batches", "list", ORGANIZATION, "--all", "--json"],
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    trusting = await asyncio.to_thread(listed, **{variable: str(authority.path)})
    assert (trusting.returncode, trusting.stdout.count("\n")) == (0, 100), trusting.stderr
    wary = await asyncio.to_thread(listed)
    assert wary.returncode == 1
    assert f"the certificate of localhost:{front.port} is not trusted" in wary.stderr
    assert "Traceback" not in wary.stderr


# -- a client certificate


@pytest.fixture(params=["nginx", "haproxy"])
def asking(request: pytest.FixtureRequest, servers: Servers, upstream: Upstream, authority: Authority) -> str:
    """The URL of a front that asks for a client certificate of the authority's."""
    if request.param == "nginx":
        lines = f"ssl_verify_client on; ssl_client_certificate {authority.path};"
        return servers.nginx(upstream, tls=authority, server=lines).url
    port, mine = free_port(), authority.server_certificate()
    servers.haproxy(upstream, frontend=f"bind 127.0.0.1:{port} ssl crt {mine} ca-file {authority.path} verify required")
    return f"https://localhost:{port}"


async def test_a_client_certificate_is_shown(
    asking: str, authority: Authority, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = authority.context()
    context.load_cert_chain(authority.client_certificate())
    assert await walk(await connect(asking, ssl=context)) == 100
    for name, value in {
        "AMILI_TOKEN": "outside",
        "AMILI_BASE_URL": f"{asking}{PREFIX}",
        "AMILI_CA_BUNDLE": str(authority.path),
        "AMILI_CLIENT_CERT": str(authority.client_certificate()),
    }.items():
        monkeypatch.setenv(name, value)
    async with AmiliClient.from_env() as client:
        assert await walk(client) == 100


async def test_without_one_the_line_says_that_it_is_asked_for(
    asking: str, upstream: Upstream, authority: Authority
) -> None:
    for error in (
        await at_the_api(asking, authority.path),
        await at_the_token_endpoint(asking, upstream.url, authority.path),
    ):
        # nginx answers 400, HAProxy ends the handshake with an alert.
        assert "it asks for a client certificate: pass ssl=" in str(error) or "certificate required" in str(error)
        assert isinstance(error, BadRequestError | ConnectError | TokenError)
        assert error.attempts in {0, 1}
    assert upstream.seen() == []


# -- what is wrong, and cannot get better


@pytest.fixture
def wrong(servers: Servers, upstream: Upstream, authority: Authority) -> dict[str, tuple[str, Path | None, str]]:
    """What is wrong by name: the URL, what is trusted, and what the line says of it."""
    front = servers.nginx(upstream, tls=authority)
    plain = servers.nginx(upstream)
    other_name = authority.server_certificate("another.example")
    port = free_port()
    servers.haproxy(upstream, frontend=f"bind 127.0.0.1:{port} ssl crt {other_name}")
    encrypted = front.url.replace("https://localhost", "http://127.0.0.1")
    return {
        "untrusted": (front.url, None, f"the certificate of localhost:{front.port} is not trusted"),
        "another name": (
            f"https://localhost:{port}",
            authority.path,
            f"the certificate of localhost:{port} is not trusted: Hostname mismatch",
        ),
        "plain": (
            plain.url.replace("http://", "https://"),
            None,
            f"127.0.0.1:{plain.port} does not speak TLS: is it the port of plain http?",
        ),
        "encrypted": (encrypted, None, "400 Bad Request, the port speaks TLS: use https"),
        "redirect": (
            servers.nginx(upstream, server="return 301 https://elsewhere.example/?secret=1;").url,
            None,
            "301 Moved Permanently, a redirect to elsewhere.example, which is not followed",
        ),
    }


@pytest.mark.parametrize("what", ["untrusted", "another name", "plain", "encrypted", "redirect"])
async def test_what_cannot_get_better_is_asked_for_once_and_named(
    what: str, wrong: dict[str, tuple[str, Path | None, str]], upstream: Upstream
) -> None:
    url, trusted, says = wrong[what]
    api = await at_the_api(url, trusted)
    assert says in str(api)
    assert api.attempts == 1
    token = await at_the_token_endpoint(url, upstream.url, trusted)
    assert isinstance(token, TokenError)
    assert says in str(token)
    assert (token.attempts, token.retry_after) == (0, None)
    for error in (api, token):
        assert "refused the credentials" not in str(error)
        assert "secret" not in str(error)
    assert upstream.seen() == []


async def test_a_server_that_does_not_answer_the_handshake_is_tried_again(
    servers: Servers, upstream: Upstream, authority: Authority
) -> None:
    front: Front = servers.nginx(upstream, tls=authority)
    front.freeze()
    try:
        url = f"{front.url}{PREFIX}"
        async with AmiliClient("outside", base_url=url, ssl=authority.path, timeout=0.3) as client:
            error = await failure_of(client)
    finally:
        front.thaw()
    assert isinstance(error, ConnectError)
    assert error.attempts == 3
