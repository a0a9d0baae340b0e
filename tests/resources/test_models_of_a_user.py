"""``model=``: reads hand out a user's own subclass, with the members that it names."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, assert_type

import pytest
from aioresponses import aioresponses

from amili_async import AmiliClient, Batch, Case, InvalidArgumentError, Invoice, Pager, Settlement, Stream, encode

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

BASE = "https://api.example/collection/v1"


class MyInvoice(Invoice, frozen=True, kw_only=True):
    interest: Decimal | None = None


class MyCase(Case, frozen=True, kw_only=True):
    interest: Decimal | None = None


class MySettlement(Settlement, frozen=True, kw_only=True):
    interest: Decimal | None = None


class MyBatch(Batch, frozen=True, kw_only=True):
    interest: Decimal | None = None


async def a_settlement(amili: AmiliClient) -> MySettlement:
    return await amili.settlements.get("o", "s", model=MySettlement)


async def first_settlement(amili: AmiliClient) -> MySettlement | None:
    return await amili.settlements.list("o", model=MySettlement).first()


async def only(stream: Stream[tuple[str, T]]) -> T:
    ((organization, row),) = await stream.collect()
    assert organization == "o"
    return row


async def last(stream: Stream[T]) -> T:
    return (await stream.collect())[-1]


READS: dict[str, tuple[str, Callable[[AmiliClient], Any], bytes]] = {
    "invoices.get": ("/invoices/i", lambda amili: amili.invoices.get("o", "i", model=MyInvoice), b'"id":"i"'),
    "settlements.get": ("/settlements/s", a_settlement, b'"settlementId":"s"'),
    "batches.get": ("/batches/b", lambda amili: amili.batches.get("o", "b", model=MyBatch), b'"batchId":"b"'),
    "invoices.list": ("/invoices", lambda amili: amili.invoices.list("o", model=MyInvoice).first(), b'"id":"i"'),
    "cases.list": ("/cases", lambda amili: amili.cases.list("o", model=MyCase).first(), b'"caseId":"c"'),
    "settlements.list": ("/settlements", first_settlement, b'"settlementId":"s"'),
    "batches.list": ("/batches", lambda amili: amili.batches.list("o", model=MyBatch).first(), b'"batchId":"b"'),
    "invoices.stream": ("/invoices", lambda amili: only(amili.invoices.stream(["o"], model=MyInvoice)), b'"id":"i"'),
    "cases.stream": ("/cases", lambda amili: only(amili.cases.stream(["o"], model=MyCase)), b'"caseId":"c"'),
    "settlements.stream": (
        "/settlements",
        lambda amili: only(amili.settlements.stream(["o"], model=MySettlement)),
        b'"settlementId":"s"',
    ),
    "batches.stream": ("/batches", lambda amili: only(amili.batches.stream(["o"], model=MyBatch)), b'"batchId":"b"'),
}

FINAL = b'"batchId":"b","status":"SUCCESS"'

WAITS: dict[str, Callable[[AmiliClient], Any]] = {
    "wait": lambda amili: amili.batches.wait("b", organization_id="o", model=MyBatch),
    "watch": lambda amili: last(amili.batches.watch("b", organization_id="o", model=MyBatch)),
    "wait_all": lambda amili: last(amili.batches.wait_all(["b"], organization_id="o", model=MyBatch)),
}


@pytest.mark.parametrize("operation", READS)
async def test_a_read_hands_out_the_class_that_was_asked_for(operation: str) -> None:
    path, read, key = READS[operation]
    row = b"{" + key + b',"interest":12.50,"other":1.0}'
    data = row if operation.endswith("get") else b"[" + row + b"]"
    with aioresponses() as scripted:
        scripted.get(f"{BASE}/orgs/o{path}", body=b'{"data":' + data + b"}")  # pyright: ignore[reportUnknownMemberType]  # half typed
        async with AmiliClient("token", base_url=BASE) as amili:
            found = await read(amili)
    assert isinstance(found, MyInvoice | MyCase | MySettlement | MyBatch)
    assert found.interest == Decimal("12.50")
    assert dict(found.extra) == {"other": Decimal("1.0")}
    assert encode(found) == row


@pytest.mark.parametrize("way", WAITS)
async def test_a_wait_hands_out_the_class_that_was_asked_for(way: str) -> None:
    with aioresponses() as scripted:
        scripted.get(f"{BASE}/orgs/o/batches/b", body=b'{"data":{' + FINAL + b',"interest":12.50,"other":1.0}}')  # pyright: ignore[reportUnknownMemberType]  # half typed
        async with AmiliClient("token", base_url=BASE) as amili:
            found = await WAITS[way](amili)
    assert isinstance(found, MyBatch)
    assert found.interest == Decimal("12.50")
    assert dict(found.extra) == {"other": Decimal("1.0")}


@pytest.mark.parametrize("model", [Invoice, MyInvoice, str, "Batch", Batch(batch_id="b"), list[Batch]])
async def test_any_other_class_is_refused_before_anything_is_sent(model: Any) -> None:
    async with AmiliClient("token", base_url=BASE) as amili:
        with pytest.raises(InvalidArgumentError, match="model must be a subclass of Batch: class MyBatch"):
            amili.batches.list("o", model=model)
        with pytest.raises(InvalidArgumentError, match="model must be a subclass of Batch"):
            await amili.batches.get("o", "b", model=model)
        with pytest.raises(InvalidArgumentError, match="model must be a subclass of Batch"):
            amili.batches.stream(["o"], model=model)
        with pytest.raises(InvalidArgumentError, match="model must be a subclass of Batch"):
            amili.batches.watch("b", model=model)
        with pytest.raises(InvalidArgumentError, match="model must be a subclass of Batch"):
            amili.batches.wait_all(["b"], model=model)


async def test_a_type_checker_knows_what_comes_out() -> None:
    async with AmiliClient("token", base_url=BASE) as amili:
        assert_type(amili.invoices.list("o"), Pager[Invoice])
        assert_type(amili.invoices.list("o", model=MyInvoice), Pager[MyInvoice])
        assert_type(amili.cases.list("o", model=MyCase), Pager[MyCase])
        assert_type(amili.settlements.list("o", model=MySettlement), Pager[MySettlement])
        assert_type(amili.batches.list("o", model=MyBatch), Pager[MyBatch])
        assert_type(amili.batches.list_all(model=MyBatch), Pager[MyBatch])
        assert_type(amili.batches.stream(["o"], model=MyBatch), Stream[tuple[str, MyBatch]])
        assert_type(amili.invoices.stream(["o"], model=MyInvoice), Stream[tuple[str, MyInvoice]])
        assert_type(amili.cases.stream(["o"], model=MyCase), Stream[tuple[str, MyCase]])
        assert_type(amili.settlements.stream(["o"], model=MySettlement), Stream[tuple[str, MySettlement]])


async def of_a_single_read(amili: AmiliClient) -> None:
    """Never run: what a type checker makes of single reads."""
    assert_type(await amili.invoices.get("o", "i"), Invoice)
    assert_type(await amili.invoices.get("o", "i", model=MyInvoice), MyInvoice)
    assert_type(await amili.settlements.get("o", "s", model=MySettlement), MySettlement)
    assert_type(await amili.batches.get_by_id("b", model=MyBatch), MyBatch)
