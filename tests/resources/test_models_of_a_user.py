"""``model=``: reads hand out a user's own subclass, with the members that it names."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_type

import pytest
from aioresponses import aioresponses

from amili_async import AmiliClient, Batch, Case, InvalidArgumentError, Invoice, Pager, Settlement, encode

if TYPE_CHECKING:
    from collections.abc import Callable

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


READS: dict[str, tuple[str, Callable[[AmiliClient], Any], bytes]] = {
    "invoices.get": ("/invoices/i", lambda amili: amili.invoices.get("o", "i", model=MyInvoice), b'"id":"i"'),
    "settlements.get": ("/settlements/s", a_settlement, b'"settlementId":"s"'),
    "batches.get": ("/batches/b", lambda amili: amili.batches.get("o", "b", model=MyBatch), b'"batchId":"b"'),
    "invoices.list": ("/invoices", lambda amili: amili.invoices.list("o", model=MyInvoice).first(), b'"id":"i"'),
    "cases.list": ("/cases", lambda amili: amili.cases.list("o", model=MyCase).first(), b'"caseId":"c"'),
    "settlements.list": ("/settlements", first_settlement, b'"settlementId":"s"'),
    "batches.list": ("/batches", lambda amili: amili.batches.list("o", model=MyBatch).first(), b'"batchId":"b"'),
}


@pytest.mark.parametrize("operation", READS)
async def test_a_read_hands_out_the_class_that_was_asked_for(operation: str) -> None:
    path, read, key = READS[operation]
    row = b"{" + key + b',"interest":12.50,"other":1.0}'
    data = b"[" + row + b"]" if operation.endswith("list") else row
    with aioresponses() as scripted:
        scripted.get(f"{BASE}/orgs/o{path}", body=b'{"data":' + data + b"}")  # pyright: ignore[reportUnknownMemberType]  # half typed
        async with AmiliClient("token", base_url=BASE) as amili:
            found = await read(amili)
    assert isinstance(found, MyInvoice | MyCase | MySettlement | MyBatch)
    assert found.interest == Decimal("12.50")
    assert dict(found.extra) == {"other": Decimal("1.0")}
    assert encode(found) == row


@pytest.mark.parametrize("model", [Invoice, MyInvoice, str, "Batch", Batch(batch_id="b"), list[Batch]])
async def test_any_other_class_is_refused_before_anything_is_sent(model: Any) -> None:
    async with AmiliClient("token", base_url=BASE) as amili:
        with pytest.raises(InvalidArgumentError, match="model must be a subclass of Batch: class MyBatch"):
            amili.batches.list("o", model=model)
        with pytest.raises(InvalidArgumentError, match="model must be a subclass of Batch"):
            await amili.batches.get("o", "b", model=model)


async def test_a_type_checker_knows_what_comes_out() -> None:
    async with AmiliClient("token", base_url=BASE) as amili:
        assert_type(amili.invoices.list("o"), Pager[Invoice])
        assert_type(amili.invoices.list("o", model=MyInvoice), Pager[MyInvoice])
        assert_type(amili.cases.list("o", model=MyCase), Pager[MyCase])
        assert_type(amili.settlements.list("o", model=MySettlement), Pager[MySettlement])
        assert_type(amili.batches.list("o", model=MyBatch), Pager[MyBatch])
        assert_type(amili.batches.list_all(model=MyBatch), Pager[MyBatch])


async def of_a_single_read(amili: AmiliClient) -> None:
    """Never run: what a type checker makes of single reads."""
    assert_type(await amili.invoices.get("o", "i"), Invoice)
    assert_type(await amili.invoices.get("o", "i", model=MyInvoice), MyInvoice)
    assert_type(await amili.settlements.get("o", "s", model=MySettlement), MySettlement)
    assert_type(await amili.batches.get_by_id("b", model=MyBatch), MyBatch)
