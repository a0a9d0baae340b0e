"""What all models share: frozen, keyword-only, silent about people."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest

import amili_async
import amili_async.models as models_package
from amili_async import (
    Accepted,
    AutoCollectCase,
    Case,
    Debtor,
    FailedEntry,
    Invoice,
    NewInvoice,
    Settlement,
    UnknownEntry,
)
from amili_async.models import Model
from amili_async.models._base import lower
from amili_async.models._received import Received, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator


class Plain(Model, frozen=True, kw_only=True):
    """A model of a user's own that keeps nothing raw."""

    some_amount: Decimal


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
    assert kind.__struct_config__.omit_defaults or issubclass(kind, Whole)
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
        Accepted("batch")  # type: ignore[call-arg,arg-type]  # pyright: ignore[reportCallIssue]  # what it refuses


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
    assert repr(UnknownEntry(type="t", raw=b"Kari")) == "UnknownEntry(raw=..., type='t')"
    assert "Kari" not in repr(FailedEntry(raw=b'{"message":"Kari"}'))


def test_what_is_sent_shows_no_member_that_the_caller_added() -> None:
    invoice = NewInvoice(invoice_number="1", original_invoice_amount=Decimal(1), extra={"debtor": "Kari"})
    assert "Kari" not in repr(invoice)


@pytest.mark.parametrize("written", [b"5000001", b'"5000001"'])
def test_a_case_number_is_text_however_it_is_written(written: bytes) -> None:
    case = msgspec.json.decode(b'{"caseId": "c", "caseNumber": ' + written + b"}", type=Case)
    assert case.case_number == "5000001"
    settlement = msgspec.json.decode(b'{"caseNumber": ' + written + b"}", type=Settlement)
    assert settlement.case_number == "5000001"
    invoice = msgspec.json.decode(b'{"id": "i", "collectionCaseNumber": ' + written + b"}", type=Invoice)
    assert invoice.collection_case_number == "5000001"
    old = msgspec.json.decode(b'{"casenumber": ' + written + b"}", type=AutoCollectCase)
    assert old.case_number == "5000001"


def test_leading_zeros_of_a_text_stay() -> None:
    assert msgspec.json.decode(b'{"caseNumber": "007"}', type=Settlement).case_number == "007"


@pytest.mark.parametrize(
    "kind", [kind for kind in MODELS if issubclass(kind, Received)], ids=lambda kind: kind.__name__
)
def test_every_member_that_may_be_a_number_or_text_is_named(kind: type[Received]) -> None:
    mixed = {field.name for field in msgspec.structs.fields(kind) if "int | str" in str(field.type)}
    assert mixed == set(kind.numbers)


@pytest.mark.parametrize("name", models_package.__all__)
def test_a_public_name_names_the_public_module(name: str) -> None:
    public = getattr(models_package, name)
    # ``OpenValue`` is an alias for type checkers, and plain ``object`` as the program runs.
    assert not isinstance(public, type) or public is object or public.__module__ == "amili_async.models"


@pytest.mark.parametrize(("name", "spelt"), [("object_name", "objectname"), ("status", "status"), ("a_b_c", "abc")])
def test_names_are_spelt_without_underscores(name: str, spelt: str) -> None:
    assert lower(name) == spelt


def test_a_model_of_a_user_s_own_is_written_by_its_fields() -> None:
    assert models_package.encode(Plain(some_amount=Decimal("1.00"))) == b'{"someAmount":1.00}'
