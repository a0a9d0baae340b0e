"""A list on a made-up server, and a store in memory, for tests of how lists are walked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import msgspec

from amili_async._cursor import Cursor
from amili_async.errors import BadRequestError
from amili_async.models import Batch, BatchState
from amili_async.sync._checkpoint import Checkpoint
from amili_async.sync._source import SourcePage
from amili_async.sync._store import PageWrite, Row, WriteResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from amili_async.events import QuarantinedRow
    from amili_async.sync._store import LeaseConflict

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)

Order = Literal["newest", "oldest", "shuffled"]
Paging = Literal["offset", "keyset"]


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def row(row_id: str, seconds: float | None = 0, *, final: bool = True) -> Row:
    moment = None if seconds is None else at(seconds)
    state = BatchState.SUCCESS if final else BatchState.QUEUED
    batch = Batch(batch_id=row_id, status=state, created_at=moment)
    return Row(id=row_id, moment=moment, final=final, value=batch, raw=msgspec.json.encode(batch))


class Crash(BaseException):
    """The process is killed here."""


class ScriptedList:
    """One organization's list on a server. ``before_page`` runs before each page is served."""

    organization_id = "organization"
    resource = "batches"

    def __init__(
        self,
        *,
        order: Order = "newest",
        paging: Paging = "offset",
        page_size: int = 3,
        max_tracked_open: int = 200,
        before_page: Callable[[], None] = lambda: None,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.order: Order = order
        self.paging: Paging = paging
        self.page_size = page_size
        self.max_tracked_open = max_tracked_open
        self.sort: str | None = "DESC"
        self.refuses_sort = False
        self.before_page = before_page
        self.era = 0
        self.pages: list[str] = []
        """The tokens of the pages served, the first page as an empty one."""
        self.asked_again: list[str] = []
        self.ahead: list[bool] = []
        self.refused = 0

    def add(self, *rows: Row) -> None:
        for one in rows:
            self.rows[one.id] = one

    def finish(self, row_id: str) -> None:
        before = self.rows[row_id]
        seconds = None if before.moment is None else (before.moment - EPOCH).total_seconds()
        self.rows[row_id] = row(row_id, seconds, final=True)

    def expire_tokens(self) -> None:
        self.era += 1

    def disable_sort(self) -> None:
        self.sort = None

    async def sheets(
        self, cursor: Cursor | None, sort: str | None, /, *, ahead: bool
    ) -> AsyncGenerator[SourcePage, None]:
        self.ahead.append(ahead)
        token = None if cursor is None else cursor.token
        while True:
            self.before_page()
            if sort and self.refuses_sort:
                self.refused += 1
                raise BadRequestError("no such direction", status=400)
            sheet, following = self._page(token)
            self.pages.append(token or "")
            yield sheet
            if following is None:
                return
            token = following

    async def refetch(self, row_id: str, /) -> Row | QuarantinedRow | None:
        self.asked_again.append(row_id)
        return self.rows.get(row_id)

    def _key(self, one: Row) -> tuple[float, str]:
        shuffled = int.from_bytes(blake2b(one.id.encode(), digest_size=4).digest(), "big")
        seconds = 0.0 if one.moment is None else (one.moment - EPOCH).total_seconds()
        return {"newest": -seconds, "oldest": seconds, "shuffled": float(shuffled)}[self.order], one.id

    def _page(self, token: str | None) -> tuple[SourcePage, str | None]:
        listed = sorted(self.rows.values(), key=self._key)
        start = 0
        if token is not None:
            era, _, position = token.partition("/")
            if era != str(self.era):
                self.refused += 1
                raise BadRequestError("no such page", status=400)
            if self.paging == "offset":
                start = int(position)
            else:
                before = msgspec.json.decode(position, type=tuple[float, str])
                start = sum(self._key(one) <= before for one in listed)
        rows = listed[start : start + self.page_size]
        end = start + self.page_size
        following = None
        if end < len(listed):
            position = str(end) if self.paging == "offset" else msgspec.json.encode(self._key(rows[-1])).decode()
            following = f"{self.era}/{position}"
        cursor = Cursor(token=token)
        return SourcePage(tuple(rows), (), cursor, None if following is None else Cursor(token=following)), following


class MemoryStore:
    """Keeps rows and one bookmark. ``crash_in`` writes it dies, before or after the write took effect."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.bookmark = Checkpoint()
        self.writes = 0
        self.crash_in: int | None = None
        self.crash_after = False
        self.finished: list[str | None] = []

    async def begin(self, _organization_id: str, _resource: str, /) -> Checkpoint | LeaseConflict:
        return self.bookmark

    async def write(self, portion: PageWrite, /) -> WriteResult | LeaseConflict:
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                if self.crash_after:
                    self._keep(portion)
                raise Crash
        return self._keep(portion)

    async def finish(self, _organization_id: str, _resource: str, error: str | None, /) -> None:
        self.finished.append(error)

    def _keep(self, portion: PageWrite) -> WriteResult:
        self.writes += 1
        before = {one.id: self.rows.get(one.id) for one in portion.rows}
        self.rows.update({one.id: one for one in portion.rows})
        # Through JSON, as every store keeps it.
        self.bookmark = msgspec.json.decode(msgspec.json.encode(portion.checkpoint), type=Checkpoint)
        new = sum(one is None for one in before.values())
        changed = sum(before[one.id] not in {None, one} for one in portion.rows)
        return WriteResult(new, changed)
