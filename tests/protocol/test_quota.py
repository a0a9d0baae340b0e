from __future__ import annotations

import itertools
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from amili_async._protocol.quota import LONGEST_WAIT, Quota, Told, read_quota

NOW = 1_700_000_000.0

FORMS = [
    ({"RateLimit": '"default";r=50;t=30'}, Told(50, 30)),
    ({"RateLimit": '"minute";r=50;t=30, "second";r=2;t=1'}, Told(2, 1)),
    ({"RateLimit": "limit=100, remaining=50, reset=30"}, Told(50, 30, 100)),
    ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "50", "ratelimit-reset": "30"}, Told(50, 30, 100)),
    ({"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "17"}, Told(0, 17, 60)),
    ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": f"{NOW + 20:.0f}"}, Told(3, 20)),
    ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": f"{(NOW + 20) * 1000:.0f}"}, Told(3, 20)),
    ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": formatdate(NOW + 20, usegmt=True)}, Told(3, 20)),
    ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "2023-11-14T22:13:40Z"}, Told(3, 20)),
    ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "2023-11-14T22:13:40"}, Told(3, 20)),
    ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset-After": "1.5", "X-RateLimit-Reset": "9"}, Told(3, 1.5)),
    ({"x-rate-limit-limit": "15", "x-rate-limit-remaining": "3", "x-rate-limit-reset": "20"}, Told(3, 20, 15)),
]


@pytest.mark.parametrize(("headers", "told"), FORMS)
def test_each_form_is_read(headers: dict[str, str], told: Told) -> None:
    assert read_quota(CIMultiDict(headers), NOW) == told


def test_a_moment_is_measured_from_the_answers_own_date() -> None:
    theirs = NOW - 300
    headers = {
        "Date": formatdate(theirs, usegmt=True),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": f"{theirs + 20:.0f}",
    }
    assert read_quota(headers, NOW) == Told(0, 20)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RateLimit": "soon"},
        {"RateLimit": '"default";r=0'},
        {"RateLimit": '"default";r=0;t=0'},
        {"RateLimit-Policy": '"default";q=100;w=60'},
        {"RateLimit-Remaining": "0"},
        {"RateLimit-Remaining": "0", "RateLimit-Reset": "soon"},
        {"RateLimit-Remaining": "0", "RateLimit-Reset": "0"},
        {"RateLimit-Remaining": "none", "RateLimit-Reset": "30"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW - 20:.0f}"},
    ],
)
def test_what_says_too_little_says_nothing(headers: dict[str, str]) -> None:
    assert read_quota(headers, NOW) is None


names = st.sampled_from(["RateLimit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Reset", "Date"])


@given(st.dictionaries(names, st.text() | st.from_regex(r'[-0-9rt=;, "]*', fullmatch=True)))
def test_no_header_whatsoever_raises(headers: dict[str, str]) -> None:
    told = read_quota(headers, NOW)
    assert told is None or (told.remaining >= 0 and told.seconds > 0)


def told(remaining: float, seconds: float = 60.0, limit: float = 0.0, *, now: float = 0.0) -> Quota:
    quota = Quota()
    quota.tell(Told(remaining, seconds, limit), now)
    return quota


def sends(quota: Quota, *, until: float) -> list[float]:
    """Return when requests go that are sent as soon as they may be."""
    now, sent = 0.0, list[float]()
    while True:
        now += quota.wait(now)
        if now >= until or len(sent) > 1_000:
            return sent
        quota.sent(now)
        sent.append(now)


def test_what_is_left_may_be_used_at_once_but_for_the_last_tenth_which_lasts_until_the_reset() -> None:
    moments = sends(told(100), until=60.0)
    assert len(moments) == 100
    assert moments.count(0.0) >= 90
    spread = [moment for moment in moments if moment]
    assert all(later > sooner for sooner, later in itertools.pairwise(spread))
    assert spread[-1] > 40.0


def test_nothing_goes_before_the_reset_once_nothing_is_left() -> None:
    quota = told(0, 30.0)
    assert quota.wait(0.0) == 30.0
    assert quota.wait(29.0) == 1.0
    assert quota.wait(30.0) == 0.0
    assert quota.left is None


def test_a_reset_in_an_hour_is_not_waited_for_so_long() -> None:
    assert told(0, 3_600.0).wait(0.0) == LONGEST_WAIT


def test_an_answer_to_a_request_sent_before_others_does_not_count_those_again() -> None:
    quota = told(10)
    for _ in range(4):
        quota.sent(0.0)
    quota.tell(Told(9, 59.9), 0.1)  # the answer to the first of the four
    assert quota.left == 6


def test_a_new_window_counts_anew() -> None:
    quota = told(0, 10.0)
    quota.tell(Told(50, 60.0), 11.0)
    assert quota.wait(11.0) == 0.0


def test_where_nothing_was_said_nothing_is_counted() -> None:
    quota = Quota()
    quota.sent(0.0)
    assert quota.wait(0.0) == 0.0
    assert quota.left is None
