"""A database in which transactions are run, chosen by its URL.

Work is a plain function of a connection, the same for SQLite and PostgreSQL; where and how it runs is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from amili_async.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect

T = TypeVar("T")

EXAMPLES = "sqlite:///amili.db for a file, postgresql://user@host/database for a server"


class Database(Protocol):
    """Runs work in transactions."""

    dialect: Dialect

    async def run(self, work: Callable[[sa.Connection], T], /) -> T:
        """Return what the work returns, after it is committed. Work that raises leaves nothing behind.

        Cancelled or not, a transaction that has begun is run to its end. A database that went away is waited for, and
        the work is then run again from its beginning.

        Raises:
            UnfitRowsError: the database can do with the work but not with a value in it.
            StoreError: the database cannot be used, or refuses the work.
        """
        ...

    async def close(self) -> None:
        """Give back all connections, after what is under way."""
        ...


class InvalidValueError(StoreError):
    """The database refuses a value: a text with a zero character, a number out of its range."""


_UNFIT = frozenset({"22", "23", "54"})
"""The classes of SQLSTATE that blame a value: data, constraints, limits."""


def sqlstate(error: Exception) -> str:
    """Return the five letters by which a database says what is wrong; empty where it has none."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


def blames_a_value(error: Exception) -> bool:
    """Return whether a database refused a value, not the work as such."""
    return sqlstate(error)[:2] in _UNFIT


def database(url: str, *, patience: float) -> Database:
    """Return the database that a URL names, not yet connected. It waits ``patience`` seconds for a lock or a restart.

    Raises:
        ConfigurationError: the URL names no database that is known here.
    """
    if not isinstance(url, str) or "://" not in url:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"the store's URL must look like one of these: {EXAMPLES}")
    # "postgres" is what many providers write, and SQLAlchemy no longer knows it.
    text = url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url
    try:
        parsed = sa.make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"the store's URL cannot be read; it must look like one of these: {EXAMPLES}"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        from amili_async.sync._sql.sqlite import SQLite  # noqa: PLC0415  # whoever uses the other need not have its driver

        return SQLite(parsed, patience)
    if backend == "postgresql":
        from amili_async.sync._sql.postgresql import PostgreSQL  # noqa: PLC0415  # the same

        return PostgreSQL(parsed, patience)
    raise ConfigurationError(f"the store's URL names {backend!r}, which no store here knows; known are {EXAMPLES}")
