from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.raw_client import RawClient, RawResponse


async def ask(raw: RawClient, path: str, **options: Any) -> RawResponse:
    return await raw.ask("", url=raw.sandbox.autocollect_url + path, **options)


async def test_a_batch_holds_creditors_cases_and_settlements_without_an_envelope(raw: RawClient) -> None:
    batch = (await ask(raw, "/webapi/api/Batch", params={"senderid": "1", "includeclosed": "true"})).json
    assert batch.keys() == {"batchid", "offline", "creditor", "case", "settlement"}
    assert batch["creditor"][0]["contact"].keys() >= {"fullname", "workphone", "email", "isweb"}
    assert len(batch["case"]) > 100
    case = batch["case"][0]
    assert case.keys() >= {"customerref", "ledgerref", "casenumber", "originalsum", "history", "paymentDetails"}
    assert case["history"][0].keys() == {"type", "loggedat", "message", "subject", "conversationid", "attachmentid"}
    assert list(batch["settlement"][0])[:2] == ["creditorid", "customerref"]


@pytest.mark.amili(undocumented=True)
async def test_closed_cases_come_only_when_asked_for(raw: RawClient) -> None:
    some = (await ask(raw, "/webapi/api/Batch")).json["case"]
    every = (await ask(raw, "/webapi/api/Batch", params={"includeclosed": "True"})).json["case"]
    assert 0 < len(some) < len(every)
    assert all(case["closuredate"] is None for case in some)


async def test_a_case_is_found_by_its_references(raw: RawClient) -> None:
    case = (await ask(raw, "/webapi/api/Batch")).json["case"][2]
    for name in ("customerref", "ledgerref"):
        found = (await ask(raw, "/webapi/api/Batch", params={name: case[name]})).json["case"]
        assert case in found
        assert all(other[name] == case[name] for other in found)


async def test_a_creditor_is_named_by_id_or_number(raw: RawClient) -> None:
    second = raw.sandbox.organization_ids[1]
    by_id = (await ask(raw, "/webapi/api/Batch", params={"creditorid": second})).json
    number = by_id["creditor"][0]["idnumber"]
    assert (await ask(raw, "/webapi/api/Batch", params={"creditorid": number})).json == by_id
    assert by_id["creditor"][0]["sourceid"] == second
    assert (await ask(raw, "/webapi/api/Batch", params={"creditorid": "nobody"})).status == 404


async def test_a_batch_that_is_sent_is_answered_case_by_case(raw: RawClient) -> None:
    response = await ask(
        raw,
        "/webapi/api/Batch",
        method="POST",
        params={"senderid": "1"},
        data=b'{"case":[{"ledgerref":"A"},{"ledgerref":""},7]}',
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert response.json == {
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
async def test_a_batch_that_cannot_be_is_refused(raw: RawClient, content_type: str, body: bytes, status: int) -> None:
    response = await ask(raw, "/webapi/api/Batch", method="POST", data=body, headers={"Content-Type": content_type})
    assert response.status == status


async def test_an_attachment_is_a_file(raw: RawClient) -> None:
    response = await ask(raw, "/webapi/api/Attachment", params={"attachmentid": "1"})
    assert response.headers["Content-Type"] == "application/pdf"
    assert response.body.startswith(b"%PDF")
    assert (await ask(raw, "/webapi/api/Attachment")).status == 400


async def test_a_ping_is_answered(raw: RawClient) -> None:
    assert (await ask(raw, "/webapi/api/Ping")).json == "pong"
