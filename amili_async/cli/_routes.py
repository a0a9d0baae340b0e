"""``amili routes``: the whole API as the client knows it, and how sure each line is."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from amili_async._routes import ROUTES, Mark
from amili_async.cli._console import on_terminal, write_json, write_row
from amili_async.cli._running import DONE, run

STYLES: dict[Mark, str] = {"D": "green", "I": "yellow", "U": "red"}

LEGEND = (
    "D documented · I inferred from a documented sibling · U only the name is known, the path is a guess: "
    'give the confirmed one with AmiliClient(routes={"operation": "/path"})'
)


def routes(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Show every operation with its method, its path and how sure it is (D, I, U)."""
    run(lambda: _show(as_json=as_json))


async def _show(*, as_json: bool) -> int:
    if not as_json and on_terminal():
        _show_table()
        return DONE
    for route in ROUTES.values():
        if as_json:
            write_json(msgspec.json.encode(route._asdict()))
        else:
            write_row((route.mark, route.operation, route.method, route.path))
    return DONE


def _show_table() -> None:
    path = Column("path", overflow="fold")
    table = Table("", "operation", "", path, box=None, pad_edge=False)
    for route in ROUTES.values():
        table.add_row(route.mark, route.operation, route.method, route.path, style=STYLES[route.mark])
    console = Console(highlight=False)
    console.print(table)
    console.print(LEGEND, style="dim", markup=False)
