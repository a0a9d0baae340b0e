from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.sandbox._pages import PagePoint, PageTokenError, PageTokens

positions = st.lists(st.integers(0, 2**40), max_size=3).map(tuple)
points = st.builds(PagePoint, positions, st.integers(1, 10**6), st.integers(0, 100))


def tokens(lifetime: float | None = None, seed: int = 1) -> PageTokens:
    return PageTokens(seed=seed, lifetime=lifetime)


@given(points, st.text(max_size=50))
def test_a_token_leads_to_its_point(point: PagePoint, listing: str) -> None:
    token = tokens().write(point, listing, 0.0)
    assert tokens().read(token, listing, 0.0) == point
    assert tokens().number(token) == point.number


@given(points)
def test_a_token_is_one_word_that_a_url_can_hold(point: PagePoint) -> None:
    token = tokens().write(point, "list", 0.0)
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=60))
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(PageTokenError, match="is not one of this"):
        tokens().read(text, "list", 0.0)
    assert tokens().number(text) == 1


def test_a_token_of_another_list_or_server_is_refused() -> None:
    token = tokens().write(PagePoint((3,), 2), "batches of one", 0.0)
    for server, listing in ((tokens(), "batches of another"), (tokens(seed=2), "batches of one")):
        with pytest.raises(PageTokenError, match="is not one of this list's"):
            server.read(token, listing, 0.0)


def test_a_token_expires_after_its_lifetime() -> None:
    server = tokens(lifetime=60)
    token = server.write(PagePoint((3,), 2), "list", 1000.0)
    assert server.read(token, "list", 1060.0).number == 2
    with pytest.raises(PageTokenError, match="has expired"):
        server.read(token, "list", 1060.1)


def test_the_token_before_a_token_is_known_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.sandbox._pages._KEPT", 2)
    server = tokens()
    for token, before in (("b", "a"), ("c", "b"), ("d", "c")):
        server.follow(token, before)
    assert [server.before(token) for token in (None, "a", "b", "c", "d")] == [None, None, None, "b", "c"]


def test_all_tokens_can_be_made_to_expire() -> None:
    server = tokens()
    token = server.write(PagePoint((3,), 2), "list", 0.0)
    server.expire()
    with pytest.raises(PageTokenError, match="has expired"):
        server.read(token, "list", 0.0)
    assert server.read(server.write(PagePoint((3,), 2), "list", 0.0), "list", 0.0).number == 2
