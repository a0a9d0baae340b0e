"""Checkpoint: what is known of one list of one organization, kept in the store beside its rows.

Frozen values with a JSON form (``msgspec.json.encode``), so that any store can keep them. What they mean, and how they
move on, is decided in `walk`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Watermark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What finished walks have read: every row from ``since`` up to ``newest``."""

    newest: datetime | None = None
    """The latest moment among the rows; ``None`` where there were none, or one had no moment."""
    since: datetime | None = None
    """Rows before this moment were left out on purpose; ``None``: none were."""
    ordered: bool = False
    """Whether the list was seen to be newest first, throughout and beyond doubt."""
    open: dict[str, datetime] = {}
    """The rows that may still change, by id, with their moments; empty where they are too many, see `oldest_open`."""
    oldest_open: datetime | None = None
    """Set where the rows that may still change are found by walking: the moment of the oldest one."""


class Scan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A walk that has begun and not finished."""

    full: bool = False
    """Whether it was asked for as a full one."""
    since: datetime | None = None
    """Rows before this moment are left out."""
    stop: datetime | None = None
    """A newest-first list need not be read beyond this moment; ``None``: it is read to its end."""
    sort: str | None = None
    """The sort direction asked for; ``None``: the server's own."""
    cursor: str | None = None
    """The next page, as `Cursor.encode` writes it; ``None`` for the first page."""
    pages: int = 0
    listed: bool = False
    """Whether the list is done, and only rows to be read again by id are left."""
    ordered: bool = True
    """Whether all pages so far were newest first."""
    steps: int = 0
    """How often a row was older than the one before it: the evidence for ``ordered``."""
    newest: datetime | None = None
    reached: datetime | None = None
    """The moment of the last row of the last page."""
    beyond: int = 0
    """How many rows so far lie before ``stop``."""
    seen_open: dict[str, datetime] = {}
    """Rows met in this walk that may still change."""
    oldest_open: datetime | None = None
    """Set once there are more of them than are kept by name."""
    reread: dict[str, datetime] = {}
    """Rows that earlier walks left open and this one has not met: read again by id at the end."""
    trail: int = 0
    """A hash of one earlier page token, by which a list that goes in circles is found out."""
    seconds: float = 0.0
    """How long it took so far."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one list of one organization. ``Checkpoint()`` stands for nothing at all."""

    coverage: Watermark | None = None
    """What finished walks have read; it moves on only in the transaction that ends a walk."""
    walk: Scan | None = None
    """The walk that goes on where the last run ended, killed or not."""
    walks: int = 0
    """How many walks have finished."""
    finished_at: datetime | None = None
    """When the last walk finished."""
    seconds: float = 0.0
    """How long the last finished walk took."""
