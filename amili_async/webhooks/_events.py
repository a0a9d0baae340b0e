"""Events: what a webhook says, read from its body. Documented (D): webhooks-361430m0."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import msgspec

from amili_async.models import BatchState
from amili_async.webhooks._envelope import EVENT_HEADER, KEY_HEADER, REQUEST_ID_HEADER, header, moment, read_envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What all events have."""

    id: str | None = None
    name: str
    """``type``, else ``eventType``, else the header ``X-Amili-Event``."""
    source: str | None = None
    time_stamp: datetime | None = None
    idempotency_key: str | None = None
    """Of the header: unique per delivery, for telling a repeated one."""
    request_id: str | None = None


class BatchCompleted(Event, frozen=True, kw_only=True):
    """``BATCH_COMPLETED`` (D): a batch has its outcome. Read it with ``client.batches.get``."""

    batch_id: str
    organization_id: str
    status: BatchState | None = None


class SettlementCreated(Event, frozen=True, kw_only=True):
    """``SETTLEMENT_CREATED`` (D)."""

    settlement_id: str
    organization_id: str
    settlement_date: date | None = None
    invoice_id: str | None = None
    invoice_number: str | None = None
    case_number: str | None = None


class CaseCreated(Event, frozen=True, kw_only=True):
    """``CASE`` (D): invoices became a case."""

    case_id: str
    organization_id: str
    case_number: str | None = None
    type: str | None = None
    status: str | None = None
    invoices: tuple[str, ...] = ()


class CaseUpdated(CaseCreated, frozen=True, kw_only=True):
    """``CASE_UPDATED`` (D): ``fields`` names what changed, such as ``amounts`` or ``status``."""

    fields: tuple[str, ...] = ()


class UnknownEvent(Event, frozen=True, kw_only=True):
    """An event of another name, or one whose data is not as documented. ``raw`` is the body and no part of ``repr``."""

    raw: bytes

    def __repr__(self) -> str:
        return f"UnknownEvent(name={self.name!r}, id={self.id!r})"


AnyEvent: TypeAlias = BatchCompleted | SettlementCreated | CaseCreated | CaseUpdated | UnknownEvent

_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _BatchData(msgspec.Struct, rename="camel"):
    batch_id: _Text
    organization_id: str | None = None
    org_id: str | None = None
    status: BatchState | None = None


class _SettlementData(msgspec.Struct, rename="camel"):
    settlement_id: _Text
    organization_id: str | None = None
    org_id: str | None = None
    settlement_date: date | None = None
    invoice_id: str | None = None
    invoice_number: str | int | None = None
    case_number: str | int | None = None


class _CaseData(msgspec.Struct, rename="camel"):
    case_id: _Text
    organization_id: str | None = None
    org_id: str | None = None
    case_number: str | int | None = None
    type: str | None = None
    status: str | None = None
    invoices: tuple[str, ...] | None = None
    fields: tuple[str, ...] | None = None


def parse_event(body: bytes, headers: Mapping[str, str] | None = None) -> AnyEvent:
    """Return the event in a webhook's body; verify it first.

    An event of a name that is not known, and one whose data is not as documented, is an `UnknownEvent` with its bytes.

    Raises:
        DecodeError: the body is no JSON object; its bytes are on the error.
    """
    given = headers or {}
    envelope = read_envelope(body)
    name = next((text for text in (envelope.type, envelope.event_type, header(given, EVENT_HEADER)) if _text(text)), "")
    common = _Common(
        id=_text(envelope.id),
        name=str(name),
        source=_text(envelope.source),
        time_stamp=moment(envelope.time_stamp),
        idempotency_key=header(given, KEY_HEADER),
        request_id=header(given, REQUEST_ID_HEADER),
    )
    read = _READERS.get(common.name)
    try:
        event = None if read is None else read(common, envelope.data)
    except msgspec.DecodeError:
        event = None
    return event or UnknownEvent(**common._asdict(), raw=bytes(body))


class _Common(NamedTuple):
    id: str | None
    name: str
    source: str | None
    time_stamp: datetime | None
    idempotency_key: str | None
    request_id: str | None


def _batch_completed(common: _Common, raw: msgspec.Raw) -> BatchCompleted | None:
    data = msgspec.json.decode(raw, type=_BatchData)
    organization_id = data.organization_id or data.org_id
    if not organization_id:
        return None
    return BatchCompleted(
        **common._asdict(), batch_id=data.batch_id, organization_id=organization_id, status=data.status
    )


def _settlement_created(common: _Common, raw: msgspec.Raw) -> SettlementCreated | None:
    data = msgspec.json.decode(raw, type=_SettlementData)
    organization_id = data.organization_id or data.org_id
    if not organization_id:
        return None
    return SettlementCreated(
        **common._asdict(),
        settlement_id=data.settlement_id,
        organization_id=organization_id,
        settlement_date=data.settlement_date,
        invoice_id=data.invoice_id,
        invoice_number=_number_text(data.invoice_number),
        case_number=_number_text(data.case_number),
    )


def _case(common: _Common, raw: msgspec.Raw) -> CaseCreated | CaseUpdated | None:
    data = msgspec.json.decode(raw, type=_CaseData)
    organization_id = data.organization_id or data.org_id
    if not organization_id:
        return None
    created = CaseCreated(
        **common._asdict(),
        case_id=data.case_id,
        organization_id=organization_id,
        case_number=_number_text(data.case_number),
        type=data.type,
        status=data.status,
        invoices=data.invoices or (),
    )
    if common.name == "CASE":
        return created
    return CaseUpdated(**msgspec.structs.asdict(created), fields=data.fields or ())


_READERS: dict[str, Callable[[_Common, msgspec.Raw], AnyEvent | None]] = {
    "BATCH_COMPLETED": _batch_completed,
    "SETTLEMENT_CREATED": _settlement_created,
    "CASE": _case,
    "CASE_UPDATED": _case,
}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number_text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
