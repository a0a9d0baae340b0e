"""However many organizations there are, a sync holds little of them in memory."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amili_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a while"),
]

ORGANIZATIONS = 10_000
LIMIT = 60_000
"""Kilobytes above the start."""

SYNC = """
import asyncio, gc, re, sys
from pathlib import Path
from amili_async import AmiliClient
from amili_async.sync import SqlStore, sync

def status(name):
    return int(re.search(rf"{name}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

async def main(store_url, file):
    names = Path(file).read_text().split()
    async with AmiliClient.from_env() as client, SqlStore(store_url) as store:
        await sync(client, names[:1], store)  # all modules are loaded, all buffers made
        gc.collect()
        start = status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        report = await sync(client, iter(names[1:]), store)
        print(report.organizations, report.total.new, status("VmHWM") - start)

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


async def test_ten_thousand_organizations_take_less_than_sixty_megabytes(tmp_path: Path, sqlite_url: str) -> None:
    async with Sandbox(organizations=ORGANIZATIONS + 1, batches=3, entries=1, log_limit=10) as sandbox:
        names = tmp_path / "organizations.txt"
        names.write_text("\n".join(sandbox.organization_ids), "ascii")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SYNC, sqlite_url, str(names)),
            stdout=asyncio.subprocess.PIPE,
            env=environment(sandbox),
        )
        output, _ = await asyncio.wait_for(process.communicate(), 300)

    organizations, rows, kilobytes = map(int, output.split())
    assert (organizations, rows) == (ORGANIZATIONS, 3 * ORGANIZATIONS)
    assert kilobytes < LIMIT
