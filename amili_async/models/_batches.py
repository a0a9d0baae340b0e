"""Batch: what a write became, with the outcome of each of its objects, in every generation's shape."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from amili_async.models._base import Model, lower, members_of
from amili_async.models._open_enum import OpenEnum


class BatchState(OpenEnum):
    """How far a batch is (D). Any state that is not known to be final is taken as not final."""

    QUEUED = "QUEUED"
    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self in _TERMINAL


_TERMINAL = frozenset({BatchState.SUCCESS, BatchState.PARTIAL, BatchState.FAILED})
_NEITHER = BatchState("UNKNOWN")


class BatchType(OpenEnum):
    """What a batch holds (D: ``NONE``, ``INVOICE``; the others are expected)."""

    NONE = "NONE"
    INVOICE = "INVOICE"


class LegacyError(Model, frozen=True, kw_only=True, gc=False, rename=lower):
    """What was wrong with one object of a batch (D, get-all-batches-3939027e0)."""

    private: ClassVar[frozenset[str]] = frozenset({"message"})

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


if TYPE_CHECKING:
    from amili_async.models._entries import FailedEntry, SucceededEntry

    Succeeded = SucceededEntry
    Failed = FailedEntry

    class _ByEntry: ...
else:
    # msgspec refuses an untagged struct in a union, so no annotation can say "InvoiceSuccess or anything else". What a
    # batch holds is therefore given when it is decoded: `Batch[A | B, Raw]` still makes plain batches.
    Succeeded = TypeVar("Succeeded")
    Failed = TypeVar("Failed")
    _ByEntry = Generic[Succeeded, Failed]


class Batch(Model, _ByEntry, frozen=True, kw_only=True, gc=False):
    """What a write became. Both shapes of the API, ``status`` as text and as an object, are this one type.

    Documented (D): get-all-batches-3939027e0, getbatchbyid-4148060e0.
    """

    batch_id: str
    type: BatchType | None = None
    status: BatchState | LegacyStatus | None = None
    """As received: text today, an object in the oldest generation. `state` is the same for both."""
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    finished_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Absent while the batch is queued (I)."""
    organization_id: str | None = None
    created_by: str | None = None
    succeeded: tuple[Succeeded, ...] = ()
    failed: tuple[Failed, ...] = ()

    @property
    def state(self) -> BatchState:
        """How far the batch is: the text itself; made of the outcome where the status is an object (I)."""
        if isinstance(self.status, BatchState):
            return self.status
        if self.status is None:
            return _NEITHER
        if self.finished_at is None:
            return BatchState.QUEUED
        if not (self.failed or self.status.errors):
            return BatchState.SUCCESS
        return BatchState.PARTIAL if self.succeeded else BatchState.FAILED

    @property
    def legacy_status(self) -> LegacyStatus | None:
        """The status object of the oldest generation; ``None`` where the status is text."""
        return self.status if isinstance(self.status, LegacyStatus) else None

    def to_builtins(self) -> object:
        """Return the members, with unknown and failed entries as received."""
        if not (self.succeeded or self.failed):
            return self
        members = members_of(msgspec.structs.replace(self, succeeded=(), failed=()))
        if self.succeeded:
            members["succeeded"] = [entry.to_builtins() for entry in self.succeeded]
        if self.failed:
            members["failed"] = [entry.to_builtins() for entry in self.failed]
        return members


def batch_of(succeeded: object, failed: object) -> Any:
    """Return the type that batches with such entries are decoded as; what comes out is a plain `Batch`."""
    generic: Any = Batch
    return generic[succeeded, failed]
