"""AutoCollect: the older API, at its own address, with Basic or bearer."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from amili_async import (
    AmiliClient,
    AutoCollectBatch,
    AutoCollectCase,
    ConfigurationError,
    DecodeError,
    Drift,
    InvalidArgumentError,
    OutcomeUnknownError,
    UnauthorizedError,
    UnconfirmedRouteWarning,
)
from amili_async.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.factories import ClientFactory


async def test_the_batch_is_read_whole_and_as_documented(make_client: ClientFactory, sandbox: Sandbox) -> None:
    class Listener:
        def on_drift(self, drift: Drift, /) -> None:
            pytest.fail(str(drift))

    batch = await make_client(hooks=[Listener()]).autocollect.get_batch(include_closed=True)
    assert batch.creditors[0].contact is not None
    assert len(batch.cases) > 5
    assert all(isinstance(case.original_sum, Decimal) and case.case_number for case in batch.cases)
    assert batch.cases[0].history[0].attachment_id == batch.cases[0].case_number
    assert sandbox.requests.last().authorization == "Bearer"


async def test_basic_credentials_take_the_token_s_place_there_and_nowhere_else(
    client: AmiliClient, sandbox: Sandbox, organization: str
) -> None:
    older = client.autocollect.with_basic(*sandbox.credentials)
    await older.ping()
    assert sandbox.requests.last().authorization == "Basic"
    with pytest.raises(UnauthorizedError):
        await client.autocollect.with_basic("kari", "pass:wørd").ping()
    written = sandbox.requests.last().headers["authorization"]
    assert base64.b64decode(written.removeprefix("Basic ")).decode() == "kari:pass:wørd"
    assert repr(older) == "AutoCollect(basic)"
    assert repr(client.autocollect) == "AutoCollect(bearer)"
    await client.autocollect.ping()
    assert sandbox.requests.last().authorization == "Bearer"
    await client.batches.list(organization).first()
    assert sandbox.requests.last().authorization == "Bearer"


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("x", ""), ("a:b", "x")])
def test_credentials_that_basic_cannot_say_are_refused(client: AmiliClient, name: str, password: str) -> None:
    with pytest.raises(ConfigurationError, match="username and password"):
        client.autocollect.with_basic(name, password)


async def test_without_an_address_nothing_is_sent(make_client: ClientFactory, sandbox: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match="autocollect_url is not set"):
        await make_client(autocollect_url=None).autocollect.ping()
    assert len(sandbox.requests) == 0


async def test_a_batch_is_sent_with_the_documented_content_type(client: AmiliClient, sandbox: Sandbox) -> None:
    batch = AutoCollectBatch(
        cases=(AutoCollectCase(ledger_ref="L-1", original_sum=Decimal("10.00")), AutoCollectCase())
    )
    status = await client.autocollect.send_batch(batch, sender_id="s")
    request = sandbox.requests.last()
    assert request.headers["content-type"] == "application/json-patch+json"
    assert request.body == b'{"case":[{"ledgerref":"L-1","originalsum":10.00},{}]}'
    assert request.query == {"senderid": "s"}
    assert status.responses[0].ledger_ref == "L-1"
    assert status.errors[0].object_index == 1
    await client.autocollect.send_batch({"case": [{"ledgerref": "L-2", "new": True}]})
    assert sandbox.requests.last().body == b'{"case":[{"ledgerref":"L-2","new":true}]}'


@pytest.mark.parametrize(
    ("batch", "problems"),
    [
        (
            {"case": [{"originalsum": 10.5, "paidsum": Decimal("NaN")}]},
            ["batch.case[0].originalsum", "batch.case[0].paidsum"],
        ),
        (AutoCollectBatch(cases=(AutoCollectCase(reminders=[1.5]),)), ["batch.case[0].reminders[0]"]),
        (AutoCollectBatch(batch_id="\ud800"), ["batch.batchid"]),
        ({"a": object(), "b": {"c": (float("inf"),)}}, ["batch.a", "batch.b.c[0]"]),
        ([], ["batch"]),
        (None, ["batch"]),
    ],
)
async def test_what_cannot_be_sent_is_refused_all_at_once(
    client: AmiliClient, sandbox: Sandbox, batch: Any, problems: list[str]
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await client.autocollect.send_batch(batch)
    assert [problem.split()[0] for problem in caught.value.problems] == problems
    assert sandbox.requests.total == 0


async def test_a_batch_that_may_have_been_taken_is_not_sent_again(client: AmiliClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("autocollect.send_batch", "html"))
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.autocollect.send_batch(AutoCollectBatch())
    assert isinstance(caught.value.__cause__, DecodeError)
    assert sandbox.requests.count("autocollect.send_batch") == 1


async def test_an_attachment_is_its_bytes_or_a_file(client: AmiliClient, sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.warns(UnconfirmedRouteWarning):
        content = await client.autocollect.attachment("7")
    assert content.startswith(b"%PDF")
    assert sandbox.requests.last().headers["accept"] == "*/*"
    path = await client.autocollect.download("7", tmp_path / "letter.pdf")
    assert path.read_bytes() == content
    with pytest.raises(ConfigurationError, match="path is a folder"):
        await client.autocollect.download("7", tmp_path)
