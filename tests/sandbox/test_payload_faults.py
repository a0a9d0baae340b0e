from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from amili_async.sandbox import Fault

if TYPE_CHECKING:
    from amili_async.sandbox._faults import Kind
    from tests.support.raw_client import RawClient


async def tokens(raw: RawClient, steps: int, **query: str) -> list[str | None]:
    """Walk so many pages and return the tokens that they handed out."""
    handed: list[str | None] = []
    token: str | None = None
    for _ in range(steps):
        response = await raw.batches(**query, **({"PageToken": token} if token else {}))
        assert response.status == 200
        token = response.token
        handed.append(token)
    return handed


async def test_a_repeated_token_is_the_one_that_the_page_was_asked_with(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:repeat-token")
    first, second, third = await tokens(raw, 3)
    assert first is not None
    assert first == second == third


async def test_tokens_go_round_in_a_cycle(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:cycle-tokens")
    to_second, to_third, *rest = await tokens(raw, 6, PageSize="4")
    assert to_second != to_third
    assert rest == [to_second, to_third, to_second, to_third]


async def test_tokens_lead_back_from_any_page_on(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:cycle-tokens,skip=2")
    handed = await tokens(raw, 8, PageSize="4")
    assert len(set(handed)) == 4
    assert handed[4:] == [handed[2], handed[1], handed[0], handed[1]]


async def test_an_empty_page_leads_to_the_rows_that_were_due(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:empty-page,count=1", "batches.list:empty-page,page=2,count=2")
    response = await raw.batches()
    assert response.rows == []
    assert response.token
    rows = await raw.walk(f"/orgs/{raw.organization}/batches")
    assert [row["batchId"] for row in rows] == raw.sandbox.batch_ids()[::-1]
    assert raw.sandbox.requests.count() == 1 + 3 + 2


async def test_an_expired_token_is_refused_once(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:expire-token,count=1")
    token = (await raw.batches()).token or ""
    assert (await raw.batches(PageToken=token)).status == 400
    assert (await raw.batches(PageToken=token)).status == 200


async def test_a_row_comes_twice_over_two_pages(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:duplicate-row,count=1")
    rows = [row["batchId"] for row in await raw.walk(f"/orgs/{raw.organization}/batches")]
    assert rows[9] == rows[10]
    assert rows[:10] + rows[11:] == raw.sandbox.batch_ids()[::-1]


@pytest.mark.parametrize(("kind", "token"), [("last-null", None), ("last-empty", ""), ("last-absent", "-")])
async def test_only_the_last_page_is_marked_otherwise(raw: RawClient, kind: Kind, token: str | None) -> None:
    raw.sandbox.faults.add(Fault("batches.list", kind))
    assert (await raw.batches()).token
    last = await raw.batches(PageSize="100")
    assert last.json["summary"].get("nextPageToken", "-") == token


async def damaged(raw: RawClient, kind: Kind, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the right row and the damaged one, and check that no other row was touched."""
    right = (await raw.batches()).rows
    with raw.sandbox.faults.during(Fault("batches.list", kind, **options)):
        wrong = (await raw.batches()).rows
    index: int = options.get("row", 5)
    assert len(right) == len(wrong)
    assert [n for n, (one, other) in enumerate(zip(right, wrong, strict=True)) if one != other] == [index]
    return right[index], wrong[index]


async def test_a_bad_row_is_bad_in_its_lists_and_moments(raw: RawClient) -> None:
    right, wrong = await damaged(raw, "bad-row")
    assert right.keys() == wrong.keys()
    assert (wrong["succeeded"], wrong["failed"], wrong["createdAt"]) == (7, 7, {})


async def test_the_row_can_be_chosen(raw: RawClient) -> None:
    await damaged(raw, "bad-row", row=9)
    raw.sandbox.faults.add(Fault("batches.list", "bad-row", row=10, count=1))
    assert (await raw.batches()).status == 200
    assert raw.sandbox.faults.pending


async def test_a_lax_row_asks_for_leniency(raw: RawClient) -> None:
    right, wrong = await damaged(raw, "lenient-row")
    assert wrong["createdAt"] == right["createdAt"][:10]
    assert wrong["createdBy"] == 4711
    assert wrong["failed"] is None


async def test_an_entry_of_a_new_type_comes_first(raw: RawClient) -> None:
    right, wrong = await damaged(raw, "unknown-type")
    assert wrong["succeeded"][0]["$type"] == "sandboxNovelty"
    assert wrong["succeeded"][1:] == right["succeeded"]


async def test_enum_values_can_be_new(raw: RawClient) -> None:
    _, wrong = await damaged(raw, "unknown-value")
    assert wrong["type"] == wrong["status"] == "SANDBOX_NOVELTY"


async def test_members_can_be_new_in_row_and_summary(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:unknown-member")
    response = await raw.batches()
    assert response.rows[5]["sandboxMember"] == response.json["summary"]["sandboxMember"] == {"deep": [1, "two", None]}
    assert response.token


async def test_single_reads_are_damaged_too(raw: RawClient) -> None:
    batch_id = raw.sandbox.batch_ids()[3]
    raw.sandbox.faults.add("batches.get*:bad-row")
    response = await raw.ask(f"/batches/{batch_id}")
    assert response.json["data"]["succeeded"] == 7
    assert response.json["summary"] == {"status": "SUCCESS"}


async def test_a_refusal_has_no_rows_to_damage(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.*:bad-row")
    assert (await raw.ask("/orgs/nobody/batches")).status == 404
    raw.sandbox.faults.add("batches.*:repeat-token")
    assert (await raw.ask(f"/batches/{raw.sandbox.batch_ids()[0]}")).status == 200


async def test_what_is_no_object_in_an_envelope_has_no_row_to_damage(raw: RawClient) -> None:
    raw.sandbox.faults.add("autocollect.*:bad-row")
    for path in ("Ping", "Attachment?attachmentid=1", "Batch"):
        response = await raw.ask("", url=f"{raw.sandbox.autocollect_url}/webapi/api/{path}")
        assert response.status == 200
    assert [request.fault for request in raw.sandbox.requests] == [None, None, None]


async def test_json_that_ends_early_is_well_framed(raw: RawClient) -> None:
    right = (await raw.batches()).body
    raw.sandbox.faults.add("batches.list:truncate")
    response = await raw.batches()
    assert right.startswith(response.body)
    assert int(response.headers["Content-Length"]) == len(response.body) < len(right)


@pytest.mark.parametrize("operation", ["batches.list", "token"])
async def test_corrupt_json_is_as_long_as_the_right_one_and_no_json(raw: RawClient, operation: str) -> None:
    right = (await raw.batches()).body
    raw.sandbox.faults.add(f"{operation}:corrupt")
    response = await raw.batches()
    assert len(response.body) == len(right)
    if operation == "batches.list":
        with pytest.raises(json.JSONDecodeError):
            json.loads(response.body)


async def test_what_has_no_members_is_corrupt_at_its_start(raw: RawClient) -> None:
    raw.sandbox.faults.add("autocollect.ping:corrupt")
    response = await raw.ask("", url=f"{raw.sandbox.autocollect_url}/webapi/api/Ping")
    assert response.body == b'#"pong"'


@pytest.mark.parametrize(
    ("text", "status", "content_type", "body"),
    [
        ("batches.list:empty", 200, None, b""),
        ("batches.list:html", 200, "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("batches.list:html,status=502", 502, "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("batches.list:wrong-schema", 200, "application/json; charset=utf-8", b'{"hello"'),
        ("batches.list:wrong-content-type", 200, "text/plain; charset=utf-8", b'{"summary"'),
        ("batches.list:content_type=application/xml", 200, "application/xml", b'{"summary"'),
        ("batches.list:status=503", 503, "application/problem+json", b'{"type": "about:blank"'),
        ("batches.list:status=299", 299, None, b""),
        ("batches.list:body=hei", 200, "application/json; charset=utf-8", b"hei"),
        ("batches.list:status=799,body=x", None, None, b""),
    ],
)
async def test_the_answer_can_be_another(
    raw: RawClient, text: str, status: int | None, content_type: str | None, body: bytes
) -> None:
    if status is None:
        with pytest.raises(ValueError, match="status must be"):
            raw.sandbox.faults.add(text)
        return
    raw.sandbox.faults.add(text)
    response = await raw.batches()
    assert response.status == status
    assert response.headers.get("Content-Type") == content_type
    assert response.body.startswith(body)
    assert raw.sandbox.requests.last().fault == str(Fault.parse(text))


async def test_headers_are_added_to_the_right_answer_or_to_another(raw: RawClient) -> None:
    raw.sandbox.faults.add(
        Fault("batches.list", status=429, retry_after=2.5, count=1),
        Fault("batches.list", status=302, location="https://elsewhere.example/", count=1),
        Fault("batches.list", retry_after="Wed, 21 Oct 2026 07:28:00 GMT", headers={"X-One": "1"}, count=1),
    )
    limited, moved, right = [await raw.batches() for _ in range(3)]
    assert (limited.status, limited.headers["Retry-After"]) == (429, "2.5")
    assert (moved.status, moved.headers["Location"], moved.body) == (302, "https://elsewhere.example/", b"")
    assert (right.status, right.headers["X-One"]) == (200, "1")
    assert right.headers["Retry-After"] == "Wed, 21 Oct 2026 07:28:00 GMT"


async def test_a_faults_own_header_takes_the_place_of_the_usual_one_however_it_is_spelled(raw: RawClient) -> None:
    raw.sandbox.faults.add(Fault("batches.list", headers={"date": "Thu, 01 Jan 2026 00:00:00 GMT"}))
    answer = await raw.batches()
    assert [value for name, value in answer.headers.items() if name.lower() == "date"] == [
        "Thu, 01 Jan 2026 00:00:00 GMT"
    ]
    assert answer.status == 200
