"""The entries of a batch: what succeeded, told apart by ``$type``, and what failed."""

from collections.abc import Iterable

from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import ConfigurationError
from amili_async.models._extra import read_json
from amili_async.models._received import Maybe, Received, Whole

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
        value = self._value()
        return value if isinstance(value, str) else _first(value, _MESSAGES)

    @property
    def reference(self) -> str | None:
        """Which object it was: the first of ``invoiceNumber``, ``uniqueSourceInvoiceId``, ``reference`` … (U)."""
        return _first(self._value(), _REFERENCES)

    def _value(self) -> object:
        try:
            return read_json(self.raw)
        except READING_ERRORS:
            return None

    def __repr__(self) -> str:
        return "FailedEntry(null)" if self.raw == b"null" else "FailedEntry(see message, reference, raw)"


def _first(members: object, names: tuple[str, ...]) -> str | None:
    if not isinstance(members, dict):
        return None
    for name in names:
        found: object = members.get(name)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # JSON
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
