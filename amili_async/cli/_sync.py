"""``amili sync``: the lists of many organizations into a database, resumable at any moment."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from amili_async.cli._client_context import known_profile, opened, opened_for
from amili_async.cli._console import say, say_each, write_json
from amili_async.cli._options import moment_of
from amili_async.cli._running import DONE, FAILED, command_line, run
from amili_async.cli._store import StoreName, store_url
from amili_async.cli._sync_output import shown_progress, tell_report

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from amili_async import AmiliClient, Profile
    from amili_async.sync import ClientPool, SqlStore, SyncReport


class Resource(StrEnum):
    """What can be synced; typer takes no list of literals."""

    BATCHES = "batches"
    INVOICES = "invoices"
    CASES = "cases"
    SETTLEMENTS = "settlements"


SANDBOX_ORGANIZATIONS = 20
SANDBOX_BATCHES = 500

SYNC_ASSUMES = frozenset({"order", "sort", "batch-by-id", "pages", "token-again", "token-refused", "date", "last-page"})
"""The findings of a profile that a sync builds on."""

NEVER = "never"
"""What --reconcile takes beside an age."""

AGE = re.compile(r"([0-9]{1,6})([dhms])")
SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

DASK_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application")
"""Each has a level of its own, which holds whatever those above it have."""

CONNECTIONS = 16
"""Requests at once at least, as any client: pages read ahead and rows read again come on top of the lists."""


def sync(
    context: typer.Context,
    *,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Sync from a sandbox in this process; needs no account.")
    ] = False,
    organization_ids: Annotated[
        list[str] | None, typer.Option("--org", metavar="ORGANIZATION", help="An id; may be given again.")
    ] = None,
    orgs_file: Annotated[
        Path | None,
        typer.Option(help="A file with an id a line; # after a blank begins a comment, - is standard input."),
    ] = None,
    creditors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML or JSON file of creditors: their organizations, and where the credentials for these are.",
        ),
    ] = None,
    store: StoreName = "amili.db",
    resource: Annotated[
        list[Resource] | None,
        typer.Option(metavar="NAME", help="batches, invoices, cases or settlements; may be given again."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="How many organizations at once.")] = 8,
    full: Annotated[bool, typer.Option("--full", help="Read every page, whatever the store has.")] = False,
    since: Annotated[str | None, typer.Option(help="Leave out what is older than this day or moment.")] = None,
    reconcile: Annotated[
        str,
        typer.Option(
            metavar="AGE", help="Read a list from end to end when the last time is longer ago: 7d, 36h, never."
        ),
    ] = "7d",
    refresh: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Read known invoices and cases again only when that is longer ago: 24h; else each run."
        ),
    ] = None,
    max_gone: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="The part of an organization's rows that may be gone at once; more is failure."
        ),
    ] = 0.05,
    max_failures: Annotated[int | None, typer.Option(min=1, help="Stop when so many organizations failed.")] = None,
    dask: Annotated[
        str | None, typer.Option(help="Work on a cluster: tcp://scheduler:8786, or local:4 for processes here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Sync organizations into a database; run again, it reads what is new and what was not final.

    Rows and position are written in one transaction: interrupted or killed, the same line goes on where it was.
    """
    if sandbox and dask is not None:
        raise typer.BadParameter("--sandbox is in this process alone: serve one with amili sandbox for --dask")
    if creditors is not None and (sandbox or dask is not None):
        other = "--sandbox has one client of its own" if sandbox else "--dask takes them from its workers' environment"
        raise typer.BadParameter(f"{other}: leave --creditors out")
    ids = _organizations(sandbox=sandbox, given=organization_ids or [], file=orgs_file, creditors=creditors)
    beginning = moment_of(since)
    reconcile_after = None if reconcile == NEVER else age_of(reconcile, "--reconcile")
    refresh_after = None if refresh is None else age_of(refresh, "--refresh")
    url = store_url(context, store)
    resources = tuple(resource or [Resource.BATCHES])

    async def on_cluster(address: str) -> int:
        from amili_async.sync import SqlStore, sync_on_dask  # noqa: PLC0415  # the other commands start without it

        # What it has to say of a lost scheduler is pages long, and the error says it in one line.
        for name in DASK_LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with shown_progress() as update:
            report = await sync_on_dask(
                address,
                ids,
                url,
                resources=resources,
                concurrency=concurrency,
                full=full,
                since=beginning,
                reconcile=reconcile_after,
                refresh=refresh_after,
                max_gone=max_gone,
                max_failures=max_failures,
                on_progress=update,
            )
        async with SqlStore(url) as kept:
            return await _concluded(report, store, kept, as_json=as_json)

    async def here() -> int:
        from amili_async.sync import SqlStore, sync  # noqa: PLC0415  # the other commands start without it

        source = _source(ids, concurrency, sandbox=sandbox, creditors=creditors)
        async with source as (amili, clients, there), SqlStore(url) as kept:
            warn_of_surprises(known_profile())
            with shown_progress() as update:
                report = await sync(
                    amili,
                    there,
                    kept,
                    clients=clients,
                    resources=resources,
                    concurrency=concurrency,
                    full=full,
                    since=beginning,
                    reconcile=reconcile_after,
                    refresh=refresh_after,
                    max_gone=max_gone,
                    max_failures=max_failures,
                    on_progress=update,
                )
            return await _concluded(report, store, kept, as_json=as_json)

    run(here if dask is None else lambda: on_cluster(dask), resume=command_line)


def age_of(text: str, option: str) -> timedelta:
    """Return an age such as ``7d``, ``24h``, ``30m`` or ``90s``.

    Raises:
        typer.BadParameter: it is none, or none above 0.
    """
    found = AGE.fullmatch(text)
    age = timedelta(seconds=int(found[1]) * SECONDS[found[2]]) if found else timedelta(0)
    if age <= timedelta(0):
        raise typer.BadParameter(f"{option} {text} is no age: write 7d, 24h, 30m or 90s")
    return age


def warn_of_surprises(profile: Profile | None) -> None:
    """Tell which assumptions of the sync do not hold on this server, as the profile has it."""
    surprises = [] if profile is None else [found for found in profile.surprises if found.name in SYNC_ASSUMES]
    if surprises:
        say("Not as a sync assumes, as the profile says; what it does about it stands in the page on bulk sync:")
        say_each(f"{finding.name}: {finding.found} (assumed: {finding.assumed})" for finding in surprises)


async def _concluded(report: SyncReport, store: str, kept: SqlStore, *, as_json: bool) -> int:
    """Tell what came of it and return the exit status."""
    if as_json:
        write_json(msgspec.json.encode(report))
    else:
        tell_report(report, store, {resource: await kept.count(resource) for resource in report.resources})
    sys.stdout.flush()  # before what goes to standard error from here on
    return DONE if report.ok else FAILED


@asynccontextmanager
async def _source(
    ids: list[str], concurrency: int, *, sandbox: bool, creditors: Path | None
) -> AsyncGenerator[tuple[AmiliClient | None, ClientPool | None, list[str]], None]:
    """Yield a client, or several creditors', and whose rows to read: those named, the file's, or a sandbox's."""
    connections = max(CONNECTIONS, concurrency)
    if creditors is not None:
        async with opened_for(creditors, ids or None, concurrency=connections) as clients:
            yield None, clients, list(clients)
        return
    if not sandbox:
        async with opened(hooks=(), concurrency=connections) as amili:
            yield amili, None, ids
        return
    from amili_async.sandbox import Sandbox  # noqa: PLC0415  # only where it is wanted

    async with (
        Sandbox(organizations=SANDBOX_ORGANIZATIONS, batches=SANDBOX_BATCHES) as server,
        opened(server, hooks=(), concurrency=connections) as amili,
    ):
        yield amili, None, server.organization_ids


def _organizations(*, sandbox: bool, given: list[str], file: Path | None, creditors: Path | None) -> list[str]:
    """Return whose rows are read, each id once, in the order given; none for the sandbox's or all of the creditors'.

    Raises:
        typer.BadParameter: nobody is named, an id is empty, or somebody is named beside ``--sandbox``.
    """
    if sandbox:
        if given or file:
            raise typer.BadParameter("--sandbox brings its own organizations: leave --org and --orgs-file out")
        return []
    ids = [*given, *read_ids(file)] if file else given
    if not ids and (file or creditors is None):
        raise typer.BadParameter("name organizations with --org, --orgs-file or --creditors, or try --sandbox")
    if not all(name.strip() for name in ids):
        raise typer.BadParameter("--org is empty; it is an organization's id")
    return list(dict.fromkeys(ids))


def read_ids(file: Path) -> list[str]:
    """Return the ids in a file, or in what standard input brings.

    Raises:
        typer.BadParameter: it cannot be read, or is no text.
    """
    from amili_async.sync._creditors import ids_in  # noqa: PLC0415  # the other commands start without it

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise typer.BadParameter(f"--orgs-file {file} cannot be read: {reason}") from None
    return ids_in(text)
