"""The status object of the oldest generation: codes, errors and responses by object, all in lower case."""

from __future__ import annotations

import msgspec

from amili_async.models._base import Model


def lower(name: str) -> str:
    """Return a member's name as AutoCollect and the oldest generation spell it: ``object_name`` is ``objectname``."""
    return name.replace("_", "")


class LegacyError(Model, frozen=True, kw_only=True, gc=False, rename=lower):
    """What was wrong with one object of a batch (D, get-all-batches-3939027e0)."""

    private = frozenset({"message"})

    object_name: str | None = None
    object_index: int | None = None
    message: str | None = None


class LegacyResponse(Model, frozen=True, kw_only=True, gc=False, rename=lower):
    """What became of one object of a batch (D, get-all-batches-3939027e0)."""

    object_name: str | None = None
    object_index: int | None = None
    ledger_ref: str | None = None
    status_statuscode: str | None = msgspec.field(default=None, name="status_statuscode")


class LegacyStatus(Model, frozen=True, kw_only=True, gc=False, rename=lower):
    """The status of a batch as an object (D for batches; I for the answer to AutoCollect's ``send_batch``)."""

    status_code: int | None = None
    errors: tuple[LegacyError, ...] = ()
    responses: tuple[LegacyResponse, ...] = ()
