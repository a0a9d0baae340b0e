"""A write after a pause: no server that closes idle connections makes its outcome unknown, and none arrives twice.

nginx and HAProxy keep a connection for a second here; the pauses end just before, at and after that moment.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from amili_async import Accepted, NewInvoice, OutcomeUnknownError
from amili_async._upstream import aiohttp as connections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async import AmiliClient
    from tests.outside.conftest import Connect, Servers
    from tests.outside.fronts import Front
    from tests.outside.upstream import Upstream

pytestmark = pytest.mark.outside

ORGANIZATION = "7bc05553-4b68-44e8-b7bc-37be63c6d9e9"
CLIENTS = 40
PAUSES = (0.985, 0.995, 1.0, 1.005, 1.03)


@pytest.fixture(params=["nginx", "nginx that announces it", "haproxy"])
def front(request: pytest.FixtureRequest, servers: Servers, upstream: Upstream) -> Front:
    if request.param == "haproxy":
        return servers.haproxy(upstream, defaults="timeout http-keep-alive 1s")
    announced = " 1s" if request.param != "nginx" else ""
    return servers.nginx(upstream, server=f"keepalive_timeout 1s{announced};")


async def write(client: AmiliClient, name: str) -> object:
    invoice = NewInvoice(invoice_number=name, original_invoice_amount=Decimal(100), currency="NOK")
    try:
        return await client.invoices.create(ORGANIZATION, [invoice])
    except OutcomeUnknownError as error:
        return error


async def writes_after_pauses(
    front: Front, connect: Connect, *, blocked: bool, pauses: Sequence[float] = PAUSES
) -> dict[str, object]:
    """Let each client write after each pause on the connection that it has used before; return all outcomes."""
    clients = [await connect(front.url) for _ in range(CLIENTS)]
    outcomes: dict[str, object] = {}

    async def read_and_write(number: int, pause: float) -> None:
        await clients[number].batches.list(ORGANIZATION, prefetch=False).first()
        await asyncio.sleep(0 if blocked else pause)
        name = f"INV-{number}-{pause}"
        outcomes[name] = await write(clients[number], name)

    for pause in pauses:
        if blocked:
            await asyncio.gather(*(client.batches.list(ORGANIZATION, prefetch=False).first() for client in clients))
            time.sleep(pause)  # noqa: ASYNC251  # the loop is blocked, which is the point
            names = [f"INV-{number}-{pause}" for number in range(CLIENTS)]
            written = await asyncio.gather(*map(write, clients, names))
            outcomes.update(zip(names, written, strict=True))
        else:
            await asyncio.gather(*(read_and_write(number, pause) for number in range(CLIENTS)))
    return outcomes


def arrivals(upstream: Upstream) -> Counter[str]:
    bodies = [json.loads(request.body) for request in upstream.seen("POST")]
    return Counter(each["invoiceNumber"] for body in bodies for each in body["invoices"])


@pytest.mark.parametrize("blocked", [False, True], ids=["idle", "loop blocked"])
async def test_of_two_hundred_writes_none_is_lost_and_none_comes_twice(
    front: Front, upstream: Upstream, connect: Connect, *, blocked: bool
) -> None:
    outcomes = await writes_after_pauses(front, connect, blocked=blocked)
    assert len(outcomes) == CLIENTS * len(PAUSES) == 200
    assert {type(outcome) for outcome in outcomes.values()} == {Accepted}
    assert arrivals(upstream) == Counter(outcomes.keys())


async def test_without_the_look_and_the_limit_some_of_them_are_lost(
    servers: Servers, upstream: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def any_connection(*_: object) -> bool:
        return True

    monkeypatch.setattr(connections.Connector, "_choose_for_write", any_connection)
    front = servers.nginx(upstream, server="keepalive_timeout 1s;")
    # The longer one leaves nginx time, where it is late, to close them.
    outcomes = await writes_after_pauses(front, connect, blocked=True, pauses=(1.03, 3.0))
    lost = [name for name, outcome in outcomes.items() if isinstance(outcome, OutcomeUnknownError)]
    assert lost
    assert not {*lost} & {*arrivals(upstream)}, "they had not arrived: nothing but the connection was at fault"
