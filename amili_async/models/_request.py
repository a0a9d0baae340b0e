"""The base of what a write sends: money and moments checked, members that have no field added with ``extra``."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from amili_async._upstream.msgspec import set_frozen
from amili_async.errors import ConfigurationError
from amili_async.models._base import Model, members_of
from amili_async.models._moments import DateLike, moment
from amili_async.models._money import to_decimal
from amili_async.models._open_enum import OpenEnum

if TYPE_CHECKING:
    Moment = DateLike
else:
    # A caller may give a date or text; what is kept is always an aware datetime, and so msgspec is told.
    Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Request(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object that a write sends. Decoding refuses what no field names: no ``extra`` is lost in silence.

    Raises:
        ConfigurationError: an amount that is no exact number, a moment without a zone, an ``extra`` that names a member
            which has a field.
    """

    private = frozenset({"description", "extra"})
    amounts: ClassVar[tuple[str, ...]] = ("amount",)
    moments: ClassVar[tuple[str, ...]] = ()
    enums: ClassVar[tuple[tuple[str, type[OpenEnum]], ...]] = ()

    extra: Mapping[str, object] = {}
    """Members by their names on the wire, sent as they are beside those that have a field."""

    def __post_init__(self) -> None:
        for name in self.amounts:
            set_frozen(self, name, to_decimal(getattr(self, name), name))
        for name in self.moments:
            if getattr(self, name) is not None:
                set_frozen(self, name, moment(getattr(self, name), name))
        for name, kind in self.enums:
            if getattr(self, name) is not None:
                set_frozen(self, name, kind(getattr(self, name)))
        set_frozen(self, "extra", self._checked_extra())

    def _checked_extra(self) -> dict[str, object]:
        for field, name in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            if name in self.extra or field in self.extra:
                raise ConfigurationError(
                    f"extra names {name!r}, which {type(self).__name__} has a field for: pass {field}= instead"
                )
        return dict(self.extra)

    def to_builtins(self) -> object:
        """Return the members and those of ``extra``."""
        if not self.extra:
            return self
        return {**members_of(msgspec.structs.replace(self, extra={})), **self.extra}
