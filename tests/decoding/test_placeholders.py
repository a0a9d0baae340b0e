"""Placeholders stand for what nobody taught, and tell when one is made."""

from __future__ import annotations

from typing import Union

import msgspec

from amili_async import Batch, InvoiceSuccess, UnknownEntry
from amili_async._decoding.placeholders import MAX_LEARNT, MAX_TAG_LENGTH, Placeholders
from amili_async.models._batches import batch_of


def test_a_placeholder_tells_when_it_is_made() -> None:
    placeholders = Placeholders()
    assert placeholders.learn({"a", "b"})
    kinds = {tag: kind for kind, tag in placeholders.tags.items()}
    latest = placeholders.latest()
    assert placeholders.made_since(latest) == []
    msgspec.json.decode(b'{"$type": "b"}', type=kinds["b"])
    assert placeholders.made_since(latest) == [kinds["b"]]


def test_one_that_was_learnt_meanwhile_is_told_too() -> None:
    placeholders = Placeholders()
    latest = placeholders.latest()
    placeholders.learn({"a"})
    (kind,) = placeholders.tags
    msgspec.json.decode(b"{}", type=kind)
    assert placeholders.made_since(latest) == [kind]


def test_they_are_replaced_by_their_json() -> None:
    placeholders = Placeholders()
    placeholders.learn({"new"})
    (kind,) = placeholders.tags
    raws = [msgspec.Raw(b'{"$type":"new"}'), msgspec.Raw(b'{"$type":"invoiceSuccess","invoiceId":"i"}')]
    body = b'{"batchId":"b","succeeded":[' + b",".join(map(bytes, raws)) + b"]}"
    batch: Batch = msgspec.json.decode(body, type=batch_of(Union[InvoiceSuccess, kind], msgspec.Raw))  # noqa: UP007  # of a type made at run time
    placeholders.replace(batch, raws)
    assert batch.succeeded == (UnknownEntry(type="new", raw=bytes(raws[0])), InvoiceSuccess(invoice_id="i"))


def test_a_server_that_makes_up_tags_does_not_fill_the_memory() -> None:
    placeholders = Placeholders()
    assert placeholders.learn({f"tag {number}" for number in range(MAX_LEARNT - 1)})
    assert placeholders.learn({"the last one", "the very last one"})
    assert not placeholders.learn({"one more"})
    assert len(placeholders.tags) == MAX_LEARNT


def test_a_long_tag_is_not_learnt() -> None:
    assert not Placeholders().learn({"x" * (MAX_TAG_LENGTH + 1)})
    assert Placeholders().learn({"x" * MAX_TAG_LENGTH})
