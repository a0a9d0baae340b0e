from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, ConfigurationError, NotFoundError, Settlement

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox


async def test_settlements_are_walked_with_the_names_that_only_they_have(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    everything = await client.settlements.list(organization, page_size=2).collect()
    assert len(everything) > 4
    assert all(isinstance(settlement, Settlement) and settlement.settlement_id for settlement in everything)
    queries = [request.query for request in sandbox.requests.of("settlements.list")]
    assert queries[0] == {"pageSize": "2"}
    assert all(set(query) == {"pageSize", "pageToken"} for query in queries[1:])
    pager = client.settlements.list(organization, page_size=2, limit=3)
    assert await pager.collect() == everything[:3]
    assert await client.settlements.list(organization, page_size=2, cursor=pager.cursor).collect() == everything[3:]


async def test_days_narrow_a_list(client: AmiliClient, organization: str) -> None:
    everything = await client.settlements.list(organization).collect()
    days = sorted({day for settlement in everything if (day := settlement.settlement_date)})
    first = await client.settlements.list(organization, to_date=days[0]).collect()
    rest = await client.settlements.list(organization, from_date=days[0] + timedelta(days=1)).collect()
    assert {settlement.settlement_date for settlement in first} == {days[0]}
    assert len(first) + len(rest) == len(everything)
    with pytest.raises(ConfigurationError, match="to_date is not ISO 8601"):
        client.settlements.list(organization, to_date="yesterday")


async def test_a_single_settlement(client: AmiliClient, organization: str) -> None:
    settlement = await client.settlements.list(organization).first()
    assert settlement is not None
    assert settlement.settlement_id is not None
    assert await client.settlements.get(organization, settlement.settlement_id) == settlement
    with pytest.raises(NotFoundError):
        await client.settlements.get(organization, "4f163819-178d-470c-a246-d6768476a6ec")
