"""Accepted: the answer to a write, which names the batch that the write became."""

from __future__ import annotations

from typing import Annotated

import msgspec

from amili_async.models._base import Model


class AcceptedBody(Model, frozen=True, kw_only=True, gc=False):
    """The data of a 202 (D for corrections, I for invoices and payments)."""

    batch_id: Annotated[str, msgspec.Meta(min_length=1)]
    batch_url: str | None = None


class Accepted(Model, frozen=True, kw_only=True, gc=False):
    """A write that Amili took and works on. Pass it to ``batches.wait`` to learn the outcome."""

    batch_id: str
    batch_url: str | None = None
    """As Amili wrote it. The client never follows it: its token goes to the API root alone."""
    organization_id: str
