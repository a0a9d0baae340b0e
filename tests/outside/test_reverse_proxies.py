"""Behind nginx and HAProxy every row comes once and no write twice, whatever happens to them and to the upstream.

What the client says is held against the upstream's own log.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async import (
    Accepted,
    ConnectError,
    NewInvoice,
    OutcomeUnknownError,
    RetryPolicy,
)
from amili_async.sync import SqlStore, sync
from tests.outside.collection_server import PREFIX
from tests.outside.programs import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from amili_async import AmiliClient
    from tests.outside.authority import Authority
    from tests.outside.conftest import Connect, Servers
    from tests.outside.fronts import HAProxy, Nginx
    from tests.outside.upstream import Upstream

pytestmark = pytest.mark.outside

ORGANIZATION = "7bc05553-4b68-44e8-b7bc-37be63c6d9e9"


def invoice(number: int) -> NewInvoice:
    return NewInvoice(invoice_number=f"INV-{number}", original_invoice_amount=Decimal(100), currency="NOK")


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


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what the test writes lie in a folder of its own."""
    monkeypatch.chdir(tmp_path)


PATIENT = RetryPolicy(attempts=12)
"""For a front that is gone for a second or two."""
SLOWLY = 0.02
"""Seconds that the upstream takes for each answer, so that things happen in the middle of them."""
WRITES = 120


async def test_reloads_in_the_middle_of_a_walk_cost_no_row(
    front: Nginx | HAProxy, upstream: Upstream, authority: Authority, connect: Connect
) -> None:
    upstream.rules({"delay": SLOWLY})
    client = await connect(front.url, trusting=authority, retry=PATIENT)
    seen: list[str] = []
    async for page in client.batches.list(ORGANIZATION).pages():
        seen += [batch.batch_id for batch in page.items]
        if len(seen) in (20, 50, 80):
            await asyncio.to_thread(front.reload)
    assert seen == upstream.batch_ids(ORGANIZATION)


async def test_a_front_that_is_killed_and_comes_back_costs_no_row(
    front: Nginx | HAProxy, upstream: Upstream, authority: Authority, connect: Connect
) -> None:
    upstream.rules({"delay": SLOWLY})
    client = await connect(front.url, trusting=authority, retry=PATIENT)
    seen: list[str] = []
    back: list[asyncio.Task[None]] = []
    async for page in client.batches.list(ORGANIZATION).pages():
        seen += [batch.batch_id for batch in page.items]
        if len(seen) in (20, 60):
            await asyncio.to_thread(front.kill)
            back.append(asyncio.create_task(asyncio.to_thread(front.start)))
    await asyncio.gather(*back)
    assert seen == upstream.batch_ids(ORGANIZATION)


async def test_an_upstream_that_is_killed_and_comes_back_costs_no_row(
    front: Nginx | HAProxy, upstream: Upstream, authority: Authority, connect: Connect
) -> None:
    client = await connect(front.url, trusting=authority, retry=PATIENT)
    seen: list[str] = []
    back: list[asyncio.Task[None]] = []
    async for page in client.batches.list(ORGANIZATION).pages():
        seen += [batch.batch_id for batch in page.items]
        if len(seen) == 30:
            await asyncio.to_thread(upstream.kill)
            back.append(asyncio.create_task(asyncio.to_thread(upstream.start)))
    await asyncio.gather(*back)
    assert seen == upstream.batch_ids(ORGANIZATION)


@pytest.mark.parametrize("cut", [0, 700])
async def test_a_body_cut_behind_the_front_is_asked_for_again(
    front: Nginx | HAProxy, upstream: Upstream, authority: Authority, connect: Connect, cut: int
) -> None:
    upstream.rules({"method": "GET", "skip": 1, "times": 2, "cut": cut})
    client = await connect(front.url, trusting=authority, retry=PATIENT)
    assert await walk(client) == upstream.batch_ids(ORGANIZATION)
    assert upstream.rows_sent() == Counter(upstream.batch_ids(ORGANIZATION))


async def test_a_gateways_own_answers_are_repeated_for_a_read_and_never_for_a_write(
    servers: Servers, upstream: Upstream, connect: Connect
) -> None:
    # No shorter: a busy upstream that is late by itself would be answered for with 504 where 502 is expected.
    front = servers.nginx(upstream, location="proxy_read_timeout 5s;")
    client = await connect(front.url, retry=PATIENT)
    upstream.rules(
        {"path": "batches", "skip": 1, "times": 1, "delay": 20},
        # nginx itself asks once more where a connection that it kept turns out to be closed.
        {"path": "batches", "skip": 2, "times": 2, "drop": "reset"},
    )
    assert await walk(client) == upstream.batch_ids(ORGANIZATION)

    def answered() -> set[str]:
        return {line[line.index('" ') + 1 :][:5] for line in front.access_log()}

    wait_for(lambda: {" 502 ", " 504 "} <= answered(), "nginx's log")

    for rule, status in ({"delay": 20}, 504), ({"drop": "close"}, 502), ({"cut": 5}, None):
        upstream.rules({"method": "POST", "times": 1, **rule})  # type: ignore[typeddict-item]  # each is part of a rule
        before = len(upstream.seen("POST"))
        with pytest.raises(OutcomeUnknownError) as unknown:
            await client.invoices.create(ORGANIZATION, [invoice(1)])
        assert unknown.value.status == (202 if status is None else status)
        assert len(upstream.seen("POST")) == before + 1


@pytest.mark.parametrize("happening", ["reload", "kill", "kill upstream", "cut", "freeze"])
async def test_every_write_arrives_as_often_as_its_outcome_says(
    front: Nginx | HAProxy, upstream: Upstream, authority: Authority, connect: Connect, happening: str
) -> None:
    upstream.rules({"delay": SLOWLY})
    client = await connect(front.url, trusting=authority, retry=PATIENT, concurrency=16, timeout=3.0)
    outcomes: dict[str, object] = {}
    room = asyncio.Semaphore(16)

    async def write(number: int) -> None:
        async with room:
            try:
                outcome: object = await client.invoices.create(ORGANIZATION, [invoice(number)])
            except (OutcomeUnknownError, ConnectError) as error:
                outcome = error
        outcomes[f"INV-{number}"] = outcome

    async def disturb() -> None:
        for wanted in (WRITES // 5, WRITES // 3, WRITES // 2):
            while len(outcomes) < wanted:  # noqa: ASYNC110  # all of them end
                await asyncio.sleep(0.005)
            if happening == "reload":
                await asyncio.to_thread(front.reload)
            elif happening == "freeze":
                upstream.freeze()
                await asyncio.sleep(0.2)
                upstream.thaw()
            elif happening == "cut":
                upstream.rules({"times": 8, "cut": 3}, {"delay": SLOWLY})
            else:
                one = upstream if happening == "kill upstream" else front
                await asyncio.to_thread(one.kill)
                await asyncio.to_thread(one.start)

    await asyncio.gather(disturb(), *(write(number) for number in range(WRITES)))

    arrived = Counter(
        each["invoiceNumber"] for request in upstream.seen("POST") for each in json.loads(request.body)["invoices"]
    )
    assert len(outcomes) == WRITES
    assert max(arrived.values()) == 1, "a write arrived twice"
    for number, outcome in outcomes.items():
        if isinstance(outcome, Accepted):
            assert arrived[number] == 1, "a write that was accepted has not arrived"
        elif isinstance(outcome, ConnectError):
            assert arrived[number] == 0, "a write that was never sent has arrived"
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes.values()) > WRITES / 6


@pytest.mark.parametrize("happening", ["reload", "kill", "kill upstream"])
@pytest.mark.usefixtures("in_a_folder")
async def test_a_sync_has_every_row_once_after_as_many_runs_as_it_takes(
    front: Nginx | HAProxy, upstream: Upstream, authority: Authority, connect: Connect, happening: str
) -> None:
    organizations = [f"organization-{number}" for number in range(6)]
    upstream.rules({"delay": SLOWLY})
    client = await connect(front.url, trusting=authority, retry=RetryPolicy(attempts=2))
    up = asyncio.Lock()
    """Held while something is down: no run begins, as none could get anywhere, however long the machine takes."""

    async def disturb() -> None:
        for pages in (8, 25, 40):
            while len(upstream.seen("GET")) < pages:  # noqa: ASYNC110  # there are 60 pages
                await asyncio.sleep(0.005)
            async with up:
                if happening == "reload":
                    await asyncio.to_thread(front.reload)
                else:
                    one = upstream if happening == "kill upstream" else front
                    await asyncio.to_thread(one.kill)
                    await asyncio.to_thread(one.start)

    disturbing = asyncio.create_task(disturb())
    async with SqlStore("sqlite:///store.db") as store:
        for _ in range(5):
            async with up:
                pass
            report = await sync(client, organizations, store)
            if not report.failures:
                break
        else:
            raise AssertionError("five runs were not enough for three disturbances")
        await disturbing
        rows = await store.database.run(
            lambda connection: connection.exec_driver_sql("SELECT organization_id, id FROM batches").fetchall()
        )
    expected = [(name, batch_id) for name in organizations for batch_id in upstream.batch_ids(name)]
    assert sorted((str(name), str(batch_id)) for name, batch_id in rows) == sorted(expected)


async def test_a_proxy_that_limits_requests_costs_no_row(
    servers: Servers, upstream: Upstream, connect: Connect
) -> None:
    # So low that three walks are above it on a machine that takes half a second for a page.
    front = servers.nginx(
        upstream,
        http="limit_req_zone $server_port zone=all:1m rate=5r/s; limit_req_status 429;",
        server="limit_req zone=all burst=2 nodelay;",
    )
    client = await connect(front.url)
    walks = [walk(client, name) for name in ("one", "two", "three")]
    assert await asyncio.gather(*walks) == [upstream.batch_ids(name) for name in ("one", "two", "three")]
    wait_for(lambda: any(" 429 " in line for line in front.access_log()), "nginx's log")
