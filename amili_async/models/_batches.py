"""Batch: what a write became, with the outcome of each of its objects, in every generation's shape.

First the states, then the entries of what succeeded, told apart by their ``$type``, and of what failed; then the batch.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from amili_async._upstream.msgspec import READING_ERRORS, setter_of
from amili_async.errors import ConfigurationError
from amili_async.models._base import lower
from amili_async.models._open_enum import OpenEnum
from amili_async.models._received import NOT_SENT, Maybe, NumberText, Received, Whole, show_once

MAX_LINE = 300
"""The characters of a line of `Batch.failures`, at most."""


class BatchState(OpenEnum):
    """How far a batch is (D). Any state that is not known to be final is taken as not final."""

    QUEUED = "QUEUED"
    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more; ``Success`` is final as ``SUCCESS`` is."""
        return self in _TERMINAL or self.upper() in _TERMINAL


_LISTED = frozenset(BatchState)
_TERMINAL = frozenset({BatchState.SUCCESS, BatchState.PARTIAL, BatchState.FAILED})
_NEITHER = BatchState("UNKNOWN")


class BatchType(OpenEnum):
    """What a batch holds (D: ``NONE``, ``INVOICE``; I: ``PAYMENT``, ``CORRECTION``)."""

    NONE = "NONE"
    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"
    CORRECTION = "CORRECTION"


_MESSAGES = ("message", "errorMessage", "error", "reason", "detail", "description", "title")
_REFERENCES = (
    "invoiceNumber",
    "uniqueSourceInvoiceId",
    "reference",
    "invoiceId",
    "caseId",
    "id",
    "ledgerref",
    "objectname",
)


class SucceededEntry(Received, frozen=True, kw_only=True, tag_field="$type", gc=False):
    """The base of the entries in ``Batch.succeeded``.

    Subclass it, with a ``tag``, to teach a client another type::

        class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
            payment_id: str

        client = AmiliClient(auth, entry_types=(PaymentSuccess,))

    Give a type that Amili may send without ``$type`` a required member: without the tag, the members decide.

    Entries are out of the garbage collector's sight, and so are those of a subclass: JSON has no cycles, and looking
    through the entries of large pages takes a fifth of the time of decoding them. Write ``gc=True`` for a type in which
    you make cycles yourself, through a list or a mapping that it holds.
    """


class InvoiceSuccess(SucceededEntry, tag="invoiceSuccess", frozen=True, kw_only=True, gc=False):
    """An invoice that Amili took: the one documented type of entry (D, get-all-batches-3939027e0)."""

    invoice_id: str
    invoice_number: Maybe[str] = None
    case_id: Maybe[str] = None


class UnknownEntry(SucceededEntry, Whole, frozen=True, kw_only=True, gc=False, omit_defaults=False):
    """An entry of a type that this client was not taught, whole."""

    type: str | None = None
    """Its ``$type``; ``None`` where it has none and fits no known type."""


class FailedEntry(Whole, frozen=True, gc=False):
    """What became of an object that Amili refused. Its shape is not documented (U); ``null`` and ``{}`` occur.

    Its parts may name people: ``repr`` shows none of them, `Batch.failures` and the properties do.
    """

    @property
    def message(self) -> str | None:
        """The text itself, or the first text among the members that usually hold one, such as ``message`` (U)."""
        return message_and_reference(self.raw)[0]

    @property
    def reference(self) -> str | None:
        """Which object it was: the first of ``invoiceNumber``, ``uniqueSourceInvoiceId``, ``reference`` … (U)."""
        return message_and_reference(self.raw)[1]

    def __repr__(self) -> str:
        return "FailedEntry(null)" if self.raw == b"null" else "FailedEntry(see message, reference, raw)"


def message_and_reference(raw: bytes | msgspec.Raw) -> tuple[str | None, str | None]:
    """Return what the JSON of an entry says was wrong, and with which object, for one reading of it."""
    try:
        told = _telling.decode(raw)
    except READING_ERRORS:
        return None, None
    return (_first(told, _MESSAGES), _first(told, _REFERENCES)) if isinstance(told, _Telling) else (told, None)


def _first(told: object, names: tuple[str, ...]) -> str | None:
    for name in names:
        found: object = getattr(told, name)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
    return None


_Telling: Any = msgspec.defstruct("_Telling", [(name, Any, None) for name in (*_MESSAGES, *_REFERENCES)], gc=False)
_telling: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Telling | str | None, float_hook=Decimal)


def types_by_tag(entry_types: Iterable[object]) -> dict[str, type[SucceededEntry]]:
    """Return the taught types and the documented one by their tags.

    Raises:
        ConfigurationError: one is no subclass of `SucceededEntry` with a tag, or two have the same tag.
    """
    found: dict[str, type[SucceededEntry]] = {}
    for entry_type in (*entry_types, InvoiceSuccess):
        if not (isinstance(entry_type, type) and issubclass(entry_type, SucceededEntry)):
            raise ConfigurationError(f"entry_types: {entry_type!r} is no subclass of SucceededEntry")
        tag = _tag(entry_type)
        if tag in found:
            raise ConfigurationError(
                f"entry_types: {entry_type.__name__} and {found[tag].__name__} have the same tag {tag!r}; each type of "
                f"entry is taught once, and InvoiceSuccess is known already"
            )
        found[tag] = entry_type
    return found


def _tag(entry_type: type[SucceededEntry]) -> str:
    config = entry_type.__struct_config__
    if entry_type in {SucceededEntry, UnknownEntry} or not isinstance(config.tag, str) or config.tag_field != "$type":
        name = entry_type.__name__
        raise ConfigurationError(f'entry_types: {name} needs a tag: class {name}(SucceededEntry, tag="...", ...)')
    return config.tag


class LegacyError(Received, frozen=True, kw_only=True, gc=False, rename=lower):
    """What was wrong with one object of a batch (D, get-all-batches-3939027e0)."""

    private: ClassVar[frozenset[str]] = frozenset({"message"})

    object_name: Maybe[str] = None
    object_index: Maybe[int] = None
    message: Maybe[str] = None


class LegacyResponse(Received, frozen=True, kw_only=True, gc=False, rename=lower):
    """What became of one object of a batch (D, get-all-batches-3939027e0)."""

    numbers: ClassVar[tuple[str, ...]] = ("status_statuscode",)

    object_name: Maybe[str] = None
    object_index: Maybe[int] = None
    ledger_ref: Maybe[str] = None
    status_statuscode: Maybe[NumberText] = msgspec.field(default=None, name="status_statuscode")
    """Anything but zero tells of a failure (I)."""


class LegacyStatus(Received, frozen=True, kw_only=True, gc=False, rename=lower):
    """The status of a batch as an object (D for batches; I for the answer to AutoCollect's ``send_batch``)."""

    status_code: Maybe[int] = None
    """Anything but zero tells of a failure (I)."""
    errors: tuple[LegacyError, ...] = NOT_SENT
    responses: tuple[LegacyResponse, ...] = NOT_SENT

    @property
    def went_wrong(self) -> bool:
        """Whether anything in it tells of a failure (I)."""
        codes = (self.status_code, *(response.status_statuscode for response in self.responses))
        return bool(self.errors) or any(code is not None and str(code).strip("0 ") for code in codes)


if TYPE_CHECKING:
    Succeeded = SucceededEntry
    Failed = FailedEntry

    class _ByEntry: ...
else:
    # msgspec refuses an untagged struct in a union, so no annotation can say "InvoiceSuccess or anything else". What a
    # batch holds is therefore given when it is decoded: `Batch[A | B, Raw]` still makes plain batches.
    Succeeded = TypeVar("Succeeded")
    Failed = TypeVar("Failed")
    _ByEntry = Generic[Succeeded, Failed]


class Batch(Received, _ByEntry, frozen=True, kw_only=True, gc=False):
    """What a write became. Both shapes of the API, ``status`` as text and as an object, are this one type.

    Documented (D): get-all-batches-3939027e0, getbatchbyid-4148060e0.
    """

    batch_id: str
    type: Maybe[BatchType] = None
    status: Maybe[BatchState | LegacyStatus] = None
    """As received: text today, an object in the oldest generation. `state` is the same for both."""
    created_at: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    finished_at: Maybe[Annotated[datetime, msgspec.Meta(tz=True)]] = None
    """Absent while the batch is queued (I)."""
    organization_id: Maybe[str] = None
    created_by: Maybe[str] = None
    succeeded: tuple[Succeeded, ...] = NOT_SENT
    failed: tuple[Failed, ...] = NOT_SENT

    if TYPE_CHECKING:

        @property
        def failed_as_kept(self) -> Sequence[msgspec.Raw] | msgspec.Raw: ...
    else:

        def __init_subclass__(cls) -> None:
            super().__init_subclass__()
            # What a user derives from `Batch` holds entries of any kind too.
            cls.__parameters__ = (Succeeded, Failed)
            cls.__orig_bases__ = tuple(
                base[Succeeded, Failed] if issubclass(base, Batch) else base for base in cls.__bases__
            )

    @property
    def state(self) -> BatchState:
        """How far the batch is: the text itself; made of the outcome where the status is an object (I)."""
        status = self.status
        if isinstance(status, BatchState):
            return status if status in _LISTED else BatchState.__members__.get(status.upper(), status)
        if status is None:
            return _NEITHER
        if self.finished_at is None:
            return BatchState.QUEUED
        if not (self.failed or status.went_wrong):
            return BatchState.SUCCESS
        return BatchState.PARTIAL if self.succeeded else BatchState.FAILED

    @property
    def legacy_status(self) -> LegacyStatus | None:
        """The status object of the oldest generation; ``None`` where the status is text."""
        return self.status if isinstance(self.status, LegacyStatus) else None

    def failures(self) -> list[str]:
        """Return what is known of each failure, a line each: of the entries in ``failed``, then of the legacy status.

        A line is the object's number and the reason; where no reason can be made out, the entry's JSON.

        The lines may name people, as `AmiliError.detail` may: no ``repr`` and no log of this package holds them.
        """
        errors = self.legacy_status.errors if self.legacy_status else ()
        return [
            *(_line(entry.reference, entry.message or _as_json(entry)) for entry in self.failed),
            *(_line(_place(error), error.message) for error in errors),
        ]


def keep_failed(batches: Iterable[Batch]) -> None:
    """Keep the JSON of what failed, copied: batches do not keep their page alive. Most of it is never looked at."""
    kept, written, put = msgspec.Raw, _encode, _set_failed
    for batch in batches:
        if raws := batch.failed_as_kept:
            put(batch, kept(written(raws)))


def json_of_failed(batch: Batch) -> Sequence[msgspec.Raw | bytes]:
    """Return the JSON of each entry of what failed, for those who need no more of it."""
    kept = batch.failed_as_kept
    return (
        _raws.decode(kept) if isinstance(kept, msgspec.Raw) else [entry.raw for entry in batch.failed] if kept else ()
    )


def _read_failed(kept: object) -> object:
    return tuple(map(FailedEntry, map(bytes, _raws.decode(kept)))) if isinstance(kept, msgspec.Raw) else kept


_encode = msgspec.json.Encoder().encode
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_set_failed = setter_of(Batch, "failed")
# Under a name of its own: what a property returns takes a call for each row.
Batch.failed_as_kept = vars(Batch)["failed"]  # type: ignore[method-assign]  # set once, here
show_once(Batch, "failed", _read_failed)


def _as_json(entry: FailedEntry) -> str | None:
    return None if entry.raw in {b"null", b"{}", b'""'} else entry.raw.decode("utf-8", "replace")


def _place(error: LegacyError) -> str | None:
    parts = [str(part) for part in (error.object_name, error.object_index) if part is not None]
    return " ".join(parts) or None


def _line(reference: str | None, message: str | None) -> str:
    line = ": ".join(filter(None, (reference, message or "no reason given")))
    line = " ".join("".join(char if char.isprintable() else " " for char in line).split())
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"


def batch_of(succeeded: object, failed: object, kind: type[Batch] = Batch) -> Any:
    """Return the type that batches with such entries are decoded as; what comes out is a plain `Batch`."""
    generic: Any = kind
    return generic[succeeded, failed]
