from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller, Said


async def ask(caller: Caller, path: str, **options: Any) -> Said:
    return await caller.ask("", url=caller.sandbox.autocollect_url + path, **options)


async def test_a_batch_holds_creditors_cases_and_settlements_without_an_envelope(caller: Caller) -> None:
    batch = (await ask(caller, "/webapi/api/Batch", params={"senderid": "1", "includeclosed": "true"})).json
    assert batch.keys() == {"batchid", "offline", "creditor", "case", "settlement"}
    assert batch["creditor"][0]["contact"].keys() >= {"fullname", "workphone", "email", "isweb"}
    assert len(batch["case"]) > 100
    case = batch["case"][0]
    assert case.keys() >= {"customerref", "ledgerref", "casenumber", "originalsum", "history", "paymentDetails"}
    assert case["history"][0].keys() == {"type", "loggedat", "message", "subject", "conversationid", "attachmentid"}
    assert list(batch["settlement"][0])[:2] == ["creditorid", "customerref"]


async def test_closed_cases_come_only_when_asked_for(caller: Caller) -> None:
    some = (await ask(caller, "/webapi/api/Batch")).json["case"]
    every = (await ask(caller, "/webapi/api/Batch", params={"includeclosed": "True"})).json["case"]
    assert 0 < len(some) < len(every)
    assert all(case["closuredate"] is None for case in some)


async def test_a_case_is_found_by_its_references(caller: Caller) -> None:
    case = (await ask(caller, "/webapi/api/Batch")).json["case"][2]
    for name in ("customerref", "ledgerref"):
        found = (await ask(caller, "/webapi/api/Batch", params={name: case[name]})).json["case"]
        assert case in found
        assert all(other[name] == case[name] for other in found)


async def test_a_creditor_is_named_by_id_or_number(caller: Caller) -> None:
    second = caller.sandbox.organization_ids[1]
    by_id = (await ask(caller, "/webapi/api/Batch", params={"creditorid": second})).json
    number = by_id["creditor"][0]["idnumber"]
    assert (await ask(caller, "/webapi/api/Batch", params={"creditorid": number})).json == by_id
    assert by_id["creditor"][0]["sourceid"] == second
    assert (await ask(caller, "/webapi/api/Batch", params={"creditorid": "nobody"})).status == 404


async def test_a_batch_that_is_sent_is_answered_case_by_case(caller: Caller) -> None:
    said = await ask(
        caller,
        "/webapi/api/Batch",
        method="POST",
        params={"senderid": "1"},
        data=b'{"case":[{"ledgerref":"A"},{"ledgerref":""},7]}',
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert said.json == {
        "statuscode": 2,
        "errors": [
            {"objectname": "case", "objectindex": 1, "message": "ledgerref is missing"},
            {"objectname": "case", "objectindex": 2, "message": "ledgerref is missing"},
        ],
        "responses": [{"objectname": "case", "objectindex": 0, "ledgerref": "A", "status_statuscode": "0"}],
    }


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 400),
        ("application/json-patch+json", b"{", 400),
        ("application/json-patch+json", b"[]", 400),
        ("application/json-patch+json", b'{"case":7}', 400),
        ("application/json-patch+json", b"{}", 200),
    ],
)
async def test_a_batch_that_cannot_be_is_refused(caller: Caller, content_type: str, body: bytes, status: int) -> None:
    said = await ask(caller, "/webapi/api/Batch", method="POST", data=body, headers={"Content-Type": content_type})
    assert said.status == status


async def test_an_attachment_is_a_file(caller: Caller) -> None:
    said = await ask(caller, "/webapi/api/Attachment", params={"attachmentid": "1"})
    assert said.headers["Content-Type"] == "application/pdf"
    assert said.body.startswith(b"%PDF")
    assert (await ask(caller, "/webapi/api/Attachment")).status == 400


async def test_a_ping_is_answered(caller: Caller) -> None:
    assert (await ask(caller, "/webapi/api/Ping")).json == "pong"
