"""The arguments and options that several commands share, each said once."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated

import typer

OrganizationId = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="The organization's id.")]

AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs, one object a line; rows as Amili wrote them.")]

Limit = Annotated[int, typer.Option("--limit", min=1, help="How many rows to show at most.")]

All = Annotated[bool, typer.Option("--all", help="Show every row, however many there are.")]

CursorText = Annotated[
    str | None, typer.Option("--cursor", metavar="TEXT", help="Go on where an earlier list stopped, with its options.")
]

PageSize = Annotated[int | None, typer.Option("--page-size", min=1, help="Rows a request; Amili's default otherwise.")]

FromDay = Annotated[str | None, typer.Option("--from", metavar="DATE", help="From this day or moment on, as ISO text.")]

ToDay = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Up to this day or moment, as ISO text.")]

TYPED = {
    "from_date": "--from",
    "from_created_at": "--from",
    "to_date": "--to",
    "to_created_at": "--to",
    "page_size": "--page-size",
    "case_number": "--number",
    "invoice_number": "--number",
    "customer_number": "--customer",
    "unique_source_invoice_id": "--source-id",
    "search_term": "--search",
    "subject_id": "--subject-id",
    "idempotency_key": "--idempotency-key",
    "max_failures": "--max-failures",
    "organization_id": "ORGANIZATION",
    "batch_id": "BATCH",
    "invoice_id": "INVOICE",
    "settlement_id": "SETTLEMENT",
    "state": "--state",
    "status": "--status",
    "type": "--type",
    "sort": "--sort",
    "limit": "--limit",
    "since": "--since",
    "older_than": "--older-than",
    "path": "--to",
    "table": "--table",
    "cursor": "--cursor",
}
"""The library's arguments, by what they are called on the command line."""


FOR_PROGRAMS = (
    (re.compile(r" If not, pass \w+\(\"\.\.\.\"\)"), ""),
    (re.compile(r"\. \w+\(\"\.\.\.\"\) says that you mean it"), ""),
    (re.compile(r"a decimal\.Decimal, not str"), "a number, not text"),
    (re.compile(r"a decimal\.Decimal"), "a number"),
    (
        re.compile(r"a text that Cursor\.encode\(\) wrote; pass one of those, or none"),
        "what an earlier list printed; leave it out",
    ),
)
"""What a message says to those who write Python, and what it says here in its place."""


def as_typed(message: str) -> str:
    """Return a mistake's message with the arguments that it names called as they were typed, and without Python."""
    for pattern, said in FOR_PROGRAMS:
        message = pattern.sub(said, message)
    word = re.match(r"\w+", message)
    if word is None or word[0] not in TYPED:
        return message
    # Further on, a word such as "type" is just that word; one with an underscore is an argument's name.
    further = re.sub(
        r"(?<![a-z_])[a-z_]+",
        lambda found: TYPED.get(found[0], found[0]) if "_" in found[0] else found[0],
        message[word.end() :],
    )
    return TYPED[word[0]] + further


def moment_of(text: str | None, option: str = "--since") -> date | None:
    """Return the day or moment of an option.

    Raises:
        typer.BadParameter: it is neither.
    """
    if text is None:
        return None
    for read in (date.fromisoformat, datetime.fromisoformat):
        with suppress(ValueError):
            return read(text)
    raise typer.BadParameter(f"{option} {text} is no day and no moment; write 2026-05-17 or 2026-05-17T12:00:00Z")
