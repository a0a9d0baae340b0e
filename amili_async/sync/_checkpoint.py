"""Checkpoint: what is known of one list of one organization, kept in the store beside its rows.

Frozen values with a JSON form (``msgspec.json.encode``), so that any store can keep them. What they mean, and how they
move on, is decided in `_scan`. Some members keep the name in JSON that they had when the first stores were made.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from amili_async._upstream.msgspec import public_in


@public_in("amili_async.sync")
class Watermark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What finished scans have read: every row from ``since`` up to ``known_until``, and a little beyond."""

    known_until: datetime | None = msgspec.field(default=None, name="newest")
    """The newest row that was there when the last scan began, but never later than ``as_of``: no row moves it on."""
    as_of: datetime | None = None
    """The server's own time when the last scan began; ``None``: it did not say, so nothing is bounded by it."""
    since: datetime | None = None
    """Rows before this moment were left out on purpose; ``None``: none were."""
    ordered: bool = False
    """Whether the list was seen to be newest first, throughout and beyond doubt."""
    on_top: int = 0
    """Of a list without moments: how many new rows were seen to stand above all known ones; -1 once one did not."""
    open: dict[str, datetime] = {}
    """Rows to be asked for again by id, with their moments; empty where they are too many, see `oldest_open`."""
    oldest_open: datetime | None = None
    """Set where the rows that may still change are found by scanning: the moment of the oldest one."""
    oldest_unread: datetime | None = None
    """The moment of the oldest row that could not be read and cannot be asked for by id."""
    unread: dict[str, datetime] = {}
    """Rows that could not be read, with moments near theirs: asked for again by id."""
    missing: dict[str, datetime] = {}
    """Rows that were not there when they were asked for by id; they are looked for in the list too."""
    refreshed_at: datetime | None = None
    """When the last scan began, by our own clock, that read all rows again that may still change."""
    empty: bool = False
    """Whether the last scan met no row at all."""
    doubtful: bool = False
    """Whether something could not be made out, so that the next scan reads the whole list."""


@public_in("amili_async.sync")
class Scan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A scan that has begun and not finished."""

    full: bool = False
    """Whether it was asked for as a full one."""
    reconciles: bool = False
    """Whether it is to find out which rows are gone, and so reads everything."""
    refreshes: bool = True
    """Whether it reads rows again that may still change."""
    since: datetime | None = None
    """Rows before this moment are left out."""
    stop: datetime | None = None
    """A newest-first list need not be read beyond this moment; ``None``: it is read to its end."""
    usual_stop: datetime | None = None
    """Where a scan that reconciles would stop if it did not: what lies beyond, other scans do not read."""
    by_known: bool = False
    """Of a list without moments: whether it ends at a run of rows that are known and unchanged."""
    sort: str | None = None
    """The sort direction asked for; ``None``: the server's own."""
    began_at: datetime | None = None
    """When it began, by our own clock."""
    as_of: datetime | None = None
    """The server's time when it began."""
    cursor: str | None = None
    """The next page, as `Cursor.encode` writes it; ``None`` for the first page."""
    pages: int = 0
    rows: int = 0
    """How many rows it met."""
    whole: bool = True
    """Whether it went from the first page on without a break."""
    listed: bool = False
    """Whether the list is done, and only rows to be read again by id are left."""
    ordered: bool = True
    """Whether all pages so far were newest first."""
    steps: int = 0
    """How often a row was older than the one before it: the evidence for ``ordered``."""
    top: datetime | None = None
    """The latest moment on the first page that had one."""
    newest: datetime | None = None
    """The latest moment so far that is not after ``as_of``."""
    reached: datetime | None = None
    """The moment of the last row of the last page."""
    beyond: int = 0
    """How many rows so far lie at ``stop`` or before."""
    passed: bool = False
    """Whether it is past the page at which a scan that does not reconcile would have ended."""
    deeper: int = 0
    """Pages read beyond the boundary, as rows that may still change are found cheaper there than by id."""
    deeper_most: int = 0
    """How many pages that may be."""
    unchanged: int = 0
    """Rows in a run, up to the last page, that the store had already as they are."""
    met_known: bool = False
    """Whether a row was met that the store had before."""
    new_on_top: int = 0
    """New rows before the first known one."""
    misplaced: bool = False
    """Whether a new row stood below a known one."""
    scattered: bool = False
    """Whether the rows are in no order of their value dates, so that these do not explain where a new one stands."""
    seen_open: dict[str, datetime] = {}
    """Rows met in this scan that may still change."""
    oldest_open: datetime | None = None
    """Set once there are more of them than are kept by name."""
    oldest_unread: datetime | None = None
    reread: dict[str, datetime] = {}
    """Rows that earlier scans left open and this one has not met: read again by id at the end."""
    unread: dict[str, datetime] = {}
    """Rows that could not be read."""
    missing: dict[str, datetime] = {}
    """Rows that were not there when they were read by id."""
    doubtful: bool = False
    cycle_hash: int = msgspec.field(default=0, name="trail")
    """A hash of one earlier page token, by which a list that goes in circles is found out."""
    seconds: float = 0.0
    """How long it took so far."""


@public_in("amili_async.sync")
class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one list of one organization. ``Checkpoint()`` stands for nothing at all."""

    watermark: Watermark | None = msgspec.field(default=None, name="coverage")
    """What finished scans have read; it moves on only in the transaction that ends a scan."""
    scan: Scan | None = msgspec.field(default=None, name="walk")
    """The scan that goes on where the last run ended, killed or not."""
    scans: int = msgspec.field(default=0, name="walks")
    """How many scans have finished."""
    finished_at: datetime | None = None
    """When the last scan finished."""
    reconciled_at: datetime | None = None
    """When the last scan began that read the whole list and left no question open as to which rows are gone."""
    seconds: float = 0.0
    """How long the last finished scan took."""
