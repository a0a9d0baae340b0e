"""When a refused token is replaced, as a rule over moments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amili_async._protocol.refusals import LONGEST_PAUSE, MOST_ORGANIZATIONS, Refusals

ORGANIZATIONS = ("one", "two", "three")


def refused_twice(known: Refusals, organization: str, now: float) -> None:
    """Let an organization's calls be refused with the old token and with the new one."""
    assert known.replaceable(organization, "old", now)
    known.refused_again(organization, "new", now)


def test_what_was_refused_once_is_replaced_whoever_is_refused() -> None:
    known = Refusals()
    assert all(known.replaceable(name, "old", 0.0) for name in ORGANIZATIONS)
    assert not known


def test_a_new_token_that_is_refused_too_is_replaced_for_nobody_until_somebody_is_answered() -> None:
    known = Refusals()
    refused_twice(known, "one", 0.0)
    assert not any(known.replaceable(name, "new", 0.1) for name in ORGANIZATIONS)
    known.accepted("two")
    assert [known.replaceable(name, "new", 0.1) for name in ORGANIZATIONS] == [False, True, True]
    known.accepted("one")
    assert known.replaceable("one", "new", 0.1)


def test_one_that_is_newer_than_the_refused_one_may_be_replaced() -> None:
    known = Refusals()
    refused_twice(known, "one", 0.0)
    assert known.replaceable("one", "newer", 0.1)


def test_many_calls_that_are_refused_with_one_token_are_one_refusal() -> None:
    known = Refusals()
    for _ in range(1000):
        known.refused_again("one", "new", 0.0)
    assert known.replaceable("one", "new", 1.0)


def test_forgotten_everything_is_replaced() -> None:
    known = Refusals()
    refused_twice(known, "one", 0.0)
    known.forget()
    assert known.replaceable("one", "new", 0.0)


def test_a_token_is_not_shown() -> None:
    known = Refusals()
    known.refused_again("one", "a-secret", 0.0)
    assert "a-secret" not in repr(vars(known))


@given(st.lists(st.floats(0.0, 30.0), min_size=50, max_size=300))
def test_however_often_calls_come_new_tokens_are_asked_for_ever_more_rarely(steps: list[float]) -> None:
    known, now, asked = Refusals(), 0.0, 0
    for step in steps:
        if known.replaceable("one", f"t{asked}", now):
            asked += 1
            known.refused_again("one", f"t{asked}", now)
        now += step
    # A pause is half of its bound at least: 0.5, 1, 2 ... up to 30 seconds.
    assert asked <= 8 + now / (LONGEST_PAUSE / 2)
    assert known.replaceable("one", f"t{asked}", now + LONGEST_PAUSE)


def test_no_more_organizations_are_remembered_than_ten_thousand() -> None:
    known = Refusals()
    for number in range(MOST_ORGANIZATIONS + 50):
        known.refused_again(str(number), "new", float(number) / 1e6)
    assert len(known) == MOST_ORGANIZATIONS
    assert known.replaceable("0", "other", 0.5)
    known.accepted("another")
    assert known.replaceable("0", "new", 0.5)
    assert not known.replaceable(str(MOST_ORGANIZATIONS + 49), "new", 0.5)
