"""The store that a command is about, and ``amili store``: what is done to a store itself."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from amili_async._environment import variable
from amili_async.cli._console import say, without_password, write_json
from amili_async.cli._options import moment_of
from amili_async.cli._running import DONE, FAILED, run
from amili_async.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from amili_async.sync import Purged, SqlStore

stores = typer.Typer(help="Erase from a store.", no_args_is_help=True)

StoreName = Annotated[
    str,
    typer.Option(
        "--store", metavar="FILE|URL", envvar="AMILI_STORE", help="A SQLite file, or postgresql://user@host/database."
    ),
]


def store_url(context: typer.Context, store: str) -> str | Path:
    """Return the URL of a store that is named by a file or a URL.

    Raises:
        typer.BadParameter: it is empty.
    """
    typed = context.get_parameter_source("store")
    if typed is not None and typed.name == "DEFAULT":
        try:
            variable("AMILI_STORE")  # typer takes an empty one for none, and rows would go into a file in silence
        except ConfigurationError as error:
            raise typer.BadParameter(error.message) from None
    if not store.strip():
        raise typer.BadParameter("--store is empty; name a file, or postgresql://user@host/database")
    if typed is not None and typed.name == "COMMANDLINE" and without_password(store) != store:
        say(
            "A password on a command line is seen by everyone on this machine and kept in the shell's history: "
            "put it into ~/.pgpass, or the whole URL into AMILI_STORE."
        )
    return store if "://" in store else Path(store)


def _file_of(url: str | Path) -> Path | None:
    """Return the file that a SQLite store is, ``None`` for a server's."""
    if isinstance(url, Path):
        return url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def _require(file: Path) -> None:
    if not file.is_file():
        raise StoreError(f"there is no store {file}; amili sync makes one")


@asynccontextmanager
async def existing_store(url: str | Path) -> AsyncGenerator[SqlStore, None]:
    """Yield a store that a sync has made; one of an older version is brought up to date.

    Raises:
        StoreError: it is not there. A file is not made just because somebody wanted to look into it.
    """
    from amili_async.sync import SqlStore  # noqa: PLC0415  # the other commands start without it

    file = _file_of(url)
    if file is not None:
        _require(file)
    async with SqlStore(url) as store:
        yield store


@stores.command()
def purge(
    context: typer.Context,
    *,
    store: StoreName = "amili.db",
    organization: Annotated[str | None, typer.Option(metavar="ID", help="All of this organization.")] = None,
    debtor: Annotated[
        str | None, typer.Option(metavar="ID|NUMBER", help="A debtor's cases, and all that holds an invoice of these.")
    ] = None,
    older_than: Annotated[str | None, typer.Option(help="What came to be before this day or moment.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Erase nothing, and count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as JSON.")] = False,
) -> None:
    """Erase rows for good, with their entries, their JSON and what was set aside; tell how many of each table went.

    What Amili still has comes back with a later sync that reads it, so erasure begins there.
    """
    if organization is None and debtor is None and older_than is None:
        raise typer.BadParameter("say what to erase: name --organization, --debtor or --older-than")
    if debtor is not None and older_than is not None:
        raise typer.BadParameter("a debtor is erased whatever the age: leave --older-than out")
    url, before = store_url(context, store), moment_of(older_than, "--older-than")

    async def work() -> int:
        from amili_async.sync import purge as erase  # noqa: PLC0415  # the other commands start without it

        async with existing_store(url) as kept:
            ask = partial(erase, kept, organization_id=organization, debtor=debtor, older_than=before)
            if not dry_run and not yes:
                counted = await ask(dry_run=True)
                if counted.rows and not _confirmed(counted, store):
                    return FAILED
            found = await ask(dry_run=dry_run)
        if as_json:
            write_json(msgspec.json.encode(found))
        else:
            _tell(found)
        return DONE

    run(work)


def _tell(found: Purged) -> None:
    if not found.rows:
        say("Nothing in this store is of that; nothing was erased.")
        return
    say(f"{'Would erase' if found.dry_run else 'Erased'} {found.total:,} rows:")
    for table, count in sorted(found.rows.items()):
        say(f"  {table}: {count:,}")


def _confirmed(counted: Purged, store: str) -> bool:
    _tell(counted)
    if not _on_terminal():
        say("Nobody can be asked: say --yes. Nothing was erased.")
        return False
    if typer.confirm(f"Erase them from {without_password(store)} for good?", err=True):
        return True
    say("Nothing was erased.")
    return False


def _on_terminal() -> bool:
    return sys.stdin.isatty()


@stores.callback()
def _group() -> None:
    """Keep the name of the command, as there is one only."""
