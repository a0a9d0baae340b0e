"""The entries of a batch: what succeeded, told apart by ``$type``, and what failed."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from amili_async.errors import ConfigurationError
from amili_async.models._base import Model

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


class SucceededEntry(Model, frozen=True, kw_only=True, tag_field="$type"):
    """The base of the entries in ``Batch.succeeded``.

    Subclass it, with a ``tag``, to teach a client another type::

        class PaymentSuccess(SucceededEntry, tag="paymentSuccess", frozen=True, kw_only=True):
            payment_id: str

        client = AmiliClient(auth, entry_types=(PaymentSuccess,))

    Give a type that Amili may send without ``$type`` a required member: without the tag, the members decide.
    """


class InvoiceSuccess(SucceededEntry, tag="invoiceSuccess", frozen=True, kw_only=True, gc=False):
    """An invoice that Amili took: the one documented type of entry (D, get-all-batches-3939027e0)."""

    invoice_id: str
    invoice_number: str | None = None
    case_id: str | None = None


class UnknownEntry(SucceededEntry, frozen=True, kw_only=True, gc=False):
    """An entry of a type that this client was not taught, whole."""

    private: ClassVar[frozenset[str]] = frozenset({"raw"})

    type: str | None = None
    """Its ``$type``; ``None`` where it has none and fits no known type."""
    raw: bytes
    """Its JSON, byte for byte."""

    def to_builtins(self) -> object:
        """Return the JSON as received."""
        return msgspec.Raw(self.raw)


class FailedEntry(Model, frozen=True, kw_only=True, gc=False):
    """What became of an object that Amili refused. Its shape is not documented (U); ``null`` and ``{}`` occur."""

    private: ClassVar[frozenset[str]] = frozenset({"raw", "message", "reference"})

    raw: bytes
    """Its JSON, byte for byte."""
    message: str | None = None
    """The first text among the members that usually hold one, such as ``message`` (U)."""
    reference: str | None = None
    """Which object it was: the first of ``invoiceNumber``, ``uniqueSourceInvoiceId``, ``reference`` … (U)."""

    def to_builtins(self) -> object:
        """Return the JSON as received."""
        return msgspec.Raw(self.raw)


def read_failed(raw: bytes) -> FailedEntry:
    """Return what can be made of an entry of ``failed``, whatever its JSON is."""
    members: dict[str, object] | list[object] | str | float | bool | None = msgspec.json.decode(raw)
    if isinstance(members, str):
        return FailedEntry(raw=raw, message=members)
    if not isinstance(members, dict):
        return FailedEntry(raw=raw)
    return FailedEntry(raw=raw, message=_first(members, _MESSAGES), reference=_first(members, _REFERENCES))


def _first(members: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    for name in names:
        found = members.get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if isinstance(found, str) and found:
            return found
    return None


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
