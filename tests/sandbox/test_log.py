from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from amili_async.sandbox import RequestLog, Sandbox
from amili_async.sandbox._log import LoggedRequest
from tests.support.virtual_time import virtual_loop

if TYPE_CHECKING:
    from tests.support.raw_client import RawClient


def logged(operation: str, started: float, ended: float | None, target: str = "/") -> LoggedRequest:
    request = LoggedRequest(
        number=1, connection=1, method="GET", target=target, head=b"GET / HTTP/1.1", body=b"", started=started
    )
    request.operation, request.ended = operation, ended
    return request


def log_of(*requests: LoggedRequest, limit: int | None = None) -> RequestLog:
    log = RequestLog(limit)
    for request in requests:
        log.append(request)
    return log


async def test_a_request_is_written_down_as_it_came(raw: RawClient) -> None:
    await raw.batches(State="FAILED", PageSize="5")
    request = raw.sandbox.requests[0]
    assert request.number == 1
    assert (request.method, request.operation) == ("GET", "batches.list")
    assert request.route == "/orgs/{organization_id}/batches"
    assert request.path == f"/collection/v1/orgs/{raw.organization}/batches"
    assert request.segments == ["collection", "v1", "orgs", raw.organization, "batches"]
    assert request.query == {"State": "FAILED", "PageSize": "5"}
    assert request.authorization == "Bearer"
    assert request.headers["host"] == f"127.0.0.1:{raw.sandbox.port}"
    assert "cookie" not in request.headers
    assert request.body == b""
    assert request.status == 200
    assert request.ended is not None
    assert request.ended >= request.started
    assert repr(request) == "<1: GET batches.list 200>"


async def test_segments_are_decoded_one_by_one(raw: RawClient) -> None:
    await raw.ask("/orgs/a%2Fb/batches/%C3%B8")
    request = raw.sandbox.requests.last()
    assert request.operation == "batches.get"
    assert request.segments[-3:] == ["a/b", "batches", "ø"]


async def test_what_is_no_operation_is_unknown(raw: RawClient) -> None:
    await raw.ask("/nowhere")
    request = raw.sandbox.requests.last()
    assert (request.operation, request.route, request.status) == ("unknown", None, 404)


async def test_requests_are_counted_and_found_by_operation(raw: RawClient) -> None:
    for _ in range(3):
        await raw.batches()
    await raw.ask(f"/batches/{raw.sandbox.batch_ids()[0]}")
    log = raw.sandbox.requests
    assert (log.count(), log.count("batches.list"), log.count("batches.*"), log.count("token")) == (4, 3, 4, 0)
    assert [request.number for request in log.of("batches.list")] == [1, 2, 3]
    assert log.last("batches.list").number == 3
    assert log[-1].operation == "batches.get_by_id"
    assert [request.number for request in log] == [1, 2, 3, 4]
    assert len(log) == log.total == 4
    assert repr(log) == "<RequestLog batches.get_by_id: 1, batches.list: 3>"


def test_asking_for_what_did_not_come_says_what_came() -> None:
    with pytest.raises(LookupError, match=r"no request of token has come; the log holds <RequestLog batches.list: 1>"):
        log_of(logged("batches.list", 0, 1)).last("token")


def test_requests_that_overlap_are_told_from_those_in_a_row() -> None:
    in_a_row = log_of(logged("a", 0, 1), logged("a", 1, 2), logged("b", 2, 3))
    assert in_a_row.overlapping() == 1
    at_once = log_of(logged("a", 0, 3), logged("a", 1, 2), logged("b", 1, None), logged("a", 2.5, 4))
    assert at_once.overlapping() == 3
    assert at_once.overlapping("a") == 2
    assert at_once.under_way() == at_once.under_way("b") == 1
    assert log_of().overlapping() == 0


def test_requests_that_are_answered_slowly_overlap() -> None:
    async def main() -> None:
        async with Sandbox(organizations=1, batches=1, latency=10) as sandbox, aiohttp.ClientSession() as session:
            await asyncio.gather(*(session.get(sandbox.base_url) for _ in range(5)))
            assert sandbox.requests.overlapping() == 5

    # By real time the first may be answered before the last is sent.
    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        runner.run(main())


def test_attempts_of_the_same_request_are_grouped() -> None:
    log = log_of(logged("a", 0, 1, "/x"), logged("a", 1, 2, "/y"), logged("a", 2, 3, "/x"))
    assert [[request.started for request in group] for group in log.attempts("a")] == [[0, 2], [1]]


def test_a_bounded_log_forgets_the_oldest_and_still_counts() -> None:
    log = log_of(*(logged("a", n, n + 1) for n in range(10)), limit=3)
    assert [request.started for request in log] == [7, 8, 9]
    assert (len(log), log.total, log.count("a")) == (3, 10, 10)


def test_a_cleared_log_begins_anew() -> None:
    log = log_of(logged("a", 0, 1))
    log.clear()
    assert (len(log), log.total, log.count(), repr(log)) == (0, 0, 0, "<RequestLog empty>")


def test_a_request_may_come_without_authorization() -> None:
    assert logged("a", 0, 1).authorization is None
    assert repr(logged("a", 0, 1)) == "<1: GET a ->"
