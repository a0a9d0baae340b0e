"""A session of the user's own sees to its proxies itself, and its mistakes are errors of this package."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async import AmiliClient, ClientClosedError, ConnectError, RetryPolicy
from amili_async.sandbox import Fault, Sandbox
from tests.support.turns import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ELSEWHERE = "http://127.0.0.1:9/collection/v1"
"""Where nothing listens."""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(organizations=1, batches=1, entries=1) as served:
        yield served


async def read(client: AmiliClient, sandbox: Sandbox) -> None:
    (organization,) = sandbox.organization_ids
    assert len(await client.batches.list(organization, prefetch=False).collect()) == 1


async def test_the_environments_proxy_is_taken_where_the_session_trusts_it_and_only_there(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", ELSEWHERE)
    async with aiohttp.ClientSession() as wary:
        await read(AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=wary), sandbox)
    monkeypatch.setenv("HTTP_PROXY", sandbox.origin)
    async with aiohttp.ClientSession(trust_env=True) as trusting:
        await read(AmiliClient(sandbox.issue_token(), base_url=ELSEWHERE, session=trusting), sandbox)


@pytest.mark.parametrize("setting", ["http://127.0.0.1:port", "socks5://127.0.0.1:1080"])
async def test_its_own_mistakes_are_no_bare_errors(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", setting)
    async with aiohttp.ClientSession(trust_env=True) as session:
        client = AmiliClient("t-1", base_url=ELSEWHERE, session=session, retry=RetryPolicy(attempts=1))
        with pytest.raises(ConnectError) as caught:
            await client.request("POST", "/orgs/o-1/invoices", json={})
    assert caught.value.attempts == 1


async def test_a_closed_client_has_ended_its_calls_and_given_their_connections_back(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("batches.list", "hang"))
    async with aiohttp.ClientSession() as session:
        client = AmiliClient(sandbox.issue_token(), base_url=sandbox.base_url, session=session)
        running = [asyncio.create_task(read(client, sandbox)) for _ in range(3)]
        await until(lambda: sandbox.requests.under_way("batches.list") == 3)
        await client.aclose()
        assert all(call.done() for call in running)
        assert {type(call.exception()) for call in running} == {ClientClosedError}
        assert not session.closed
        await until(lambda: not sandbox.requests.under_way())
