"""Batches, whose entries are told apart by a tag that may be unknown, or missing, or anywhere in the entry.

msgspec decodes a page of tagged entries in one pass, and refuses all of it for one unknown tag. So the decoder learns: on
the first miss of a tag it is given an empty placeholder struct for it, and the next page passes whole. A placeholder
tells when it is made, so only pages that hold one are looked at again, and only their unknown entries are kept raw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Union

import msgspec

from amili_async.decoding.rows import Note, PageBody
from amili_async.models.batches import Batch
from amili_async.models.entries import FailedEntry, SucceededEntry, UnknownEntry, read_failed, types_by_tag
from amili_async.models.envelope import Summary

MAX_PLACEHOLDERS = 64
"""The unknown tags that a decoder learns, at most. Entries of further ones are read one by one."""

MAX_TAG_LENGTH = 128
"""The characters of a tag that is learnt, at most."""


class _Tag(msgspec.Struct, frozen=True, gc=False):
    """An entry, of which only the tag matters."""

    tag: object = msgspec.field(name="$type", default=None)


class _Tags(msgspec.Struct, frozen=True):
    """A batch, of which only the tags matter."""

    succeeded: tuple[_Tag, ...] = ()


class _RawEntries(msgspec.Struct, frozen=True):
    """A batch, of which only the JSON of its entries matters."""

    succeeded: tuple[msgspec.Raw, ...] = ()


class _Decoders:
    """The decoders of one form in which batches come: a page of them, or one."""

    def __init__(self, form: Callable[[object], Any]) -> None:
        self._form = form
        self.tags = msgspec.json.Decoder(form(_Tags))
        self.order: tuple[msgspec.json.Decoder[Any], ...] = ()

    def teach(self, known: Sequence[type[SucceededEntry]], placeholders: Sequence[type]) -> None:
        types = [Union[(*known, *placeholders)]]
        if len(known) == 1 and placeholders:
            # Of a single struct, outside of any union, msgspec takes the tag as optional.
            types.append(known[0])
        self.order = tuple(msgspec.json.Decoder(self._form(Batch[entries, msgspec.Raw])) for entries in types)


class BatchRows:
    """Decodes batches with the entry types that one client was taught."""

    def __init__(self, entry_types: Sequence[type[SucceededEntry]]) -> None:
        self._known = types_by_tag(entry_types)
        self._placeholders: dict[type, str] = {}
        self._met: object = None
        """Another object after each placeholder that was decoded."""
        self._pages = _Decoders(lambda row: PageBody[row])
        self._one = _Decoders(lambda row: row)
        self._raw_pages = msgspec.json.Decoder(PageBody[_RawEntries])
        self._raw_entries = msgspec.json.Decoder(_RawEntries)
        self._by_entry = msgspec.json.Decoder(Batch[msgspec.Raw, msgspec.Raw])
        self._tag = msgspec.json.Decoder(_Tag)
        self._entries = {tag: msgspec.json.Decoder(kind) for tag, kind in self._known.items()}
        self._teach(())

    def page(self, body: bytes | bytearray, note: Note | None) -> tuple[Summary | None, list[Batch]]:
        """Return a whole page in one pass."""
        before = self._met
        page = self._strict(self._pages, body)
        rows: list[Batch] = page.data
        if self._met is not before:
            self._keep_unknown(rows, body, note)
        for row in rows:
            if row.failed:
                _keep_failed(row)
        return page.summary, rows

    def row(self, raw: bytes | msgspec.Raw, note: Note | None) -> Batch:
        """Return one row, read strictly."""
        before = self._met
        row: Batch = self._strict(self._one, raw)
        if self._met is not before and self._unknown(row):
            self._keep(row, self._raw_entries.decode(raw).succeeded, note)
        if row.failed:
            _keep_failed(row)
        return row

    def bent(self, raw: bytes | msgspec.Raw, note: Note | None) -> Batch:
        """Return one row, read leniently and entry by entry."""
        row = self._by_entry.decode(raw)
        raws: tuple[Any, ...] = row.succeeded
        msgspec.structs.force_setattr(row, "succeeded", tuple(self._entry(one, note) for one in raws))
        if row.failed:
            _keep_failed(row)
        return row

    def _strict(self, decoders: _Decoders, data: bytes | bytearray | msgspec.Raw) -> Any:
        try:
            return decoders.order[0].decode(data)
        except msgspec.ValidationError as error:
            if "$type" not in str(error):
                raise
            failure = error
        for decoder in decoders.order[1:]:
            try:
                found = decoder.decode(data)
            except msgspec.ValidationError:
                continue
            # What fitted this time is likely to fit the next.
            decoders.order = (decoder, *(other for other in decoders.order if other is not decoder))
            return found
        if not self._learn(decoders, data):
            raise failure
        return decoders.order[0].decode(data)

    def _learn(self, decoders: _Decoders, data: bytes | bytearray | msgspec.Raw) -> bool:
        """Teach placeholders for the unknown tags in ``data``; return whether there were any."""
        found = decoders.tags.decode(data)
        rows: Iterable[_Tags] = found.data if isinstance(found, PageBody) else (found,)
        taught = {*self._known, *self._placeholders.values()}
        tags = {entry.tag for row in rows for entry in row.succeeded if isinstance(entry.tag, str)} - taught
        learnt = sorted(tag for tag in tags if len(tag) <= MAX_TAG_LENGTH)
        learnt = learnt[: MAX_PLACEHOLDERS - len(self._placeholders)]
        if learnt:
            self._teach(learnt)
        return bool(learnt)

    def _teach(self, tags: Iterable[str]) -> None:
        def noted(_entry: object) -> None:
            self._met = object()

        for tag in tags:
            placeholder = msgspec.defstruct(
                "Placeholder", (), tag=tag, tag_field="$type", frozen=True, gc=False, namespace={"__post_init__": noted}
            )
            self._placeholders[placeholder] = tag
        for decoders in (self._pages, self._one):
            decoders.teach(tuple(self._known.values()), tuple(self._placeholders))

    def _unknown(self, row: Batch) -> bool:
        return not self._placeholders.keys().isdisjoint(map(type, row.succeeded))

    def _keep_unknown(self, rows: list[Batch], body: bytes | bytearray, note: Note | None) -> None:
        raws: list[_RawEntries] | None = None
        for index, row in enumerate(rows):
            if self._unknown(row):
                raws = raws or self._raw_pages.decode(body).data
                self._keep(row, raws[index].succeeded, note)

    def _keep(self, row: Batch, raws: tuple[msgspec.Raw, ...], note: Note | None) -> None:
        tags = [self._placeholders.get(type(entry)) for entry in row.succeeded]
        entries = tuple(
            entry if tag is None else UnknownEntry(type=tag, raw=bytes(raw))
            for entry, tag, raw in zip(row.succeeded, tags, raws, strict=True)
        )
        msgspec.structs.force_setattr(row, "succeeded", entries)

    def _entry(self, raw: msgspec.Raw, note: Note | None) -> SucceededEntry:
        try:
            tag = self._tag.decode(raw).tag
        except msgspec.ValidationError:
            return UnknownEntry(raw=bytes(raw))
        if tag in self._entries:
            return self._entries[tag].decode(raw)
        if isinstance(tag, str):
            return UnknownEntry(type=tag, raw=bytes(raw))
        for decoder in self._entries.values():
            try:
                return decoder.decode(raw)
            except msgspec.ValidationError:
                continue
        return UnknownEntry(raw=bytes(raw))


def _keep_failed(row: Batch) -> None:
    raws: tuple[Any, ...] = row.failed
    failed: tuple[FailedEntry, ...] = tuple(read_failed(bytes(raw)) for raw in raws)
    msgspec.structs.force_setattr(row, "failed", failed)
