"""Events: what a webhook says, read from its body. Documented (D): webhooks-361430m0.

Public classes name `amili_async.webhooks` as their module, where the names in their annotations are not to be found; so
this module does not turn annotations into text.
"""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple, TypeAlias

import msgspec
from msgspec import structs

from amili_async._decoding.drift import DriftReporter, Findings
from amili_async._decoding.failures import validation_detail
from amili_async._decoding.lenient import coercer_of
from amili_async._decoding.places import Places
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.models import BatchState, Model
from amili_async.models._inputs import in_utc
from amili_async.webhooks._envelope import (
    EVENT_HEADER,
    KEY_HEADER,
    REQUEST_ID_HEADER,
    checked,
    header,
    members_in,
    moment,
    open_value,
    read_envelope,
)

_SHOWN = 64
"""Characters of a name that a ``repr`` shows."""


class Event(Model, frozen=True, kw_only=True):
    """What all events have.

    ``raw``, ``extra`` and ``envelope_extra`` keep all that came; ``repr`` does not show them. ``encode(event)`` is the
    body that says what the event says: byte for byte the one that came, or a new one, for tests of your own service.
    """

    private: ClassVar[frozenset[str]] = frozenset({"raw", "extra", "envelope_extra"})
    name_member: ClassVar[str] = "type"
    """How Amili spells the member with the event's name."""
    organization_member: ClassVar[str] = "organizationId"
    """How Amili spells the organization's id in ``data``."""

    id: str | None = None
    name: str = ""
    """``type``, else ``eventType``, else the header ``X-Amili-Event``."""
    source: str | None = None
    time_stamp: datetime | None = None
    idempotency_key: str | None = None
    """The header's: unique per delivery. Nobody has signed it, so nothing should depend on it."""
    request_id: str | None = None
    extra: Mapping[str, object] = {}
    """The members of ``data`` that no field names, as JSON values, whose numbers are `int` or `Decimal`."""
    envelope_extra: Mapping[str, object] = {}
    """The same for what stands around ``data``, and what cannot be read there, such as a ``timeStamp`` in words."""
    raw: bytes = b""
    """The body as it came."""

    def __hash__(self) -> int:
        return hash((type(self), self.id, self.name, self.raw))

    def to_builtins(self) -> object:
        """Return the body that came, as long as it says the same; else one that is made of the members."""
        if self.raw:
            told = ((EVENT_HEADER, self.name), (KEY_HEADER, self.idempotency_key), (REQUEST_ID_HEADER, self.request_id))
            if parse_event(self.raw, {name: value for name, value in told if value is not None}) == self:
                return msgspec.Raw(self.raw)
        stamp = self.time_stamp and in_utc(self.time_stamp)
        envelope = {"id": self.id, self.name_member: self.name, "source": self.source, "timeStamp": stamp}
        given = {name: value for name, value in envelope.items() if value is not None}
        return {**given, **self.envelope_extra, "data": {**self._data(), **self.extra}}

    def _data(self) -> dict[str, object]:
        own = [field for field in structs.fields(type(self)) if field.name not in Event.__struct_fields__]
        values = {field.encode_name: getattr(self, field.name) for field in own}
        values[self.organization_member] = values.pop("organizationId", None)
        return {name: value for name, value in values.items() if value is not None}


class BatchCompleted(Event, frozen=True, kw_only=True):
    """``BATCH_COMPLETED`` (D): a batch has its outcome. Read it with ``client.batches.get``."""

    name: str = "BATCH_COMPLETED"
    batch_id: str
    organization_id: str
    status: BatchState | None = None


class SettlementCreated(Event, frozen=True, kw_only=True):
    """``SETTLEMENT_CREATED`` (D)."""

    name: str = "SETTLEMENT_CREATED"
    settlement_id: str
    organization_id: str
    settlement_date: date | None = None
    """A value date: when the money counts, not when the settlement came to be (I)."""
    invoice_id: str | None = None
    invoice_number: str | None = None
    case_number: str | None = None


class CaseCreated(Event, frozen=True, kw_only=True):
    """``CASE`` (D): invoices became a case."""

    name_member: ClassVar[str] = "eventType"
    organization_member: ClassVar[str] = "orgId"

    name: str = "CASE"
    case_id: str
    organization_id: str
    case_number: str | None = None
    type: str | None = None
    status: str | None = None
    invoices: tuple[str, ...] = ()


class CaseUpdated(CaseCreated, frozen=True, kw_only=True):
    """``CASE_UPDATED`` (D): ``fields`` names what changed, such as ``amounts`` or ``status``."""

    name: str = "CASE_UPDATED"
    fields: tuple[str, ...] = ()


class UnknownEvent(Event, frozen=True, kw_only=True):
    """An event of another name, or one of a known name that cannot be read as what it is called.

    ``data`` is in ``extra``, where it is an object, and in ``raw``.
    """

    problem: str | None = None
    """What cannot be read, and where, for an event of a known name; ``None`` for a name that is not known."""

    def __repr__(self) -> str:
        return f"UnknownEvent(name={self.name[:_SHOWN]!r}, id={(self.id or '')[:_SHOWN]!r}, problem={self.problem!r})"

    def _data(self) -> dict[str, object]:
        return {}


AnyEvent: TypeAlias = BatchCompleted | SettlementCreated | CaseCreated | CaseUpdated | UnknownEvent
"""What `parse_event` returns: to be told apart by ``match``."""

_coercer_of = cache(coercer_of)
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Data(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    organization_id: str | None = None
    org_id: str | None = None


class _BatchData(_Data, kw_only=True, rename="camel"):
    batch_id: _Text
    status: BatchState | None = None


class _SettlementData(_Data, kw_only=True, rename="camel"):
    settlement_id: _Text
    settlement_date: date | None = None
    invoice_id: str | None = None
    invoice_number: str | None = None
    case_number: str | None = None


class _CaseData(_Data, kw_only=True, rename="camel"):
    case_id: _Text
    case_number: str | None = None
    type: str | None = None
    status: str | None = None
    invoices: tuple[str, ...] | None = None


class _ChangeData(_CaseData, kw_only=True, rename="camel"):
    fields: tuple[str, ...] | None = None


class _Known(NamedTuple):
    """A documented kind of event: its class, and the shape of its ``data``."""

    event: type[BatchCompleted | SettlementCreated | CaseCreated | CaseUpdated]
    data: type[_Data]


_KNOWN = {
    "BATCH_COMPLETED": _Known(BatchCompleted, _BatchData),
    "SETTLEMENT_CREATED": _Known(SettlementCreated, _SettlementData),
    "CASE": _Known(CaseCreated, _CaseData),
    "CASE_UPDATED": _Known(CaseUpdated, _ChangeData),
}


def parse_event(body: bytes, headers: Mapping[str, str] | None = None) -> AnyEvent:
    """Return the event in a webhook's body; verify it first.

    It is read as leniently as lists are. An event of a name that is not known, and one that cannot be read as what it
    is called, is an `UnknownEvent`, which has all that came.

    Raises:
        DecodeError: the body is no JSON object; its bytes are on the error.
        ConfigurationError: body or headers are of another type.
    """
    return read_event(body, headers or {}, None)


def read_event(body: bytes, headers: Mapping[str, str], note: DriftReporter | None) -> AnyEvent:
    """Return the event in a webhook's body, and tell of what is not quite as documented.

    Raises:
        DecodeError: the body is no JSON object.
        ConfigurationError: body or headers are of another type.
    """
    body, headers = checked(body, headers)
    envelope = read_envelope(body)
    name = envelope.type or envelope.event_type or header(headers, EVENT_HEADER) or ""
    common: dict[str, Any] = {
        "id": envelope.id,
        "name": name,
        "source": envelope.source,
        "time_stamp": moment(envelope.time_stamp),
        "idempotency_key": header(headers, KEY_HEADER),
        "request_id": header(headers, REQUEST_ID_HEADER),
        "envelope_extra": envelope.extra,
        "raw": body,
    }
    if note is not None:
        for member in envelope.extra:
            note("member", f"$.{member[:_SHOWN]}", member)
    known = _KNOWN.get(name)
    if known is None:
        return UnknownEvent(**common, extra=_open_data(envelope.data))
    try:
        return _known_event(known, envelope.data, common, note)
    except READING_ERRORS as error:
        path, reason = validation_detail(error)
        return UnknownEvent(**common, extra=_open_data(envelope.data), problem=f"{reason} at $.data{path[1:]}")


def _known_event(known: _Known, raw: bytes, common: dict[str, Any], note: DriftReporter | None) -> AnyEvent:
    found = Findings()
    data: _Data = _coercer_of(known.data).read(raw, "$.data", found)
    Places(known.data).report((data,), found.drift, path="$.data")
    values = {name: value for name, value in structs.asdict(data).items() if value is not None}
    organization_id = values.pop("organization_id", None) or values.get("org_id")
    values.pop("org_id", None)
    if not organization_id:
        raise msgspec.ValidationError("Object missing required field `organizationId`")
    named = {field.encode_name for field in structs.fields(known.data)}
    extra = {name: open_value(value) for name, value in members_in(raw).items() if name not in named}
    event = known.event(**common, organization_id=organization_id, extra=extra, **values)
    found.tell(note)
    return event


def _open_data(raw: bytes) -> dict[str, object]:
    """Return the members of ``data``; none where it is no object."""
    try:
        return {name: open_value(value) for name, value in members_in(raw).items()}
    except READING_ERRORS:
        return {}
