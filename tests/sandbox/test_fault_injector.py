from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from amili_async.sandbox import Fault
from amili_async.sandbox._fault_injector import Faults

if TYPE_CHECKING:
    from tests.support.raw_client import RawClient


def made(seed: int = 1) -> Faults:
    return Faults(seed, lambda _: None)


def strikes(faults: Faults, times: int, operation: str = "batches.list") -> list[str | None]:
    injected = [faults.strike(lambda _: True, operation) for _ in range(times)]
    return [None if fault is None else str(fault) for fault in injected]


def test_a_fault_strikes_as_often_as_its_count_says() -> None:
    faults = made()
    fault = Fault("batches.list", "reset", count=2)
    faults.add(fault)
    assert strikes(faults, 3) == [str(fault), str(fault), None]
    assert faults.hits(fault) == 2


def test_a_fault_without_a_count_strikes_for_ever() -> None:
    faults = made()
    faults.add("batches.list:reset")
    assert None not in strikes(faults, 50)


def test_faults_follow_each_other_in_the_order_of_their_adding() -> None:
    faults = made()
    faults.add("batches.*:status=503,count=2", "batches.list:status=429,count=1")
    one, two = map(str, faults)
    assert strikes(faults, 4) == [one, one, two, None]


def test_skipped_requests_pass_first() -> None:
    faults = made()
    faults.add("batches.list:reset,skip=2,count=1")
    assert [fault is not None for fault in strikes(faults, 4)] == [False, False, True, False]


def test_only_the_operation_meant_is_struck() -> None:
    faults = made()
    faults.add("batches.*:reset")
    assert strikes(faults, 1, "token") == [None]
    assert strikes(faults, 1, "batches.get") != [None]


def test_a_draw_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    def drawn(seed: int) -> list[str | None]:
        faults = made(seed)
        faults.add("*:reset,probability=0.5")
        return strikes(faults, 200)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 50 < sum(fault is not None for fault in drawn(1)) < 150


def test_faults_that_are_taken_back_strike_no_more() -> None:
    faults = made()
    fault = Fault("*", "reset")
    faults.add(fault, "*:close")
    faults.remove(fault)
    assert strikes(faults, 1) == ["*:close"]
    faults.remove(fault)
    faults.clear()
    assert not faults
    assert strikes(faults, 1) == [None]


def test_faults_of_a_block_end_with_it_and_the_others_stay() -> None:
    faults = made()
    faults.add("*:close")
    with faults.during("*:reset", "*:hang"):
        assert len(faults) == 3
    assert [fault.kind for fault in faults] == ["close"]


def test_what_was_not_used_up_is_pending() -> None:
    faults = made()
    faults.add("*:reset,count=2", "*:close")
    strikes(faults, 1)
    assert faults.pending == [Fault("*", "reset", count=2)]
    strikes(faults, 1)
    assert not faults.pending


def test_its_repr_says_what_struck_how_often() -> None:
    faults = made()
    assert repr(faults) == "<Faults none>"
    faults.add("*:reset,count=2")
    strikes(faults, 1)
    assert repr(faults) == "<Faults *:reset,count=2 (1)>"


def test_latencies_add_up_and_are_spread() -> None:
    faults = made()
    faults.add("*:latency=1", "batches.list:latency=2,spread=4", "token:latency=100")
    delays = [faults.latency(lambda _: True, "batches.list") for _ in range(50)]
    assert all(3 <= delay <= 7 for delay in delays)
    assert max(delays) - min(delays) > 1


def test_a_fault_that_refuses_tells_the_listener_when_it_begins_and_ends() -> None:
    told: list[Fault | None] = []
    faults = Faults(1, told.append)
    fault = Fault("*", "refuse")
    faults.add(fault, "*:reset")
    faults.remove(Fault("*", "reset"))
    assert told == [fault]
    faults.clear()
    assert told == [fault, None]


async def test_latency_comes_besides_another_fault(raw: RawClient) -> None:
    raw.sandbox.faults.add("batches.list:latency=1ms", "batches.list:status=503,count=1,latency=1ms")
    assert (await raw.batches()).status == 503
    assert (await raw.batches()).status == 200
    first, second = raw.sandbox.requests
    assert first.fault == "batches.list:status=503,latency=0.001,count=1"
    assert second.fault is None
    assert raw.sandbox.faults.hits(Fault("batches.list", latency=0.001)) == 2


async def test_faults_are_narrowed_to_an_organization_and_a_page(raw: RawClient) -> None:
    second = raw.sandbox.organization_ids[1]
    raw.sandbox.faults.add(Fault("batches.list", status=503, organization=second, page=2))
    assert len(await raw.walk(f"/orgs/{raw.organization}/batches")) == 25
    first = await raw.ask(f"/orgs/{second}/batches")
    assert first.status == 200
    assert (await raw.ask(f"/orgs/{second}/batches", params={"PageToken": first.token or ""})).status == 503


@pytest.mark.parametrize("token", ["nonsense", "AAAA"])
async def test_a_page_token_that_is_none_counts_as_the_first_page(raw: RawClient, token: str) -> None:
    raw.sandbox.faults.add(Fault("batches.list", status=503, page=1, count=1))
    assert (await raw.batches(PageToken=token)).status == 503
