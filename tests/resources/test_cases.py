from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amili_async import AmiliClient, BadRequestError, Case

if TYPE_CHECKING:
    from amili_async.sandbox import Sandbox


async def test_cases_are_walked_and_filtered(client: AmiliClient, sandbox: Sandbox, organization: str) -> None:
    everything = await client.cases.list(organization, page_size=2).collect()
    assert len(everything) > 5
    assert all(isinstance(case, Case) and case.debtors and case.invoices for case in everything)
    assert sandbox.requests.count("cases.list") > 2
    number = everything[3].case_number
    assert number is not None
    assert await client.cases.list(organization, case_number=number).collect() == [everything[3]]
    pager = client.cases.list(organization, page_size=2, limit=3)
    assert await pager.collect() == everything[:3]
    assert await client.cases.list(organization, page_size=2, cursor=pager.cursor).collect() == everything[3:]


@pytest.mark.filterwarnings("ignore::amili_async.UnconfirmedRouteWarning")
async def test_actions_on_cases(client: AmiliClient, sandbox: Sandbox, organization: str) -> None:
    case = (await client.cases.list(organization, status="OPEN").collect())[0]
    assert await client.cases.pause(organization, case.case_id, json={"until": "2025-01-01"}) is None
    assert sandbox.requests.last().body == b'{"until":"2025-01-01"}'
    assert await client.cases.resume(organization, case.case_id) is None
    assert sandbox.requests.last().body == b""
    with pytest.raises(BadRequestError):
        await client.cases.resume(organization, case.case_id)
    for act in (
        client.cases.accept_debt_collection_list,
        client.cases.accept_eviction_request,
        client.cases.reject_eviction_request,
        client.cases.accept_eviction_confirmation,
        client.cases.reject_eviction_confirmation,
        client.cases.reject_debt_collection_list,
        client.cases.withdraw,
    ):
        assert await act(organization, case.case_id) is None
        assert sandbox.requests.last().operation == f"cases.{act.__name__}"
