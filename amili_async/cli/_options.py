"""The arguments and options that several commands share, each said once."""

from __future__ import annotations

from typing import Annotated

import typer

OrganizationId = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="The organization's id.")]

AsJson = Annotated[bool, typer.Option("--json", help="JSON as Amili wrote it, one object a line.")]

Limit = Annotated[int, typer.Option("--limit", min=1, help="How many rows to show at most.")]

All = Annotated[bool, typer.Option("--all", help="Show every row, however many there are.")]

CursorText = Annotated[
    str | None, typer.Option("--cursor", metavar="TEXT", help="Go on where an earlier list stopped, with its options.")
]

PageSize = Annotated[int | None, typer.Option("--page-size", min=1, help="Rows a request; Amili's default otherwise.")]

FromDay = Annotated[str | None, typer.Option("--from", metavar="DATE", help="From this day or moment on, as ISO text.")]

ToDay = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Up to this day or moment, as ISO text.")]
