"""The ``amili`` command line put together: which commands there are and what they are called."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from amili_async.cli._batches import batches
from amili_async.cli._client_context import GlobalOptions, global_options
from amili_async.cli._collection import cases, invoices, settlements
from amili_async.cli._create import corrections, create_invoices, payments
from amili_async.cli._docs import docs
from amili_async.cli._export import export
from amili_async.cli._probe import probe
from amili_async.cli._report import report, status
from amili_async.cli._routes import routes
from amili_async.cli._sandbox import sandbox
from amili_async.cli._store import stores
from amili_async.cli._sync import sync
from amili_async.cli._token import token
from amili_async.cli._usage import OneLineGroup

app = typer.Typer(
    cls=OneLineGroup,
    help="Read, follow and bulk-sync what an Amili Collection API holds. Credentials come from AMILI_CLIENT_ID and "
    "AMILI_CLIENT_SECRET, or AMILI_TOKEN; the server from AMILI_ENVIRONMENT, or AMILI_BASE_URL and AMILI_TOKEN_URL. "
    "Options of `amili` itself stand before the command: amili --env staging batches list ORGANIZATION.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command()(sync)
invoices.command("create")(create_invoices)
for group, name in (
    (batches, "batches"),
    (invoices, "invoices"),
    (payments, "payments"),
    (corrections, "corrections"),
    (cases, "cases"),
    (settlements, "settlements"),
    (stores, "store"),
):
    app.add_typer(group, name=name)
app.command()(status)
app.command()(report)
app.command()(export)
app.command()(token)
app.command()(probe)
app.command()(routes)
app.command()(sandbox)
app.command()(docs)


def _print_version(*, asked: bool) -> None:
    if asked:
        parts = [f"{name} {version(name)}" for name in ("aiohttp", "msgspec")]
        typer.echo(f"amili-async {version('amili-async')} ({', '.join(parts)}, Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def options(
    *,
    env: Annotated[
        Literal["production", "staging"] | None, typer.Option(help="Which servers, in place of AMILI_ENVIRONMENT.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell each request and its answer, without ids, values and secrets.")
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(help="What `amili probe --save` found: page size, sort and routes go by it.")
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Show the version, and what it is built on."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""
    global_options.set(GlobalOptions(environment=env, debug=debug, profile=profile))
