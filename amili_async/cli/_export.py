"""``amili export``: a table of a store as a file that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from amili_async.cli._console import say
from amili_async.cli._options import moment_of
from amili_async.cli._running import DONE, run
from amili_async.cli._store import StoreName, existing_store, store_url

TableName = Literal["batches", "entries", "failed", "invoices", "cases", "case_invoices", "debtors", "settlements"]


def export(
    context: typer.Context,
    to: Annotated[Path, typer.Option(help="Write the file there; it ends in .parquet, .csv or .jsonl.")],
    *,
    table: Annotated[TableName, typer.Option(help="What to export.")],
    store: StoreName = "amili.db",
    organization: Annotated[str | None, typer.Option(metavar="ID", help="Of this organization alone.")] = None,
    since: Annotated[str | None, typer.Option(help="What came to be from this day or moment on.")] = None,
    with_raw: Annotated[
        bool,
        typer.Option("--with-raw", help="Each row's JSON as received, too, where whole rows are exported."),
    ] = False,
) -> None:
    """Write a table of a store to a file: typed, whole or not at all, for your eyes alone.

    Moments are in UTC, amounts keep every digit, members that no column names are in the column extra, as JSON.

    Cells that a spreadsheet would take for a formula begin with an apostrophe.
    """
    url, beginning = store_url(context, store), moment_of(since)

    async def work() -> int:
        from amili_async.sync import export as write  # noqa: PLC0415  # the other commands start without it

        console = Console(stderr=True)
        async with existing_store(url) as kept:
            with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task(table, total=None)
                count = await write(
                    kept,
                    table,
                    to,
                    organization_id=organization,
                    since=beginning,
                    with_raw=with_raw,
                    on_progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
        say(f"{count:,} rows of {table} are in {to}.")
        return DONE

    run(work)
