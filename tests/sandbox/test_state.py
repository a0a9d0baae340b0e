from __future__ import annotations

import pytest

from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._seed_data import QUEUED, SeedData
from amili_async.sandbox._state import State, outcome


def state(*, batches: int = 10, now: float = 1_800_000_000.0) -> State:
    return State(SeedData(seed=1, organizations=2, batches=batches, entries=3), order="newest", clock=lambda: now)


def test_what_is_added_comes_after_the_seeded() -> None:
    made = state()
    organization = made.organizations[0]
    before = made.version
    batch = made.add_batch(organization, type="INVOICE", succeeded=(), failed=())
    assert batch.sequence == 10
    assert made.length(organization) == 11
    assert made.find_batch(batch.id) == batch
    assert made.version > before
    assert made.find_batch(made.seed_data.identifiers.make(Kind.BATCH, 0, 11)) is None
    assert made.find_batch(made.seed_data.identifiers.make(Kind.BATCH, 2, 0)) is None


def test_a_seeded_batch_that_waits_can_be_ended() -> None:
    made = state()
    batch = made.batch(made.organizations[0], 9)
    assert batch.state == QUEUED
    done = made.finish(batch)
    assert done.state != QUEUED
    assert made.batch(made.organizations[0], 9) == done
    assert made.finish(done) == done


def test_batches_end_in_the_order_of_their_time() -> None:
    now = [100.0]
    made = State(SeedData(seed=1, organizations=1, batches=0, entries=1), order="newest", clock=lambda: now[0])
    organization = made.organizations[0]
    late, soon = (made.add_batch(organization, type="INVOICE", state=QUEUED, succeeded=(), failed=()) for _ in range(2))
    made.finish_at(late, 103)
    made.finish_at(soon, 101)
    assert made.finish_due() == []
    now[0] = 102
    assert [batch.id for batch in made.finish_due()] == [soon.id]
    made.finish(late)
    now[0] = 104
    assert made.finish_due() == []


@pytest.mark.parametrize(
    ("succeeded", "failed", "state"), [(1, 0, "SUCCESS"), (0, 0, "SUCCESS"), (1, 1, "PARTIAL"), (0, 1, "FAILED")]
)
def test_a_state_is_what_the_entries_make_it(succeeded: int, failed: int, state: str) -> None:
    assert outcome(succeeded, failed) == state


def test_an_organization_holds_no_more_than_ids_can_tell_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.sandbox._state.SEQUENCES", 11)
    made = state()
    made.add_batch(made.organizations[0], type="INVOICE", succeeded=(), failed=())
    with pytest.raises(ValueError, match="holds 11 batches at most"):
        made.add_batch(made.organizations[0], type="INVOICE", succeeded=(), failed=())
