"""A store in memory that keeps its word as a database does: a write whole or not at all, one holder a list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from amili_async.sync import (
    Absences,
    AbsentRow,
    Checkpoint,
    LeaseConflict,
    PageWrite,
    Row,
    WriteResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Key = tuple[str, str]


class Killed(BaseException):
    """The process is gone: nothing that it does from here on has any effect."""


class Kept:
    """What is kept of one list."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.gone: set[str] = set()
        self.absent: set[str] = set()
        self.met: set[str] = set()
        self.quarantined: dict[bytes, None] = {}
        self.checkpoint = b"{}"


class Store:
    """Keeps rows of many lists. It takes a turn of the event loop or two for everything, as a database does."""

    def __init__(self) -> None:
        self.lists: dict[Key, Kept] = {}
        self.held: set[Key] = set()
        self.dead = False
        self.before_write: Callable[[PageWrite], bool] = lambda _: False
        """Called before each write; says whether the process dies in it, once it took effect."""
        self.seconds = 0.0
        """How long everything takes."""
        self.marked: list[tuple[Key, str]] = []
        """What was ever marked as gone."""

    def of(self, organization_id: str, resource: str) -> Kept:
        """Return what is kept of a list."""
        return self.lists.setdefault((organization_id, resource), Kept())

    def restarted(self) -> None:
        """Let another process use it; the leases of one that died are taken over."""
        self.dead = False
        self.held.clear()

    async def _turn(self) -> None:
        if self.dead:
            raise Killed
        await asyncio.sleep(self.seconds)
        if self.dead:
            raise Killed

    async def begin(self, organization_id: str, resource: str, /) -> Checkpoint | LeaseConflict:
        await self._turn()
        key = (organization_id, resource)
        if key in self.held:
            return LeaseConflict(1.0)
        self.held.add(key)
        # As in a database: it has taken effect, and whoever waits does not know it yet.
        await asyncio.sleep(0)
        return msgspec.json.decode(self.of(*key).checkpoint, type=Checkpoint)

    async def write(self, page: PageWrite, /) -> WriteResult | LeaseConflict:
        await self._turn()
        key = (page.organization_id, page.resource)
        assert key in self.held, "a list is written between begin() and finish()"
        dies = self.before_write(page)
        if self.dead:
            raise Killed
        result = self._keep(self.of(*key), page)
        if dies:
            self.dead = True
            raise Killed
        await asyncio.sleep(0)
        return result

    async def finish(self, organization_id: str, resource: str, error: str | None, /) -> None:
        del error
        await self._turn()
        key = (organization_id, resource)
        assert key in self.held, "a list is finished once"
        self.held.remove(key)
        await asyncio.sleep(0)

    async def absences(
        self, organization_id: str, resource: str, since: datetime | None, limit: int, /
    ) -> Absences | LeaseConflict:
        await self._turn()
        kept = self.of(organization_id, resource)
        looked_for = [
            row
            for row in kept.rows.values()
            if row.id not in kept.gone and (since is None or row.moment is None or row.moment >= since)
        ]
        absent = [AbsentRow(row.id, row.id in kept.absent) for row in looked_for if row.id not in kept.met]
        return Absences(known=len(looked_for), absent=len(absent), rows=tuple(absent[:limit]))

    def _keep(self, kept: Kept, page: PageWrite) -> WriteResult:
        if page.forget_met:
            kept.met.clear()
        ids = [row.id for row in page.rows]
        assert len(ids) == len(set(ids)), "no id twice"
        new = tuple(row.id for row in page.rows if row.id not in kept.rows)
        changed = tuple(row.id for row in page.rows if row.id in kept.rows and kept.rows[row.id].raw != row.raw)
        returned = kept.gone.intersection(ids)
        kept.rows.update({row.id: row for row in page.rows})
        kept.met.update(page.met, ids)
        kept.gone -= {*ids, *page.met}
        kept.absent -= {*ids, *page.met}
        kept.absent |= set(page.absent)
        kept.gone |= set(page.gone)
        self.marked += [((page.organization_id, page.resource), name) for name in page.gone]
        kept.quarantined.update(dict.fromkeys(row.raw for row in page.quarantined))
        # Through JSON, as every store keeps it.
        kept.checkpoint = msgspec.json.encode(page.checkpoint)
        if page.checkpoint.scan is None:
            kept.met.clear()
        names = (new, changed) if page.met else ((), ())
        return WriteResult(len(new), len(changed), *names, returned=len(returned))
