"""Batches, whose entries are told apart by a tag that may be unknown, or missing, or anywhere in the entry.

msgspec decodes a page of tagged entries in one pass, and refuses all of it for one tag that it does not know. So tags
are learnt: each has an empty placeholder struct, and pages that hold it pass whole. A placeholder tells when one is
made, so only pages that hold some are looked at again, and only their unknown entries are kept raw; a few of them are
looked up by their tag. A page whose entries have no tag, all of one type, is read with that type. What neither way can
read, such as entries with and without a tag side by side, is read in one pass up to its entries: those of a batch that
have no tag and are of one type together, all others one by one.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Union

import msgspec

from amili_async._decoding.drift import DriftReporter, Findings
from amili_async._decoding.entries import PATH, Entries, EntryReader, Failures
from amili_async._decoding.envelope import PageBody
from amili_async._decoding.lenient import JSON, Coercer, TakenApart
from amili_async._decoding.placeholders import Placeholders
from amili_async._decoding.rows import TypedRows
from amili_async._decoding.search import Tagged, entries_with
from amili_async._upstream.msgspec import setter_of
from amili_async.models import Batch, SucceededEntry, UnknownEntry
from amili_async.models._batches import batch_of, keep_failed, types_by_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amili_async._decoding.shapes import Decoder, Shapes

B = TypeVar("B", bound=Batch)
F = TypeVar("F")

WORTH_A_SEARCH = 2000
"""Bytes of a page for each of its unknown entries from which on looking these up beats going through the page."""

TRY_AGAIN = 16
"""After so many pages that were read entry by entry the tags are tried again."""

_TAG = b'"$type"'

_NO_OBJECT = re.compile(r"^Expected `object`.*\.succeeded\[\d+\]`$")
"""What msgspec says of an entry that is no object."""

Way = Literal["tags", "no tags", "entries"]


class _RawEntries(msgspec.Struct, frozen=True, gc=False):
    """A batch, of which only the JSON of its entries matters."""

    succeeded: tuple[msgspec.Raw, ...] = ()


class _RawPage(msgspec.Struct, frozen=True, gc=False):
    data: tuple[_RawEntries, ...]


class _SplitPage(msgspec.Struct, frozen=True, gc=False):
    data: tuple[msgspec.Raw, ...]


_raw_page = msgspec.json.Decoder(_RawPage)
_split_page = msgspec.json.Decoder(_SplitPage)
_tagged = msgspec.json.Decoder(Tagged)
_raw_row = msgspec.json.Decoder(_RawEntries)
_set_succeeded = setter_of(Batch, "succeeded")


class _Form(Generic[F]):
    """The strict decoders for one form in which batches come: a page of them, or a single one."""

    def __init__(self, rows: BatchRows[Any], form: Callable[[Any], object]) -> None:
        self._rows = rows
        self._form = form
        self.tags: Decoder[F] = rows.decoder(lambda: form(rows.batch_of(rows.tagged())))
        self.entries: Decoder[F] = rows.decoder(lambda: form(rows.batch_of(msgspec.Raw)))
        self._without: dict[type[SucceededEntry], Decoder[F]] = {}
        self.way: Way = "tags"
        """How the last one could be read, and the next one is likely to."""
        self.left = 0
        """How many more are read entry by entry before the tags are tried again."""

    def without_tags(self, known: type[SucceededEntry]) -> Decoder[F]:
        """Return the decoder for entries of one type. Of a single struct, msgspec takes the tag as optional."""
        if known not in self._without:
            rows, form = self._rows, self._form
            self._without[known] = rows.decoder(lambda: form(rows.batch_of(rows.shapes.of(known))))
        return self._without[known]

    def go_by_entry(self) -> None:
        """Read the next ones entry by entry."""
        self.way, self.left = "entries", TRY_AGAIN


class BatchRows(TypedRows[B]):
    """Decodes batches with the entry types that one client was taught."""

    def __init__(self, row_type: type[B], entry_types: Sequence[type[SucceededEntry]], shapes: Shapes) -> None:
        self._known = types_by_tag(entry_types)
        self._batch = row_type
        self._placeholders = Placeholders()
        super().__init__(row_type, shapes, holding=tuple(self._known.values()))
        self._entries = EntryReader(self._known)
        self._entry: Decoder[SucceededEntry] = self.decoder(self.tagged)
        self._several: dict[type[SucceededEntry], Decoder[tuple[SucceededEntry, ...]]] = {}
        self._pages: _Form[PageBody] = _Form(self, self.page_of)
        self._singles: _Form[B] = _Form(self, lambda batch: batch)

    def given(self) -> dict[str, object]:
        """Return what the entries may be."""
        return {"succeeded": tuple[Union[tuple(self._known.values())], ...]}  # type: ignore[misc]  # noqa: UP007  # made at run time

    @cached_property
    def coercer(self) -> Coercer:
        """What the annotations say, and for the entries what their own types say."""
        special = {"succeeded": Entries(self._entries), "failed": Failures()}
        return TakenApart(batch_of(msgspec.Raw, msgspec.Raw, self._batch), special)

    @property
    def way(self) -> Way:
        """How the next page is likely to be read."""
        return self._pages.way

    def tagged(self) -> Any:
        """Return the annotation of an entry that has a tag."""
        return Union[(*map(self.shapes.of, self._known.values()), *self._placeholders.tags)]  # made at run time

    def batch_of(self, entry: Any) -> Any:
        """Return the type of a batch with such entries."""
        if self.shapes.of(self._batch) is self._batch:
            return batch_of(entry, msgspec.Raw, self._batch)
        return self.shapes.struct(self._batch, {"succeeded": tuple[entry, ...], "failed": tuple[msgspec.Raw, ...]})

    def strict_page(self, body: bytes | bytearray, note: DriftReporter | None) -> PageBody:
        """Return a whole page in one pass."""
        latest = self._placeholders.latest()
        page = self._strict(self._pages, body, note)
        met = self._placeholders.made_since(latest)
        if met:
            self._keep_unknown(page.data, body, met)
            self._tell(met, note)
        keep_failed(page.data)
        return page

    def strict_row(self, raw: JSON, note: DriftReporter | None) -> B:
        """Return one row in one pass."""
        latest = self._placeholders.latest()
        row = self._strict(self._singles, raw, note)
        met = self._placeholders.made_since(latest)
        if met:
            self._placeholders.replace(row, _raw_row.decode(raw).succeeded)
            self._tell(met, note)
        keep_failed((row,))
        return row

    def learn(self, found: Findings) -> None:
        """Learn members, and types of entries: each has a placeholder from then on."""
        super().learn(found)
        new = found.tags.keys() - self._placeholders.tags.values()
        if new and self._placeholders.learn(new):
            self.shapes.renew()
        elif new:
            self._pages.go_by_entry()
            self._singles.go_by_entry()

    def _strict(self, form: _Form[F], data: JSON, note: DriftReporter | None) -> F:
        """Return what came: first in the way that worked the last time."""
        if form.way == "entries" and form.left:
            form.left -= 1
            return self._by_entry(form, data, note)
        if form.way == "no tags":
            found = self._without_tags(form.without_tags, data)
            if found is not None:
                return found
        try:
            found = form.tags.decode(data)
        except msgspec.ValidationError as error:
            reason = str(error)
            # An unknown tag is left to the lenient reading, which learns it.
            unlearnable = reason.endswith(".$type`") and self._placeholders.full
            if not ("`$type`" in reason or unlearnable or _NO_OBJECT.search(reason)):
                raise
            found = self._without_tags(form.without_tags, data)
            if found is None:
                form.go_by_entry()
                return self._by_entry(form, data, note)
            form.way = "no tags"
            return found
        form.way = "tags"
        return found

    def _without_tags(self, decoder_of: Callable[[type[SucceededEntry]], Decoder[F]], data: JSON) -> F | None:
        """Return what came, if all its entries can only be of one type; else nothing."""
        likely = self._entries.likely(data, self.shapes.members_of)
        if likely is None:
            return None
        try:
            return decoder_of(likely).decode(data)
        except msgspec.ValidationError:
            return None

    def _by_entry(self, form: _Form[F], data: JSON, note: DriftReporter | None) -> F:
        """Return what came, its entries read one by one."""
        found: Any = form.entries.decode(data)
        met = Findings()
        for row in found.data if isinstance(found, PageBody) else (found,):
            if row.succeeded:
                entries = self._read_alike(row.succeeded)
                _set_succeeded(row, entries or tuple([self._read_entry(raw, met) for raw in row.succeeded]))
        self.learn(met)
        met.tell(note)
        return found  # type: ignore[no-any-return]  # what the form decodes

    def _read_alike(self, raws: Sequence[msgspec.Raw]) -> tuple[SucceededEntry, ...] | None:
        """Return a batch's entries in one pass, if none has a tag and all are of one type; else nothing."""
        data = b"[%b]" % b",".join(raws)
        return None if _TAG in data else self._without_tags(self._alike, data)

    def _alike(self, kind: type[SucceededEntry]) -> Decoder[tuple[SucceededEntry, ...]]:
        if kind not in self._several:
            self._several[kind] = self.decoder(lambda: tuple[self.shapes.of(kind), ...])  # type: ignore[misc]  # made at run time
        return self._several[kind]

    def _read_entry(self, raw: msgspec.Raw, found: Findings) -> SucceededEntry:
        """Return an entry, at once where its tag is one that is known, or surely is none."""
        try:
            tag = _tagged.decode(raw).tag
            if isinstance(tag, str) and tag in self._known:
                return self._entry.decode(raw)
        except msgspec.ValidationError:
            tag = None
        if not isinstance(tag, str) or tag in self._known:
            return self._entries.read(raw, PATH, found)
        found.drift("type", f"{PATH}.$type", tag)
        return UnknownEntry(type=tag, raw=bytes(raw))

    def _tell(self, met: list[type], note: DriftReporter | None) -> None:
        if note is not None:
            for placeholder in met:
                note("type", f"{PATH}.$type", self._placeholders.tags[placeholder])

    def _keep_unknown(self, rows: list[Batch], body: bytes | bytearray, met: list[type]) -> None:
        # By their types: to ask each entry whether it equals a placeholder takes three times as long.
        has_none = frozenset(met).isdisjoint
        held = [index for index, row in enumerate(rows) if not has_none(map(type, row.succeeded))]
        if len(met) == 1 and self._search([rows[index] for index in held], body, met[0]):
            return
        if len(held) * 2 > len(rows):
            raws = _raw_page.decode(body).data
            for index in held:
                self._placeholders.replace(rows[index], raws[index].succeeded)
        else:
            split = _split_page.decode(body).data
            for index in held:
                self._placeholders.replace(rows[index], _raw_row.decode(split[index]).succeeded)

    def _search(self, rows: list[Batch], body: bytes | bytearray, met: type) -> bool:
        """Look the unknown entries of these rows up by their tag, if they are few; return whether that went well."""
        count = sum([type(entry) is met for row in rows for entry in row.succeeded])
        if count * WORTH_A_SEARCH > len(body):
            return False
        found = entries_with(self._placeholders.tags[met], body, count)
        if found is None:
            return False
        jsons = iter(found)
        for row in rows:
            self._placeholders.fill(row, jsons)
        return True
