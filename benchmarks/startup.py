"""What it costs to begin: the import beyond aiohttp and msgspec, and the way from nothing to the first batch."""

from __future__ import annotations

from benchmarks.measuring import Row, Settings, figure, in_subprocess, ratio
from benchmarks.report import main
from benchmarks.server import TOKEN, Listing, Server, serving

_BEGIN = """
import json, sys, time
started = time.perf_counter(), time.process_time()
def done():
    print(json.dumps({"wall": time.perf_counter() - started[0], "cpu": time.process_time() - started[1]}))
"""

_IMPORT = """
import aiohttp, msgspec
started = time.perf_counter(), time.process_time()
import amili_async
# The names are resolved lazily: take those that any program takes, or nothing is measured.
from amili_async import AmiliClient, Batch, ClientCredentials
done()
"""

_OURS = """
import asyncio
from amili_async import AmiliClient
async def main():
    async with AmiliClient(sys.argv[1], base_url=sys.argv[2]) as amili:
        async for batch in amili.batches.list(sys.argv[3]):
            return batch.succeeded
asyncio.run(main())
done()
"""

_BARE = """
import asyncio, aiohttp
from benchmarks.peers.bare import opened
async def main():
    async with opened(sys.argv[2]) as walk:
        return await walk([sys.argv[3]], 1)
asyncio.run(main())
done()
"""

_HTTPX_PYDANTIC = _BARE.replace("import asyncio, aiohttp", "import asyncio").replace(
    "peers.bare", "peers.httpx_pydantic"
)


def _run(script: str, server: Server) -> dict[str, float]:
    return in_subprocess("-c", _BEGIN + script, TOKEN, server.base_url, server.organization_ids[0])


def measure(settings: Settings) -> list[Row]:
    """Start fresh processes, in turn."""
    names = {"import": _IMPORT, "ours": _OURS, "bare": _BARE, "pydantic": _HTTPX_PYDANTIC}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with serving(Listing(pages=1)) as server:
        for _ in range(settings.rounds + 1):
            for name, script in names.items():
                found[name].append(_run(script, server))
    # The first round has cold files and writes bytecode.
    cpu = {name: [sample["cpu"] * 1000 for sample in samples[1:]] for name, samples in found.items()}
    imported = figure(cpu["import"])
    rows = [
        Row(
            what="import amili_async beyond aiohttp and msgspec (CPU)",
            value=imported.value,
            noise=imported.noise,
            unit="ms",
            at_most=30,
            detail=f"by the clock {figure([sample['wall'] * 1000 for sample in found['import'][1:]]).value:.1f} ms",
        )
    ]
    for name, other in (("bare", "the bare loop"), ("pydantic", "httpx + pydantic")):
        against = ratio(cpu["ours"], cpu[name])
        rows.append(
            Row(
                what=f"from a fresh interpreter to the first batch (CPU) against {other}",
                value=against.value,
                noise=against.noise,
                detail=f"{figure(cpu['ours']).value:.0f} : {figure(cpu[name]).value:.0f} ms",
            )
        )
    return rows


if __name__ == "__main__":
    raise SystemExit(main(measure))
