"""The ``amili`` command line put together: which commands there are and what they are called."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from amili_async.cli._batches import batches
from amili_async.cli._cases import cases
from amili_async.cli._invoices import invoices
from amili_async.cli._routes import routes
from amili_async.cli._sandbox import sandbox
from amili_async.cli._settlements import settlements
from amili_async.cli._sync import sync
from amili_async.cli._token import token

app = typer.Typer(
    help="Read, follow and bulk-sync what an Amili Collection API holds. Credentials come from AMILI_CLIENT_ID and "
    "AMILI_CLIENT_SECRET, or AMILI_TOKEN; the server from AMILI_ENVIRONMENT, or AMILI_BASE_URL and AMILI_TOKEN_URL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(sync)
for group, name in ((batches, "batches"), (invoices, "invoices"), (cases, "cases"), (settlements, "settlements")):
    app.add_typer(group, name=name)
app.command()(token)
app.command()(routes)
app.command()(sandbox)


def _print_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"amili-async {version('amili-async')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
