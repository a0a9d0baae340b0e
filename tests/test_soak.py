"""Soak: mixed calls, many at once, for minutes, through every fault that the sandbox can make.

Every result is right or a typed error, the server saw as many requests as the client says it made, nothing grows, and
nothing secret is in any log line. ``--soak-seconds`` says for how long, on each event loop.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import time
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import uvloop
from yarl import URL

from amili_async import (
    AmiliClient,
    AmiliError,
    ClientCredentials,
    ConfigurationError,
    NewInvoice,
    RetryPolicy,
)
from tests.support.sandbox_process import Served, served

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from amili_async.events import AttemptEnded
    from tests.support.figures import Figures

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells descriptors and memory"),
]

SECRET = "sandbox-secret"  # what the sandbox calls its client's
CONCURRENCY = 64
ORGANIZATIONS = 8
BATCHES = 60
PAGE = 20
SETTINGS = {"organizations": ORGANIZATIONS, "batches": BATCHES, "entries": 2, "page_size": PAGE, "log_limit": 1000}
ROUNDS = 5
"""Looks at what is held; the first is of what a client keeps in any case."""

FAULTS = (
    *("close", "reset", "hang", "close-after-headers", "close-in-body", "reset-in-body", "cut-chunks", "cut-unmarked"),
    *("cut-gzip", "close-idle", "close-reused", "truncate", "corrupt", "empty", "html", "wrong-schema"),
    *("wrong-content-type", "oversize,size=300kB", "bomb,size=300kB", "slow-body,seconds=0.3", "revoke"),
    *("bad-row", "lenient-row", "unknown-type", "unknown-value", "unknown-member"),
    *("repeat-token", "expire-token", "empty-page", "last-null", "last-empty"),
    *(f"status={status}" for status in (400, 401, 403, 404, 408, 409, 422, 423, 425, 500, 501, 502, 503, 504)),
    *(
        "status=429",
        "status=429,retry_after=0.05",
        "status=503,retry_after=0.05",
        "status=302,location='https://e.example'",
    ),
)
LISTS_ONLY = {"repeat-token", "expire-token", "empty-page", "last-null", "last-empty", "bad-row", "lenient-row"}


class Secrets(logging.Handler):
    """Counts the lines that were logged, and keeps those that hold what must not be in a log."""

    def __init__(self, *secrets: str) -> None:
        super().__init__(logging.DEBUG)
        self.lines = 0
        self.leaks: list[str] = []
        self._secrets = secrets

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        self.lines += 1
        if any(secret in line for secret in self._secrets):
            self.leaks.append(line)


class Load:
    """What is asked of the sandbox, and what came of it."""

    def __init__(self, known: dict[str, list[str]], for_writes: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.attempts = self.answered = 0
        self.cancelling = True
        self.cancelled = 0
        self._known = known
        self._for_writes = for_writes
        self._random = random.Random(20251122)  # noqa: S311  # the same calls in every run

    def on_attempt(self, attempt: AttemptEnded) -> None:
        self.attempts += 1
        self.answered += attempt.status is not None

    async def run(self, client: AmiliClient, seconds: float) -> None:
        """Make calls, so many at once, for so long."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(self._work(client, end))

    async def _work(self, client: AmiliClient, end: float) -> None:
        calls = (self._walk, self._read, self._write, self._wait)
        while time.monotonic() < end:
            call = self._random.choice(calls)
            task = asyncio.create_task(call(client, self._random.choice(list(self._known))))
            if self.cancelling and self._random.random() < 0.1:
                await asyncio.sleep(self._random.random() * 0.02)
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                self.cancelled += 1
            except ConfigurationError as error:
                self.wrong.append(f"{call.__name__}: {error!r}")
            except AmiliError as error:
                self.outcomes[type(error).__name__] += 1
                # While no token can be had every call ends at once: no reason to make a million of them.
                await asyncio.sleep(0.05)
            else:
                self.outcomes["right"] += 1

    async def _walk(self, client: AmiliClient, organization: str) -> None:
        """Walk a list or a part of it; rows that cannot be read are left out."""
        expected = self._known[organization]
        position = -1
        limit = self._random.choice((None, 1, 25))
        # A walk that fails cancels the page that it has asked for ahead.
        walk = client.batches.list(organization, limit=limit, prefetch=self.cancelling, on_invalid="skip")
        async for batch in walk:
            following = expected.index(batch.batch_id) if batch.batch_id in expected else -1
            if following <= position:
                self.wrong.append(f"{batch.batch_id} in {organization} after row {position}")
            position = following

    async def _read(self, client: AmiliClient, organization: str) -> None:
        wanted = self._random.choice(self._known[organization])
        batch = await client.batches.get(organization, wanted)
        if batch.batch_id != wanted:
            self.wrong.append(f"{batch.batch_id} for {wanted}")

    async def _write(self, client: AmiliClient, _: str) -> None:
        new = NewInvoice(invoice_number="INV", original_invoice_amount=Decimal(100), currency="NOK")
        accepted = await client.invoices.create(self._for_writes, [new])
        if not accepted.batch_id:
            self.wrong.append("accepted, and no batch")

    async def _wait(self, client: AmiliClient, organization: str) -> None:
        wanted = self._random.choice(self._known[organization])
        batch = await client.batches.wait(wanted, organization_id=organization, deadline=0.5)
        if batch.batch_id != wanted:
            self.wrong.append(f"{batch.batch_id} for {wanted}")


class Held(NamedTuple):
    """What this process holds while no call is under way."""

    tasks: int
    descriptors: int
    objects: int
    kilobytes: int


async def held() -> Held:
    """Look, once all that has ended is gone."""
    await asyncio.sleep(0.2)
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    tasks, descriptors = len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))
    return Held(tasks, descriptors, len(gc.get_objects()), resident)


@contextmanager
def listening() -> Generator[Secrets]:
    """Listen to every logger at its most talkative."""
    handler = Secrets("Bearer ", "sandbox-", SECRET, "PageToken=", "client_secret")
    root = logging.getLogger()
    # pytest's own handlers keep every line: that would be what grows.
    level, handlers = root.level, root.handlers[:]
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    yield handler
    root.handlers[:] = handlers
    root.setLevel(level)


def probabilities() -> Iterator[str]:
    """Yield every fault, each seldom enough for most calls to be right."""
    for kind in FAULTS:
        yield f"batches.*:{kind},probability=0.5%"
        if kind.partition(",")[0] not in LISTS_ONLY:
            yield f"invoices.*:{kind},probability=0.5%"
    for kind in ("status=503", "reset", "html", "latency=50ms"):
        yield f"token:{kind},probability=3%"


async def soak(seconds: float) -> tuple[Load, list[Held], int]:
    """Make calls for so long; return what came of them, what was held, and how many came while none was cancelled."""
    async with served(**SETTINGS) as calm:
        known = await all_batches(calm)
    async with served(*probabilities(), **SETTINGS) as sandbox:
        assert sandbox.organization_ids == calm.organization_ids
        *organizations, for_writes = sandbox.organization_ids
        load = Load({name: known[name] for name in organizations}, for_writes)
        client = AmiliClient(
            ClientCredentials(sandbox.credentials[0], sandbox.credentials[1]),
            base_url=sandbox.base_url,
            token_url=sandbox.token_url,
            # Below these a busy machine is slow by itself: half of all calls then end by them, and prove nothing.
            deadline=10.0,
            timeout=2.5,
            concurrency=CONCURRENCY,
            max_response_bytes=200_000,
            retry=RetryPolicy(attempts=3, max_wait=0.05),
            hooks=[load],
        )
        looks: list[Held] = []
        async with client:
            for _ in range(ROUNDS):
                await load.run(client, seconds / (ROUNDS + 1))
                looks.append(await held())
            before = await requests(sandbox)
            load.cancelling, load.attempts, load.answered = False, 0, 0
            await load.run(client, seconds / (ROUNDS + 1))
            await held()
            return load, looks, await requests(sandbox) - before


async def requests(sandbox: Served) -> int:
    """Return how many requests of the API have come, once no more come: a busy server has some of its past in line."""
    before, count = -1, await arrived_requests(sandbox)
    while count != before:
        await asyncio.sleep(0.3)
        before, count = count, await arrived_requests(sandbox)
    return count


async def arrived_requests(sandbox: Served) -> int:
    """Return how many requests of the API have come.

    The server is asked twice for what it has not first: by then it has looked at all that stood before that in line.
    """
    url = URL(sandbox.base_url)
    for _ in range(2):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n")
        assert b" 404 " in await reader.readline()
        writer.close()
    return await sandbox.requests()


async def all_batches(sandbox: Served) -> dict[str, list[str]]:
    """Return the ids of each organization's batches, in the order of its list."""
    credentials = ClientCredentials(*sandbox.credentials)
    async with AmiliClient(credentials, base_url=sandbox.base_url, token_url=sandbox.token_url) as client:
        return {
            name: [batch.batch_id async for batch in client.batches.list(name)] for name in sandbox.organization_ids
        }


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_grows_nothing_is_wrong_and_nothing_leaks(
    loop: str, figures: Figures, request: pytest.FixtureRequest
) -> None:
    seconds = float(request.config.getoption("--soak-seconds") or 0)
    factory = asyncio.new_event_loop if loop == "asyncio" else uvloop.new_event_loop
    with listening() as logged, asyncio.Runner(loop_factory=factory) as runner:
        load, looks, arrived = runner.run(soak(seconds))

    assert load.wrong == []
    assert logged.leaks == []
    assert logged.lines > 0
    # For as long as no token can be had, of which a slow machine sees as many seconds, every call ends at once.
    with_a_token = sum(load.outcomes.values()) - load.outcomes["TokenError"]
    assert load.outcomes["right"] > with_a_token / 2, load.outcomes
    assert len(load.outcomes) > 8, f"too few ways to fail: {load.outcomes}"
    # What was written into a connection that was just being closed may not have arrived, and was not answered.
    assert load.answered <= arrived <= load.attempts, "the server saw other requests than the client says it made"
    first, last = looks[1], looks[-1]
    assert max(look.tasks for look in looks) == min(look.tasks for look in looks) == 1
    assert max(look.descriptors for look in looks) <= first.descriptors + 2 * CONCURRENCY
    assert last.objects <= first.objects * 1.05 + 1000
    assert last.kilobytes <= first.kilobytes + 8_000
    calls = sum(load.outcomes.values())
    figures.write(
        f"soak on {loop}, concurrency {CONCURRENCY}, {seconds:g} s, {len(FAULTS)} faults",
        f"{calls:,} calls, {load.cancelled:,} cancelled, none wrong; "
        f"{len(load.outcomes) - 1} kinds of error; memory {last.kilobytes - first.kilobytes:+,} kB, "
        f"objects {last.objects - first.objects:+,}; {logged.lines:,} log lines, no secret in them",
    )
