"""A list on a made-up server, and a store in memory, for tests of how lists are walked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import msgspec

from amili_async._cursor import Cursor
from amili_async.errors import APIError, BadRequestError
from amili_async.models import Batch, BatchState
from amili_async.sync._checkpoint import Checkpoint
from amili_async.sync._sources import MAX_OPEN, NotRead, Refetched, SourcePage, Traits
from amili_async.sync._store import PageWrite, Row, WriteResult

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

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
        max_open: int = MAX_OPEN,
        before_page: Callable[[], None] = lambda: None,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self.order: Order = order
        self.paging: Paging = paging
        self.page_size = page_size
        self.traits = Traits(by_id=True, max_open=max_open)
        self.sort: str | None = "DESC"
        self.refuses_sort = False
        self.refusal = 400
        self.before_page = before_page
        self.era = 0
        self.now: datetime | None = at(10**8)
        """What the server says what time it is."""
        self.served: list[str] = []
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

    def server_time(self, _moment: float) -> datetime | None:
        return self.now

    async def pages(
        self, cursor: Cursor | None, sort: str | None, /, *, ahead: bool
    ) -> AsyncGenerator[SourcePage, None]:
        self.ahead.append(ahead)
        token = None if cursor is None else cursor.token
        while True:
            self.before_page()
            if sort and self.refuses_sort:
                self.refused += 1
                raise APIError("no such direction", status=self.refusal)
            page, following = self._page(token)
            self.served.append(token or "")
            yield page
            if following is None:
                return
            token = following

    def readable_by_id(self, _row_id: str, /) -> bool:
        return self.traits.by_id

    async def refetch(self, row_id: str, /) -> Refetched:
        self.asked_again.append(row_id)
        return self.rows.get(row_id) or NotRead.ABSENT

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
        after = None if following is None else Cursor(token=following)
        return SourcePage(tuple(rows), (), (), Cursor(token=token), after), following


class MemoryStore:
    """Keeps rows and one checkpoint. ``crash_in`` writes it dies, before or after the write took effect."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.checkpoint = Checkpoint()
        self.writes = 0
        self.crash_in: int | None = None
        self.crash_after = False
        self.finished: list[str | None] = []

    async def begin(self, _organization_id: str, _resource: str, /) -> Checkpoint | LeaseConflict:
        return self.checkpoint

    async def write(self, page: PageWrite, /) -> WriteResult | LeaseConflict:
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                if self.crash_after:
                    self._keep(page)
                raise Crash
        return self._keep(page)

    async def finish(self, _organization_id: str, _resource: str, error: str | None, /) -> None:
        self.finished.append(error)

    def _keep(self, page: PageWrite) -> WriteResult:
        self.writes += 1
        before = {one.id: self.rows.get(one.id) for one in page.rows}
        self.rows.update({one.id: one for one in page.rows})
        # Through JSON, as every store keeps it.
        self.checkpoint = msgspec.json.decode(msgspec.json.encode(page.checkpoint), type=Checkpoint)
        new = sum(one is None for one in before.values())
        changed = sum(before[one.id] not in {None, one} for one in page.rows)
        return WriteResult(new, changed)
