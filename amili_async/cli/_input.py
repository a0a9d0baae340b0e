"""Reads from a file, JSON lines or CSV, what a write is to send: rows as models, and every problem of every row."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET

from amili_async import encode
from amili_async._upstream.msgspec import READING_ERRORS
from amili_async.errors import ConfigurationError, InvalidArgumentError
from amili_async.models._extra import given_twice
from amili_async.models._request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

M = TypeVar("M", bound=Request)

EXTRA = "extra."
"""How a column is called that holds a member which no field names."""

Found: TypeAlias = tuple[int, dict[str, object] | None, list[str]]
"""A row as it stands in a file: its line, its members if it has any, and what is wrong with it so far."""

_OBJECT = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
_AMOUNT = re.compile(r"-?[0-9]+(?:[.,][0-9]+)?")
_IN_GROUPS = re.compile(r"-?[1-9][0-9]{0,2}[.,][0-9]{3}")
"""An amount of which nobody can tell whether it is in thousands: 4.500 is 4500 in Norway, and 4,500 in the USA."""


class Row(NamedTuple, Generic[M]):
    """One row of a file: the line that it ends at, and what it is to send."""

    line: int
    model: M


class Input(NamedTuple, Generic[M]):
    """A file as it was read: its rows, and what is wrong with those that are none."""

    rows: list[Row[M]]
    problems: list[str]


def read_input(file: Path, model: type[M], *, unique: str | None = None) -> Input[M]:
    """Return a file's rows as models, and every problem of every row as a line that names its line.

    JSON lines hold members by their names on the wire or in snake case, CSV has them as its heading; a member that no
    field names stands under ``extra``, in CSV as the column ``extra.NAME``. An empty cell is a member left out.
    ``unique`` names the member that no two rows may share.

    Raises:
        ConfigurationError: the file is of neither kind, no text in UTF-8, or has a heading that names no member.
        OSError: it cannot be read.
    """
    read = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv}.get(file.suffix.lower())
    if read is None:
        raise ConfigurationError(f"--file {file} must end in .jsonl or .csv, to say what is in it")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(f"--file {file} is no text in UTF-8; save it as CSV UTF-8") from None
    members = _Members(model)
    rows: list[Row[M]] = []
    problems: list[str] = []
    first: dict[object, int] = {}
    for line, values, wrong in read(text, members):
        made = wrong if values is None else members.build(values, wrong)
        if isinstance(made, list):
            problems += [f"line {line}: {problem}" for problem in made]
        else:
            rows.append(Row(line, made))
        mark = None if values is None or unique is None else values.get(unique)
        if isinstance(mark, str) and (shared := first.setdefault(mark, line)) != line:
            problems.append(f"line {line}: {members.wire[str(unique)]} is that of line {shared}")
    return Input(rows, problems)


class _Members(Generic[M]):
    """What a row may hold: the fields of a model, by either of their names."""

    def __init__(self, model: type[M]) -> None:
        self.model = model
        fields = [field for field in msgspec.structs.fields(model) if field.name != "extra"]
        self.wire = {field.name: field.encode_name for field in fields}
        self.names = {name: field.name for field in fields for name in (field.name, field.encode_name)}
        self._required = [field.name for field in fields if field.required]
        self._amounts = {field.name for field in fields if "Decimal" in str(field.type)}
        self._flags = {field.name for field in fields if "bool" in str(field.type)}

    def unknown(self, name: str) -> str | None:
        """Return what is wrong with a member's name; ``None`` where it is one."""
        if name in self.names:
            return None
        near = self.meant(name)
        meant = f"; did you mean {self.wire[near]}?" if near else f"; there are {', '.join(self.wire.values())}"
        return f"{name!r} is no member of {self.model.__name__}{meant}"

    def meant(self, name: str) -> str | None:
        """Return the field that a name with a slip most likely means."""
        near = get_close_matches(name, self.wire.values(), 1, 0.7)
        return self.names[near[0]] if near else None

    def unknown_all(self, names: Iterable[str]) -> str:
        """Return what is wrong with several names, none of which is a member's."""
        given = ", ".join(map(repr, names))
        return f"{given} are no members of {self.model.__name__}; there are {', '.join(self.wire.values())}"

    def from_cell(self, name: str, cell: str) -> object:
        """Return what a CSV's cell means for a member.

        Raises:
            ConfigurationError: it is no number, or neither true nor false.
        """
        if name in self._amounts:
            if not _AMOUNT.fullmatch(cell):
                raise ConfigurationError(f"{self.wire[name]} must be a number such as 4500.00, not {cell!r}")
            if _IN_GROUPS.fullmatch(cell):
                whole, broken = re.sub("[.,]", "", cell), cell.replace(",", ".")
                raise ConfigurationError(
                    f"{self.wire[name]} {cell!r} may mean {whole} or {broken}; write {whole}.00 or {broken}0"
                )
            return Decimal(cell.replace(",", "."))
        if name in self._flags:
            flag = {"true": True, "false": False}.get(cell.lower())
            if flag is None:
                raise ConfigurationError(f"{self.wire[name]} must be true or false, not {cell!r}")
            return flag
        return cell

    def build(self, values: Mapping[str, Any], wrong: Sequence[str]) -> M | list[str]:
        """Return the model that a row's members make, or all that is wrong with them beside what was found before.

        A member that cannot be read is ``UNSET``: it is there, and no more is said of it.
        """
        missing = [name for name in self._required if name not in values]
        problems = [*wrong, *(f"{self.wire[name]} is missing" for name in missing)]
        members: dict[str, Any] = {**values, **dict.fromkeys(missing, UNSET)}
        try:
            model = self.model(**members)
            if not problems:
                encode(model)
                return model
        except InvalidArgumentError as error:
            problems += [re.sub(r"\A\w+", lambda name: self.wire.get(name[0], name[0]), one) for one in error.problems]
        return problems


def _json_lines(text: str, members: _Members[M]) -> Iterator[Found]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = _OBJECT.decode(line)
            twice = given_twice(line)
        except READING_ERRORS:
            yield number, None, ["it is no JSON object"]
            continue
        values: dict[str, object] = {"extra": found.pop("extra", {})}
        # JSON's readers take the last of them in silence: of an amount, whichever it is.
        wrong = [] if twice is None else [f"{twice!r} is there twice"]
        for name, value in found.items():
            problem = members.unknown(name)
            if problem is not None:
                wrong.append(f"{problem}; what no field names stands under extra")
            elif members.names[name] in values:
                wrong.append(f"{members.names[name]} is there by both its names")
            else:
                values[members.names[name]] = value
        for name in found.keys() - members.names.keys():
            if (meant := members.meant(name)) is not None:
                values.setdefault(meant, UNSET)  # a slip is told once, not as a missing member too
        if not isinstance(values["extra"], dict):
            wrong.append("extra must be an object")
            values["extra"] = {}
        yield number, values, wrong


def _csv(text: str, members: _Members[M]) -> Iterator[Found]:
    heading = text.partition("\n")[0]
    # Excel writes what the country's settings say: semicolons in Norway.
    delimiter = max(",;\t", key=heading.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    columns: list[str] = []
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield reader.line_num, None, [f"it is no CSV ({error})"]
            return
        if cells is None:
            return
        if not columns:
            columns = _heading([cell.strip() for cell in cells], members)
        elif any(cells):
            yield reader.line_num, *_cells(columns, cells, members)


def _heading(columns: list[str], members: _Members[M]) -> list[str]:
    named = [column for column in columns if not column.startswith(EXTRA)]
    unknown = {column: problem for column in named if (problem := members.unknown(column)) is not None}
    # One column with a slip is asked about; a heading of something else is told once what there is.
    wrong = [*unknown.values()] if len(unknown) == 1 else [members.unknown_all(unknown)] if unknown else []
    if wrong:
        wrong.append("what no field names stands under extra, as in extra.kid")
    twice = _first_twice(members.names.get(column, column) for column in columns)
    if twice is not None:
        wrong.append(f"the column {twice} is there twice")
    if wrong:
        raise ConfigurationError(f"--file: {'; '.join(wrong)}")
    return [members.names.get(column, column) for column in columns]


def _cells(columns: list[str], cells: list[str], members: _Members[M]) -> tuple[dict[str, object] | None, list[str]]:
    if len(cells) > len(columns):
        return None, [f"it has {len(cells)} cells, and the heading {len(columns)}"]
    extra: dict[str, object] = {}
    values: dict[str, object] = {"extra": extra}
    wrong: list[str] = []
    for name, cell in zip(columns, map(str.strip, cells), strict=False):
        if not cell:
            continue
        if name.startswith(EXTRA):
            extra[name.removeprefix(EXTRA)] = cell
            continue
        try:
            values[name] = members.from_cell(name, cell)
        except ConfigurationError as error:
            values[name] = UNSET
            wrong.append(error.message)
    return values, wrong


def _first_twice(names: Iterator[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
