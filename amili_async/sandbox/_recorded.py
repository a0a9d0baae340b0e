"""A server's recorded answers, served in place of made-up ones: its shapes, and none of its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from amili_async._routes import ROUTES
from amili_async.sandbox._pages import Answer, problem

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from amili_async.sandbox._pages import Request

JSON: TypeAlias = Union[str, bool, "list[JSON]", "dict[str, JSON]", None]

NOT_FOUND = 404
_TOKENS = ("PageToken", "pageToken")


class RecordedAnswer(NamedTuple):
    """One answer, and what it was the answer to."""

    operation: str
    ids: tuple[str, ...]
    query: Mapping[str, str]
    status: int
    body: bytes
    content_type: str


class Recording:
    """The answers in a folder that ``amili probe --record`` wrote."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Read a folder.

        Raises:
            ValueError: it is none, holds nothing, or a file in it is no recorded answer.
        """
        files = sorted(Path(folder).glob("*.json"))
        if not files:
            raise ValueError(f"recorded: {folder} holds no recording; amili probe --record writes one")
        self._answers = [_read(file) for file in files]

    @property
    def organization_ids(self) -> list[str]:
        """The organizations that were asked about."""
        owned = (answer.ids[0] for answer in self._answers if "{organization_id}" in ROUTES[answer.operation].path)
        return list(dict.fromkeys(owned))

    def handlers(self) -> dict[str, Callable[[Request], Answer]]:
        """Return what answers each operation."""
        return dict.fromkeys(ROUTES, self._answer)

    def _answer(self, request: Request) -> Answer:
        operation, ids, query = request.match.route.operation, (*request.match.values.values(),), request.query
        known = [answer for answer in self._answers if answer.operation == operation]
        if not known:
            return problem(404, f"nothing was recorded of {operation}")
        token = _token(query)
        of_page = [answer for answer in known if _token(answer.query) == token]
        if not of_page:
            return problem(400, "no page with this token was recorded")
        # What was asked in the same words first, then what was asked of the same object; for an object that was never
        # asked about, what was said of one that is not there, and then whatever there is.
        best = max(of_page, key=lambda one: (one.ids == ids, dict(one.query) == dict(query), one.status == NOT_FOUND))
        return Answer(best.status, best.body, best.content_type)


def _token(query: Mapping[str, str]) -> str | None:
    return next((query[name] for name in _TOKENS if name in query), None)


def _read(file: Path) -> RecordedAnswer:
    try:
        kept = json.loads(file.read_bytes(), parse_float=_Digits, parse_int=_Digits)
        text = kept.get("text")
        return RecordedAnswer(
            operation=ROUTES[kept["operation"]].operation,
            ids=tuple(map(str, kept.get("ids", ()))),
            query=dict(kept.get("query", {})),
            status=int(kept["status"]),
            body=(_written(kept["json"]) if text is None else str(text)).encode(),
            content_type="application/json; charset=utf-8" if text is None else "text/plain; charset=utf-8",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"recorded: {file} is no recorded answer ({type(error).__name__})") from None


class _Digits(str):
    """A number as its digits stood there: amounts keep their zeros."""

    __slots__ = ()


def _written(value: JSON) -> str:
    if isinstance(value, _Digits):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_written(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)
