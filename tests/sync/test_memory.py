"""Memory does not grow with the work: four times of it take what one time takes, of a sync, a walk and an export."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from amili_async.sandbox import Sandbox
from amili_async.sync import SqlStore
from tests.support.processes import child
from tests.support.rows import batch, portion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.soak

GROWTH = 300_000
"""Bytes by which the peaks of two sizes may differ: 400 an organization, 50 a batch, 17 an exported row."""

MEASURED = """
import asyncio, gc, sys, tracemalloc
from pathlib import Path
from amili_async import AmiliClient
from amili_async.sync import SqlStore, export, sync

async def measured(warm_up, work):
    await warm_up  # all modules are loaded, all buffers made
    gc.collect()
    tracemalloc.start()
    done = await work
    peak = tracemalloc.get_traced_memory()[1]
    if "pyarrow" in sys.modules:  # it allocates by itself
        peak += sys.modules["pyarrow"].default_memory_pool().max_memory()
    print(done, peak)

"""

SYNC = """
async def synced(client, names, store):
    return (await sync(client, names, store)).total.new

async def main(store_url, file):
    names = Path(file).read_text().split()
    async with AmiliClient.from_env() as client, SqlStore(store_url) as store:
        await measured(synced(client, names[:50], store), synced(client, iter(names[50:]), store))

asyncio.run(main(*sys.argv[1:]))
"""

WALK = """
async def walked(client, name, limit=None):
    count = 0
    async for _ in client.batches.list(name, limit=limit):
        count += 1
    return count

async def main(name):
    async with AmiliClient.from_env() as client:
        await measured(walked(client, name, 500), walked(client, name))

asyncio.run(main(*sys.argv[1:]))
"""

EXPORT = """
async def exported(store, path):
    return await export(store, "batches", path)

async def main(store_url, small_url, folder, ending):
    async with SqlStore(store_url) as store, SqlStore(small_url) as small:
        await measured(
            exported(small, Path(folder, f"small.{ending}")), exported(store, Path(folder, f"whole.{ending}"))
        )

asyncio.run(main(*sys.argv[1:]))
"""


def environment(sandbox: Sandbox) -> Mapping[str, str]:
    client_id, client_secret = sandbox.credentials
    return {
        "AMILI_CLIENT_ID": client_id,
        "AMILI_CLIENT_SECRET": client_secret,
        "AMILI_BASE_URL": sandbox.base_url,
        "AMILI_TOKEN_URL": sandbox.token_url,
    }


async def measured(program: str, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Run a program in a process of its own; return how many rows it met, and the most that it held, in bytes."""
    command = (sys.executable, "-c", MEASURED + program, *arguments)
    async with child(*command, stdout=asyncio.subprocess.PIPE, env=env) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 300)
    rows, peak = map(int, output.split())
    return rows, peak


async def test_a_sync_of_four_times_the_organizations_takes_no_more(tmp_path: Path) -> None:
    peaks: list[int] = []
    async with Sandbox(organizations=1_050, batches=2, entries=1, log_limit=10) as sandbox:
        for count in (250, 1_000):
            names = tmp_path / f"{count}.txt"
            names.write_text("\n".join(sandbox.organization_ids[: count + 50]), "ascii")
            url = f"sqlite:///{tmp_path}/{count}.db"
            rows, peak = await measured(SYNC, url, str(names), env=environment(sandbox))
            assert rows == 2 * count
            peaks.append(peak)

    assert peaks[1] - peaks[0] < GROWTH, peaks


async def test_a_walk_over_four_times_the_pages_takes_no_more() -> None:
    peaks: list[int] = []
    for count in (2_000, 8_000):
        async with Sandbox(organizations=1, batches=count, entries=2, log_limit=10) as sandbox:
            rows, peak = await measured(WALK, sandbox.organization_ids[0], env=environment(sandbox))
        assert rows == count
        peaks.append(peak)

    assert peaks[1] - peaks[0] < GROWTH, peaks


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
async def test_an_export_of_four_times_the_rows_takes_no_more(tmp_path: Path, ending: str) -> None:
    peaks: list[int] = []
    urls = {count: f"sqlite:///{tmp_path}/{count}.db" for count in (2_000, 6_000, 24_000)}
    for count, url in urls.items():
        async with SqlStore(url) as store:
            await store.begin("organization", "batches")
            for first in range(0, count, 1_000):
                await store.write(portion(*(batch(f"batch {number}") for number in range(first, first + 1_000))))
    small = urls.pop(2_000)
    for count, url in urls.items():
        rows, peak = await measured(EXPORT, url, small, str(tmp_path), ending)
        assert rows == count
        peaks.append(peak)

    assert peaks[1] - peaks[0] < GROWTH, peaks
