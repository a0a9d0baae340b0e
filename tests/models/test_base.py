"""What all models share: frozen, keyword-only, silent about people."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest

import amili_async
from amili_async import Accepted, Case, Debtor, FailedEntry, NewInvoice, UnknownEntry
from amili_async.models._base import Model

if TYPE_CHECKING:
    from collections.abc import Iterator


def models() -> Iterator[type[Model]]:
    unseen = [Model]
    for name in amili_async.__all__:
        getattr(amili_async, name)
    while unseen:
        kind = unseen.pop()
        if kind.__module__.startswith("amili_async."):
            yield kind
            unseen.extend(kind.__subclasses__())


MODELS = sorted(set(models()), key=lambda kind: kind.__qualname__)


def test_there_are_models() -> None:
    assert len(MODELS) > 25


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__qualname__)
def test_every_model_is_frozen_and_leaves_defaults_out(kind: type[Model]) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.omit_defaults
    assert all(field.name in kind.__struct_fields__ for field in msgspec.structs.fields(kind))
    assert kind.private <= {*kind.__struct_fields__, "description", "extra"}


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__qualname__)
def test_no_model_is_hidden_from_the_garbage_collector_that_could_hold_a_cycle(kind: type[Model]) -> None:
    if kind.__struct_config__.gc:
        return
    for field in msgspec.structs.fields(kind):
        kinds = str(field.type)
        assert not any(word in kinds for word in ("list[", "dict[", "set[", "Mapping[")), field.name


def test_a_model_takes_no_positional_arguments() -> None:
    with pytest.raises(TypeError):
        Accepted("batch")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # what it refuses


def test_a_model_cannot_be_changed() -> None:
    accepted = Accepted(batch_id="b", organization_id="o")
    with pytest.raises(AttributeError):
        accepted.batch_id = "c"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # what it refuses


def test_a_model_hashes_pickles_and_copies() -> None:
    case = Case(case_id="c", debtors=(Debtor(debtor_id="d", full_name="Kari Nordmann"),))
    assert pickle.loads(pickle.dumps(case)) == case  # noqa: S301  # our own bytes
    assert copy.deepcopy(case) == case
    assert hash(case) == hash(copy.copy(case))


def test_a_repr_shows_what_is_set_and_no_debtor() -> None:
    case = Case(case_id="c", description="Ola", debtors=(Debtor(debtor_id="d", full_name="Kari Nordmann"),))
    assert repr(case) == "Case(case_id='c', description=..., debtors=(Debtor(debtor_id='d', full_name=...),))"


def test_rich_prints_no_debtor_either() -> None:
    console = pytest.importorskip("rich.console").Console(width=200)
    with console.capture() as printed:
        console.print(Debtor(debtor_id="d", first_name="Kari"))
    assert printed.get().strip() == "Debtor(debtor_id='d', first_name=...)"


def test_a_repr_shows_no_bytes_as_received() -> None:
    assert repr(UnknownEntry(type="t", raw=b"Kari")) == "UnknownEntry(type='t', raw=...)"
    assert "Kari" not in repr(FailedEntry(raw=b"Kari", message="Kari is unknown", reference="Kari"))


def test_what_is_sent_shows_no_member_that_the_caller_added() -> None:
    invoice = NewInvoice(invoice_number="1", original_invoice_amount=Decimal(1), extra={"debtor": "Kari"})
    assert "Kari" not in repr(invoice)
