"""Operations of which only the names are public answer with what came, and invent nothing."""

from __future__ import annotations

import pytest

from amili_async import AmiliClient, OutcomeUnknownError
from amili_async.sandbox import Fault, Sandbox

pytestmark = [
    pytest.mark.filterwarnings("ignore::amili_async.UnconfirmedRouteWarning"),
    pytest.mark.amili(generation="G1"),
]


async def test_the_reports_of_an_organization(client: AmiliClient, organization: str) -> None:
    reports = await client.organizations.reports(organization)
    assert isinstance(reports.data, list)
    assert b'"reportId"' in reports.raw


async def test_whether_amili_is_there(client: AmiliClient) -> None:
    assert (await client.status.ping()).data == {"message": "pong"}
    assert (await client.status.ping_authorized()).data == {"message": "pong"}
    assert (await client.status.health()).data == {"status": "Healthy"}


async def test_the_call_to_banqsoft(client: AmiliClient, sandbox: Sandbox) -> None:
    answer = await client.banqsoft.call({"account": "1", "sum": 1.5})
    assert answer.data == {"received": {"account": "1", "sum": answer.data["received"]["sum"]}}  # type: ignore[index]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]  # of no documented shape
    assert sandbox.requests.last().body == b'{"account":"1","sum":1.5}'
    await client.banqsoft.call()
    assert sandbox.requests.last().body == b""
    sandbox.faults.add(Fault("banqsoft.call", "close"))
    with pytest.raises(OutcomeUnknownError):
        await client.banqsoft.call()
