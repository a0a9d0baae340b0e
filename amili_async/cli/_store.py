"""``amili store``: what is done to a store itself."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from amili_async.cli._console import say, write_json
from amili_async.cli._options import AsJson, moment_of
from amili_async.cli._running import DONE, run
from amili_async.cli._stores import StoreName, existing_store, store_url

store = typer.Typer(help="Erase from a store.", no_args_is_help=True)


@store.command()
def purge(
    context: typer.Context,
    *,
    name: StoreName = "amili.db",
    organization: Annotated[str | None, typer.Option(metavar="ID", help="All of this organization.")] = None,
    debtor: Annotated[
        str | None, typer.Option(metavar="ID|NUMBER", help="A debtor's cases, and all that holds an invoice of these.")
    ] = None,
    older_than: Annotated[str | None, typer.Option(help="What came to be before this day or moment.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Erase nothing, and count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase rows for good, with their entries, their JSON and what was set aside; tell how many of each table went.

    What Amili still has comes back with a later sync that reads it, so erasure begins there.
    """
    url, before = store_url(context, name), moment_of(older_than)

    async def work() -> int:
        from amili_async.sync import purge as erase  # noqa: PLC0415  # the other commands start without it

        async with existing_store(url) as kept:
            found = await erase(kept, organization_id=organization, debtor=debtor, older_than=before, dry_run=dry_run)
        if as_json:
            write_json(msgspec.json.encode(found))
            return DONE
        say(f"{'Would erase' if dry_run else 'Erased'} {found.total:,} rows{':' if found.rows else '.'}")
        for table, count in sorted(found.rows.items()):
            say(f"  {table}: {count:,}")
        return DONE

    run(work)


@store.callback()
def _group() -> None:
    """Keep the name of the command, as there is one only."""
