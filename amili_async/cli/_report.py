"""``amili report`` and ``amili status``: a store as a page to look at, and in a few lines."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from amili_async._whole_file import whole_file
from amili_async.cli._console import printable, say, write_json
from amili_async.cli._options import AsJson, moment_of
from amili_async.cli._running import DONE, FAILED, run
from amili_async.cli._store import StoreName, existing_store, store_url

if TYPE_CHECKING:
    from amili_async.report import Figures

LATEST = 5
"""Syncs that `amili status` shows."""


def report(
    context: typer.Context,
    html: Annotated[Path, typer.Option(help="Write the page there.")],
    *,
    store: StoreName = "amili.db",
    organization: Annotated[str | None, typer.Option(metavar="ID", help="Of this organization alone.")] = None,
    since: Annotated[str | None, typer.Option(help="Batches from this day or moment on.")] = None,
    with_personal_data: Annotated[
        bool, typer.Option("--with-personal-data", help="Show the latest failures as Amili worded them, too.")
    ] = False,
) -> None:
    """Write a page on what a store holds: batches by day, failures, amounts, what is open, how the syncs went.

    The page needs no network and names no person, unless that is asked for; its file is for your eyes alone.
    """
    url, day = store_url(context, store), moment_of(since)
    beginning = day if day is None or isinstance(day, datetime) else datetime(day.year, day.month, day.day, tzinfo=UTC)

    async def work() -> int:
        from amili_async.report import read_figures, render  # noqa: PLC0415  # the other commands start without it

        async with existing_store(url) as kept:
            figures = await read_figures(
                kept, organization_id=organization, since=beginning, with_personal_data=with_personal_data
            )
        page = render(figures).encode()
        with whole_file(html) as file:
            file.write(page)
        say(f"The report is in {html}.")
        return DONE

    run(work)


def status(context: typer.Context, *, store: StoreName = "amili.db", as_json: AsJson = False) -> None:
    """Show the last syncs into a store and what needs attention. The exit status is 1 where the last sync failed."""
    url = store_url(context, store)

    async def work() -> int:
        from amili_async.report import attention, read_figures  # noqa: PLC0415  # the other commands start without it

        async with existing_store(url) as kept:
            figures = await read_figures(kept)
        if as_json:
            write_json(msgspec.json.encode(figures))
        else:
            _tell(figures, attention(figures))
        last = figures.runs[0].outcome if figures.runs else "ok"
        return DONE if last in {"ok", "running"} else FAILED

    run(work)


def _tell(figures: Figures, attention: list[str]) -> None:
    from amili_async.report._figures import many  # noqa: PLC0415  # the other commands start without it

    lines = [f"{rows:,} {resource} of {many(owners, 'organization')}" for resource, owners, rows in figures.counts]
    lines.append("Last syncs:" if figures.runs else "No sync has run yet.")
    for one in figures.runs[:LATEST]:
        failed = f", {one.failed:,} failed" if one.failed else ""
        lines.append(
            f"  {one.began}  {one.outcome}: {many(one.organizations, 'organization')}{failed}, {one.rows:,} rows, "
            f"{one.requests:,} requests in {one.seconds:.1f} s"
        )
    lines += [f"Look at: {line}" for line in attention]
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
