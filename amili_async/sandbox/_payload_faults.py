"""What faults do to pages, rows and bodies: pure functions on values."""

from __future__ import annotations

import gzip
import json
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from amili_async.sandbox._faults import ROWS
from amili_async.sandbox._pages import Answer, Page, PagePoint
from amili_async.sandbox._shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amili_async.sandbox._faults import Fault
    from amili_async.sandbox._pages import PageTokens

HTML = (
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>\n"
)
WRONG_SCHEMA = b'{"hello":["this","is","not","what","was","asked","for"]}'
OVERSIZE = 65 * 2**20

_PIECE = 64 * 1024
_TWO_ROWS = 2

_UNSEEN: dict[str, object] = {"sandboxMember": {"deep": [1, "two", None]}}


def fits(fault: Fault, outcome: Page | Answer, tokens: PageTokens) -> bool:
    """Return whether a fault of lists or rows has anything to act on."""
    if isinstance(outcome, Answer):
        return fault.kind in ROWS and _single(outcome) is not None
    match fault.kind:
        case "repeat-token":
            return outcome.token is not None and outcome.asked_with is not None
        case "cycle-tokens":
            return outcome.token is not None and tokens.before(outcome.asked_with) is not None
        case "duplicate-row":
            return outcome.token is not None and len(outcome.rows) >= _TWO_ROWS
        case "last-absent" | "last-null" | "last-empty":
            return outcome.token is None
        case "empty-page":
            return True
        case _:
            return len(outcome.rows) > (fault.row or 0)


def apply_to_page(fault: Fault, page: Page, tokens: PageTokens, now: float) -> Page:
    """Return a page as a fault of lists or rows leaves it."""
    start = page.point or PagePoint((), 1)

    def token(point: PagePoint) -> str:
        return tokens.write(point, page.listing, now)

    match fault.kind:
        case "repeat-token":
            return page._replace(token=page.asked_with)
        case "cycle-tokens":
            return page._replace(token=tokens.before(page.asked_with))
        case "empty-page":
            return page._replace(rows=[], token=token(start._replace(empty=start.empty + 1)))
        case "duplicate-row":
            return page._replace(token=token(PagePoint(page.last_but_one, start.number + 1)))
        case "last-absent":
            return page._replace(last_page="absent")
        case "last-null":
            return page._replace(last_page="null")
        case "last-empty":
            return page._replace(last_page="empty")
        case _:
            return _apply_to_rows(fault, page)


def _apply_to_rows(fault: Fault, page: Page) -> Page:
    rows = list(page.rows)
    index = len(rows) // 2 if fault.row is None else fault.row
    rows[index] = _text(_apply_to_row(fault, json.loads(rows[index])))
    members = f",{_text(_UNSEEN)[1:-1]}" if fault.kind == "unknown-member" else ""
    return page._replace(rows=rows, members=members)


def apply_to_answer(fault: Fault, answer: Answer) -> Answer:
    """Return a single object as a fault of rows leaves it."""
    members = (_single(answer) or {}).items()
    whole = {name: _apply_to_row(fault, member) if name == "data" else member for name, member in members}
    return answer._replace(body=_text(whole).encode())


def _single(answer: Answer) -> dict[str, dict[str, object]] | None:
    """Return the members of an answer that holds one object, each of them an object; ``None`` for any other answer."""
    if answer.status != HTTPStatus.OK or not answer.content_type.startswith("application/json"):
        return None
    whole: object = json.loads(answer.body)
    if not is_object(whole) or "data" not in whole:
        return None
    members = {name: value for name, value in whole.items() if is_object(value)}
    return members if len(members) == len(whole) else None


def _apply_to_row(fault: Fault, row: dict[str, object]) -> dict[str, object]:
    match fault.kind:
        case "bad-row":
            return {name: _unreadable(name, value) for name, value in row.items()}
        case "lenient-row":
            return {name: _lenient(name, value) for name, value in row.items()}
        case "unknown-type":
            entries = row.get("succeeded")
            entry = {"$type": "sandboxNovelty", "noveltyId": 4711, "parts": [{"deep": True}]}
            return row | {"succeeded": [entry, *(entries if is_array(entries) else [])]}
        case "unknown-value":
            return row | {name: "SANDBOX_NOVELTY" for name in ("type", "status") if isinstance(row.get(name), str)}
        case _:
            return row | _UNSEEN


def _unreadable(name: str, value: object) -> object:
    return {} if name.endswith("At") else 7 if is_array(value) or is_object(value) else value


def _lenient(name: str, value: object) -> object:
    if name.endswith("At") and isinstance(value, str):
        return value[:10]
    if name in {"createdBy", "invoiceNumber", "customerReference"}:
        return 4711
    return None if name == "failed" else value


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def apply_to_body(fault: Fault, body: bytes) -> bytes:
    """Return a body as a fault of bodies leaves it."""
    match fault.kind:
        case "truncate":
            return body[: len(body) * 2 // 3]
        case "corrupt":
            middle = body.find(b'":', len(body) // 2)
            return body[:middle] + b'"#' + body[middle + 2 :] if middle >= 0 else b"#" + body
        case "empty":
            return b""
        case "html":
            return HTML
        case "wrong-schema":
            return WRONG_SCHEMA
        case "bomb":
            return _bomb(OVERSIZE if fault.size is None else fault.size, body)
        case "cut-gzip":
            packed = gzip.compress(body, 6, mtime=0)
            return packed[: max(20, len(packed) * 2 // 3)]
        case _:
            return body


def blanks(size: int, body: bytes) -> Iterator[bytes]:
    """Give a body behind so many blanks, piece by piece, so that nobody has to hold it."""
    piece = b" " * _PIECE
    for _ in range(size // _PIECE):
        yield piece
    yield b" " * (size % _PIECE)
    yield body


def _bomb(size: int, body: bytes) -> bytes:
    """Return a body behind so many blanks as gzip: a thousandth of it on the wire."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join([*(packer.compress(piece) for piece in blanks(size, body)), packer.flush()])
