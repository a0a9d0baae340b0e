"""Every regular expression of the package is linear in what it reads: counted, on texts made to be bad for it."""

from __future__ import annotations

import re

import pytest

from tests.support.regexes import Found, TooManyStepsError, adversarial, found, look

EXPRESSIONS = found()
A_STEP = 40
"""Steps a character, at most: a few tries of an expression's beginning, of a few characters each."""


def worst(each: Found, size: int) -> int:
    """Return the steps that the worst text of a size takes."""
    most = A_STEP * size
    return max(look(each, text, most=most).steps for text in adversarial(each, size))


@pytest.mark.parametrize("each", EXPRESSIONS, ids=str)
def test_the_steps_grow_as_the_text_does(each: Found) -> None:
    few, many = worst(each, 120), worst(each, 480)
    assert many <= max(4.4 * few, 400)


@pytest.mark.parametrize("each", EXPRESSIONS, ids=str)
def test_a_megabyte_made_to_be_bad_for_it_is_read_to_its_end(each: Found) -> None:
    # That this ends is the proof: were the steps the square of the length, it would take hours.
    compiled = re.compile(each.pattern, each.flags)
    for text in adversarial(each, 1_000_000, many=2):
        if each.anywhere:
            compiled.sub("", text)
        else:
            compiled.fullmatch(text)
            compiled.match(text)


def test_there_are_expressions_to_look_at() -> None:
    assert len(EXPRESSIONS) > 30


@pytest.mark.parametrize(
    ("pattern", "flags", "anywhere"),
    [
        (r"<(title|h1)[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL, True),
        (r"\s*\{", 0, True),
        (r"(a+)+b", 0, False),
        (r"\d+\w+x", 0, False),
        (r"//.*:([^@]*)@", 0, True),
        (r"a*a*b", 0, False),
    ],
)
def test_what_is_not_linear_is_noticed(pattern: str, flags: int, *, anywhere: bool) -> None:
    each = Found("here", pattern, flags, anywhere)
    with pytest.raises((TooManyStepsError, AssertionError)):
        test_the_steps_grow_as_the_text_does(each)


@pytest.mark.parametrize("each", EXPRESSIONS, ids=str)
def test_the_engine_that_counts_finds_what_pythons_own_finds(each: Found) -> None:
    compiled = re.compile(each.pattern, each.flags)
    for text in adversarial(each, 30):
        theirs = compiled.search(text) if each.anywhere else compiled.match(text)
        assert look(each, text, most=100_000).first == (None if theirs is None else theirs.span())
