"""The regular expressions of the package, and how many steps each takes: counted by an engine of our own, not timed.

`found()` reads the package's source. `look()` matches as Python's engine does, by backtracking, and counts each look at
a character. `adversarial()` makes texts of an expression's own pieces, repeated, which is what makes it backtrack.
"""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import amili_async

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What `re` itself parses with, and the only description of how.
_parser: Any = import_module("re._parser")
_constants: Any = import_module("re._constants")

PACKAGE = Path(amili_async.__file__).parent
ANCHORED = frozenset({"match", "fullmatch"})
CALLS = frozenset({"search", "sub", "subn", "split", "findall", "finditer", *ANCHORED})


class Found(NamedTuple):
    """An expression in the source, and whether it is looked for anywhere in a text or at its beginning alone."""

    place: str
    pattern: str
    flags: int
    anywhere: bool

    def __str__(self) -> str:
        return f"{self.place} {self.pattern[:30]}"


def found() -> list[Found]:
    """Return every expression of the package that is written out.

    Raises:
        AssertionError: one is put together as the program runs, and so nothing here looks at it.
    """
    return [each for path in sorted(PACKAGE.rglob("*.py")) for each in _in_module(path)]


def _in_module(path: Path) -> Iterator[Found]:
    tree = ast.parse(path.read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    ways: dict[str, set[str]] = {}
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        if isinstance(call.func.value, ast.Name) and call.func.attr in CALLS:
            ways.setdefault(call.func.value.id, set()).add(call.func.attr)
    names = {
        id(node.value): target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        if ast.unparse(call.func.value) != "re" or call.func.attr not in CALLS | {"compile"}:
            continue
        place = f"{path.relative_to(PACKAGE)}:{call.lineno}"
        if not isinstance(call.args[0], ast.Constant):
            assert place.partition(":")[0] in BUILT, f"{place}: no test looks at an expression that is put together"
            continue
        used = ways.get(names.get(id(call), ""), CALLS) if call.func.attr == "compile" else {call.func.attr}
        pattern: Any = call.args[0].value
        settings = [text for each in call.args[1:] if (text := ast.unparse(each)).startswith("re.")]
        flags = eval(settings[0], {"re": re}) if settings else 0  # noqa: S307  # the package's own source
        yield Found(place, pattern if isinstance(pattern, str) else pattern.decode(), int(flags), not used <= ANCHORED)


BUILT = frozenset({"sandbox/_requests.py"})
"""Where an expression is put together: of the route table's own paths, each part a segment between two slashes."""


# -- counting


class TooManyStepsError(Exception):
    """More than a text of this length can take in linear time."""


class _Matcher:
    def __init__(self, text: str, flags: int, most: int) -> None:
        self.text = text.casefold() if flags & re.IGNORECASE else text
        self.flags = flags
        self.most = most
        self.steps = 0

    def count(self) -> None:
        self.steps += 1
        if self.steps > self.most:
            raise TooManyStepsError

    def single(self, op: Any, value: Any, at: int) -> bool:
        """Return whether one character fits an item that is one character long."""
        self.count()
        if at >= len(self.text):
            return False
        character = ord(self.text[at])
        if op is _constants.LITERAL:
            return character in {value, ord(chr(value).casefold()[0]) if self.flags & re.IGNORECASE else value}
        if op is _constants.NOT_LITERAL:
            return bool(character != value)
        if op is _constants.ANY:
            return bool(self.flags & re.DOTALL) or character != ord("\n")
        return _in_set(value, character)

    def run(self, items: Any, index: int, at: int, groups: dict[int, str], then: Callable[[int], bool]) -> bool:
        """Match the items from one on; ``then`` is what follows them."""
        if index == len(items):
            return then(at)
        op, value = items[index]

        def rest(end: int) -> bool:
            return self.run(items, index + 1, end, groups, then)

        if op in _SINGLE:
            return self.single(op, value, at) and rest(at + 1)
        if op is _constants.AT:
            return self.at(value, at) and rest(at)
        if op is _constants.SUBPATTERN:
            number, _, _, inner = value

            def close(end: int) -> bool:
                groups[number] = self.text[at:end]
                return rest(end)

            return self.run(inner, 0, at, groups, close)
        if op is _constants.BRANCH:
            return any(self.run(branch, 0, at, groups, rest) for branch in value[1])
        if op is _constants.GROUPREF:
            self.count()
            said = groups.get(value, "\0")
            return self.text.startswith(said, at) and rest(at + len(said))
        if op in {_constants.ASSERT, _constants.ASSERT_NOT}:
            direction, inner = value
            start = at if direction > 0 else at - inner.getwidth()[0]
            there = start >= 0 and self.run(inner, 0, start, groups, lambda _: True)
            return there == (op is _constants.ASSERT) and rest(at)
        assert op in _REPEATS, f"no rule for {op}"
        return self.repeat(op, value, at, groups, rest)

    def repeat(self, op: Any, value: Any, at: int, groups: dict[int, str], rest: Callable[[int], bool]) -> bool:
        least, most, inner = value
        most = len(self.text) + 1 if most is _constants.MAXREPEAT else most
        op_inside, value_inside = inner[0]
        if len(inner) == 1 and op_inside in _SINGLE:
            ends = at
            if op is _constants.MIN_REPEAT:
                while ends - at < least or not rest(ends):
                    if ends - at >= most or not self.single(op_inside, value_inside, ends):
                        return False
                    ends += 1
                return True
            while ends - at < most and self.single(op_inside, value_inside, ends):
                ends += 1
            return any(rest(end) for end in range(ends, at + least - 1, -1))

        def again(times: int, start: int) -> bool:
            def once_more(end: int) -> bool:
                return end > start and again(times + 1, end)

            if times < most and self.run(inner, 0, start, groups, once_more):
                return True
            return times >= least and rest(start)

        return again(0, at)

    def at(self, where: Any, at: int) -> bool:
        self.count()
        if where in {_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING}:
            return at == 0
        if where in {_constants.AT_END, _constants.AT_END_STRING}:
            return at == len(self.text)
        assert where is _constants.AT_BOUNDARY, f"no rule for {where}"
        return (at > 0 and self.text[at - 1].isalnum()) != (at < len(self.text) and self.text[at].isalnum())


_SINGLE = {_constants.LITERAL, _constants.NOT_LITERAL, _constants.ANY, _constants.IN}
_REPEATS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT}
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    _constants.CATEGORY_DIGIT: str.isdigit,
    _constants.CATEGORY_SPACE: str.isspace,
    _constants.CATEGORY_WORD: lambda one: one.isalnum() or one == "_",
    _constants.CATEGORY_NOT_DIGIT: lambda one: not one.isdigit(),
    _constants.CATEGORY_NOT_SPACE: lambda one: not one.isspace(),
    _constants.CATEGORY_NOT_WORD: lambda one: not (one.isalnum() or one == "_"),
}


def _in_set(items: Any, character: int) -> bool:
    negated = items[0][0] is _constants.NEGATE
    for op, value in items[1:] if negated else items:
        if (
            (op is _constants.LITERAL and character == value)
            or (op is _constants.RANGE and value[0] <= character <= value[1])
            or (op is _constants.CATEGORY and _CATEGORIES[value](chr(character)))
        ):
            return not negated
    return negated


class Looked(NamedTuple):
    """What looking for an expression took, and where it was first found."""

    steps: int
    first: tuple[int, int] | None


def look(each: Found, text: str, *, most: int) -> Looked:
    """Look for an expression in a text, as often as it is there.

    Raises:
        TooManyStepsError: more than ``most``.
    """
    items = list(_parser.parse(each.pattern, each.flags))
    matcher = _Matcher(text, each.flags, most)
    first: tuple[int, int] | None = None
    ends: list[int] = []

    def found_to(end: int) -> bool:
        ends.append(end)
        return True

    at = 0
    while at <= len(text):
        if matcher.run(items, 0, at, {}, found_to):
            first = first or (at, ends[-1])
            at = max(ends[-1], at + 1)  # `sub`, `split` and `finditer` go on behind a match
        else:
            at += 1
        if not each.anywhere:
            break
    return Looked(matcher.steps, first)


# -- texts that make it backtrack


def adversarial(each: Found, size: int, *, many: int | None = None) -> list[str]:
    """Return texts of a size: pieces of a text that fits (so ``many``), repeated, then with an end that does not."""
    whole = _sample(list(_parser.parse(each.pattern, each.flags)), {})
    longest = 12 if len(whole) <= 12 else 4
    pieces = {whole[start : start + length] for start in range(len(whole)) for length in range(1, longest + 1)}
    pieces |= {whole[:end] for end in range(1, len(whole) + 1)}
    texts: list[str] = []
    for piece in sorted(pieces)[:: 1 if many is None else max(1, len(pieces) // many)]:
        repeated = (piece * (size // len(piece) + 1))[:size]
        texts.append(repeated)
        texts.append(whole[: whole.find(piece)] + repeated + "\0")
    return texts


def _sample(items: Any, groups: dict[int, str]) -> str:
    """Return a short text that fits."""
    made = ""
    for op, value in items:
        if op is _constants.LITERAL:
            made += chr(value)
        elif op is _constants.NOT_LITERAL:
            made += "a" if value != ord("a") else "b"
        elif op is _constants.ANY:
            made += "a"
        elif op is _constants.IN:
            made += next(one for one in "a1 A-.{<" + "".join(map(chr, range(256))) if _in_set(value, ord(one)))
        elif op is _constants.SUBPATTERN:
            groups[value[0]] = _sample(value[3], groups)
            made += groups[value[0]]
        elif op is _constants.BRANCH:
            made += _sample(value[1][0], groups)
        elif op is _constants.GROUPREF:
            made += groups[value]
        elif op in _REPEATS:
            made += _sample(value[2], groups) * max(value[0], 1)
    return made
