"""Install the built wheel with no extra and with each extra alone, each in an empty environment, and use it once.

``python -m tests.support.extras UV WHEEL``, from the checkout; what is installed may not come from there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

SYNCED = """
        import asyncio
        from amili_async import AmiliClient, ClientCredentials
        from amili_async.sandbox import Sandbox
        from amili_async.sync import SqlStore, sync
        async def main():
            async with Sandbox(organizations=2, batches=3) as served:
                credentials = ClientCredentials(*served.credentials)
                urls = {"base_url": served.base_url, "token_url": served.token_url}
                async with AmiliClient(credentials, **urls) as client, SqlStore("sqlite:///store.db") as store:
                    report = await sync(client, served.organization_ids, store)
            assert report.total.new == 6, report
        asyncio.run(main())
    """
"""Syncs a sandbox into a SQLite file."""

USES = {
    "": """
        import amili_async
        for name in amili_async.__all__:
            getattr(amili_async, name)
        print(len(amili_async.__all__), "public names")
        import subprocess, sys
        from pathlib import Path
        amili = Path(sys.executable).with_name("amili")
        told = subprocess.run([amili, "routes"], capture_output=True, text=True)
        assert told.returncode == 2, told
        assert "pip install 'amili-async[cli" in told.stderr, told
    """,
    "cli": """
        import subprocess, sys
        from pathlib import Path
        amili = Path(sys.executable).with_name("amili")
        told = subprocess.run([amili, "routes"], capture_output=True, text=True, check=True)
        assert "batches.list" in told.stdout
    """,
    "sync": SYNCED,
    "postgres": """
        import asyncio, asyncpg
        from amili_async import AmiliError
        from amili_async.sync import SqlStore
        async def main():
            try:
                async with SqlStore("postgresql://amili@127.0.0.1:9/none") as store:
                    await store.begin("an organization", "batches")
            except AmiliError as error:
                print(error)
            else:
                raise AssertionError("nobody listens there")
        asyncio.run(main())
    """,
    "dask": """
        import asyncio
        from amili_async import StoreError
        from amili_async.sync import sync_on_dask
        try:
            asyncio.run(sync_on_dask("local:1", ["an organization"], "postgresql://amili@127.0.0.1:9/none"))
        except StoreError as error:
            print(error)
        else:
            raise AssertionError("nobody listens there")
    """,
    "fastapi": """
        from fastapi import FastAPI
        from amili_async.integrations.fastapi import amili_lifespan, install_error_handlers
        app = FastAPI(lifespan=amili_lifespan())
        install_error_handlers(app)
        assert app.openapi()
    """,
    "otel": """
        from amili_async.integrations.opentelemetry import OpenTelemetryHook
        OpenTelemetryHook()
    """,
    "arrow": SYNCED
    + """
        from amili_async.sync import export
        async def passed_on():
            async with SqlStore("sqlite:///store.db") as store:
                assert sum([rows.num_rows async for rows in store.arrow("batches")]) == 6
                assert await export(store, "batches", "batches.parquet") == 6
        asyncio.run(passed_on())
    """,
    "report": """
        import asyncio
        from amili_async.report import read_figures, render
        from amili_async.sync import SqlStore
        async def main():
            async with SqlStore("sqlite:///store.db") as store:
                return await read_figures(store)
        assert "</html>" in render(asyncio.run(main()))
    """,
    "docs": """
        import amili_async.events, pdoc
        assert "hook" in pdoc.doc.Module(amili_async.events).get("Hook").docstring
    """,
    "speedups": """
        import aiohttp, brotli, aiodns
    """,
    "all": """
        import distributed, fastapi, opentelemetry, sqlalchemy, typer
    """,
}
"""What is done with each extra."""


def run(uv: str, wheel: str, extra: str) -> None:
    """Install the wheel with an extra where nothing is, and use it.

    Raises:
        subprocess.CalledProcessError: it cannot be installed, or not be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        python = str(Path(folder) / "bin" / "python")
        wanted = f"{wheel}[{extra}]" if extra else wheel
        subprocess.run([uv, "venv", "-q", folder], check=True)  # noqa: S603  # the one that CI installed
        subprocess.run([uv, "pip", "install", "-q", "--python", python, wanted], check=True)  # noqa: S603  # the same
        code = textwrap.dedent(USES[extra])
        elsewhere = f"import amili_async\nassert not amili_async.__file__.startswith({str(ROOT)!r})\n"
        # Not from the checkout, whose package would be found first.
        subprocess.run([python, "-W", "error", "-c", elsewhere + code], check=True, cwd=folder, timeout=120)  # noqa: S603  # ours
        sys.stdout.write(f"{extra or 'no extra'}: installed alone and used\n")
        sys.stdout.flush()


def main() -> None:
    """Try them all, but for the tests' own."""
    uv, wheel = sys.argv[1:]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for extra in ("", *extras):
        if extra != "dev":
            run(uv, wheel, extra)


if __name__ == "__main__":
    main()
