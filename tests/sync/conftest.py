"""What the sync's tests share: databases to write to, and rows to write."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.support.postgresql import MISSING, Server, programs, throwaway_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server for the whole run."""
    if programs() is None:
        pytest.skip(MISSING)
    with throwaway_postgresql() as server:
        yield server


def new_database(server: Server, *, tablespace: Path | None = None) -> str:
    """Return the URL of a database that nobody has used; its tables are in the given folder, if any."""
    name = f"database_{next(_numbers)}"

    async def create() -> None:
        connection = await asyncpg.connect(server.url())
        if tablespace is not None:
            await connection.execute(f"CREATE TABLESPACE of_{name} LOCATION '{tablespace}'")
        await connection.execute(f"CREATE DATABASE {name} {f'TABLESPACE of_{name}' if tablespace else ''}")
        await connection.close()

    asyncio.run(create())
    return server.url(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def postgresql_url(postgresql: Server) -> str:
    return new_database(postgresql)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    """A database of each kind that nobody has used."""
    found: object = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(found, str)
    return found
