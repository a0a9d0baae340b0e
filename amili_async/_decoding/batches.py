"""Batches, whose entries are told apart by a tag that may be unknown, or missing, or anywhere in the entry.

msgspec decodes a page of tagged entries in one pass, and refuses all of it for one tag that it does not know. So the
decoder learns: on the first miss of a tag it is taught an empty placeholder struct for it, and from then on pages with
that tag pass whole. A placeholder tells when one is made, so only pages that hold some are looked at again, and only
their unknown entries are kept raw; a few of them are looked up by their tag. What no decoder reads whole, such as a
page where some entries have a tag and others have none, is read entry by entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union

import msgspec

from amili_async._decoding.drift import DriftBuffer, DriftReporter
from amili_async._decoding.entries import PATH, Entries, EntryReader
from amili_async._decoding.lenient import JSON, Coercer, Members
from amili_async._decoding.placeholders import Placeholders
from amili_async._decoding.rows import PageBody, Rows
from amili_async._decoding.search import Tagged, entries_with
from amili_async._upstream.msgspec import set_frozen
from amili_async.models import Batch, SucceededEntry
from amili_async.models._batches import batch_of
from amili_async.models._entries import read_failed, types_by_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from amili_async.models import Summary

F = TypeVar("F")

WORTH_A_SEARCH = 2000
"""Bytes of a page for each of its unknown entries from which on looking these up beats going through the page."""


class _Tags(msgspec.Struct, frozen=True, gc=False):
    """A batch, of which only the tags matter."""

    succeeded: tuple[Tagged, ...] = ()


class _RawEntries(msgspec.Struct, frozen=True, gc=False):
    """A batch, of which only the JSON of its entries matters."""

    succeeded: tuple[msgspec.Raw, ...] = ()


_pages: Any = PageBody
_raw_page: msgspec.json.Decoder[PageBody[_RawEntries]] = msgspec.json.Decoder(PageBody[_RawEntries])
_split_page: msgspec.json.Decoder[PageBody[msgspec.Raw]] = msgspec.json.Decoder(PageBody[msgspec.Raw])
_raw_row = msgspec.json.Decoder(_RawEntries)
_by_entry: msgspec.json.Decoder[Batch] = msgspec.json.Decoder(batch_of(msgspec.Raw, msgspec.Raw))


class _DecoderSet(Generic[F]):
    """The strict decoders for one form in which batches come: a page of them, or a single one."""

    def __init__(self, known: Sequence[type[SucceededEntry]], form: Callable[[object], Any]) -> None:
        self._known = known
        self._form = form
        self._without_tags: dict[type[SucceededEntry], msgspec.json.Decoder[F]] = {}
        self.tags: msgspec.json.Decoder[PageBody[_Tags] | _Tags] = msgspec.json.Decoder(form(_Tags))
        self.register(())
        self.tagless = False
        """Whether what came last had no tags, so that the next is likely to have none either."""

    def _decoder(self, entry: object) -> msgspec.json.Decoder[F]:
        return msgspec.json.Decoder(self._form(batch_of(entry, msgspec.Raw)))

    def register(self, placeholders: Iterable[type]) -> None:
        """Make the decoder for entries with a tag know these too."""
        self.tagged = self._decoder(Union[(*self._known, *placeholders)])

    def without_tags(self, known: type[SucceededEntry]) -> msgspec.json.Decoder[F]:
        """Return the decoder for entries of one type. Of a single struct, msgspec takes the tag as optional."""
        decoder = self._without_tags.get(known)
        if decoder is None:
            decoder = self._without_tags[known] = self._decoder(known)
        return decoder


class BatchRows(Rows[Batch]):
    """Decodes batches with the entry types that one client was taught."""

    def __init__(self, entry_types: Sequence[type[SucceededEntry]]) -> None:
        self._known = types_by_tag(entry_types)
        self._placeholders = Placeholders()
        types = tuple(self._known.values())
        self._page_form: _DecoderSet[PageBody[Batch]] = _DecoderSet(types, lambda row: _pages[row])
        self._row_form: _DecoderSet[Batch] = _DecoderSet(types, lambda row: row)
        self._entries = EntryReader(self._known)

    def make_shape(self) -> Coercer:
        """Return what the annotations say, and for the entries what their own types say."""
        return Members(batch_of(msgspec.Raw, msgspec.Raw), {"succeeded": Entries(self._entries)})

    def page(self, body: bytes | bytearray, note: DriftReporter | None) -> tuple[Summary | None, list[Batch]]:
        """Return a whole page in one pass."""
        latest = self._placeholders.latest()
        page = self._strict(self._page_form, body)
        met = self._placeholders.made_since(latest)
        if met:
            self._keep_unknown(page.data, body, met)
            self._tell(met, note)
        for row in page.data:
            if row.failed:
                _keep_failed(row)
        return page.summary, page.data

    def row(self, raw: JSON, note: DriftReporter | None) -> Batch:
        """Return one row, read strictly."""
        latest = self._placeholders.latest()
        row = self._strict(self._row_form, raw)
        met = self._placeholders.made_since(latest)
        if met:
            self._placeholders.replace(row, _raw_row.decode(raw).succeeded)
            self._tell(met, note)
        if row.failed:
            _keep_failed(row)
        return row

    def bent(self, raw: JSON, note: DriftReporter | None) -> Batch:
        """Return one row, read leniently and entry by entry."""
        kept = DriftBuffer()
        try:
            row = _by_entry.decode(raw)
        except msgspec.ValidationError:
            row = _by_entry.decode(self.shape.coerce(raw, "$", kept))
        set_frozen(row, "succeeded", self._entries.read_all(row.succeeded, kept))
        if row.failed:
            _keep_failed(row)
        kept.pass_on(note)
        return row

    def _strict(self, form: _DecoderSet[F], data: JSON) -> F:
        """Return what came, decoded with or without tags: first in the way that worked the last time."""
        if form.tagless:
            found = self._without_tags(form, data)
            if found is not None:
                return found
        try:
            found = form.tagged.decode(data)
        except msgspec.ValidationError as error:
            found = self._otherwise(form, data, str(error))
            if found is None:
                raise
            return found
        form.tagless = False
        return found

    def _otherwise(self, form: _DecoderSet[F], data: JSON, reason: str) -> F | None:
        """Return what came, after looking at why it could not be decoded with tags; nothing if that does not help."""
        if reason.endswith(".$type`") and self._learn(form, data):
            return form.tagged.decode(data)
        if "`$type`" in reason and not form.tagless:
            found = self._without_tags(form, data)
            form.tagless = found is not None
            return found
        return None

    def _without_tags(self, form: _DecoderSet[F], data: JSON) -> F | None:
        """Return what came, if all its entries can only be of one type; else nothing."""
        possible = self._entries.possible(data)
        if len(possible) != 1:
            return None
        try:
            return form.without_tags(possible[0]).decode(data)
        except msgspec.ValidationError:
            return None

    def _learn(self, form: _DecoderSet[F], data: JSON) -> bool:
        """Teach placeholders for the unknown tags in ``data``; return whether there were any."""
        found = form.tags.decode(data)
        rows: Iterable[_Tags] = found.data if isinstance(found, PageBody) else (found,)
        tags = {entry.tag for row in rows for entry in row.succeeded if isinstance(entry.tag, str)}
        learnt = self._placeholders.learn(tags - {*self._known, *self._placeholders.tags.values()})
        if learnt:
            self._page_form.register(self._placeholders.tags)
            self._row_form.register(self._placeholders.tags)
        return learnt

    def _tell(self, met: list[object], note: DriftReporter | None) -> None:
        if note is not None:
            for placeholder in met:
                note("type", f"{PATH}.$type", self._placeholders.tags[type(placeholder)])

    def _keep_unknown(self, rows: list[Batch], body: bytes | bytearray, met: list[object]) -> None:
        held = sorted({index for blank in met for index, row in enumerate(rows) if blank in row.succeeded})
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

    def _search(self, rows: list[Batch], body: bytes | bytearray, blank: object) -> bool:
        """Look the unknown entries of these rows up by their tag, if they are few; return whether that went well."""
        count = sum(row.succeeded.count(blank) for row in rows)
        if count * WORTH_A_SEARCH > len(body):
            return False
        found = entries_with(self._placeholders.tags[type(blank)], body, count)
        if found is None:
            return False
        jsons = iter(found)
        for row in rows:
            self._placeholders.fill(row, jsons)
        return True


def _keep_failed(row: Batch) -> None:
    raws: tuple[Any, ...] = row.failed
    set_frozen(row, "failed", tuple(read_failed(bytes(raw)) for raw in raws))
