"""Which store a command is about, and opening one that must be there already."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amili_async.cli._console import say, without_password
from amili_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from amili_async.sync import SqlStore

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
    if not store.strip():
        raise typer.BadParameter("--store is empty; name a file, or postgresql://user@host/database")
    typed = context.get_parameter_source("store")
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
