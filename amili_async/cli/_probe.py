"""``amili probe``: finds out, by reading alone, which assumptions hold on a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from amili_async.cli._client_context import opened
from amili_async.cli._console import printable, say, write_json
from amili_async.cli._options import OrganizationId
from amili_async.cli._running import DONE, run


def probe(
    organization_id: OrganizationId,
    *,
    routes: Annotated[
        list[str] | None,
        typer.Option("--routes", metavar="OPERATION", help="Try this undocumented GET too; may be given again."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the profile there: for `amili --profile`, and to be shared.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Keep each answer there with every value replaced, for a sandbox to serve.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The profile as JSON.")] = False,
) -> None:
    """Ask the server some twenty questions about one organization, and say what is not as assumed. Nothing is written.

    Neither the page nor the file holds an id, a name or an amount.
    """

    async def work() -> int:
        from amili_async.probe import Recorder  # noqa: PLC0415  # the other commands start without it
        from amili_async.probe import probe as ask  # noqa: PLC0415  # the same

        recorder = None if record is None else Recorder(record)
        async with opened() as amili:
            profile = await ask(amili, organization_id, routes=routes or (), recorder=recorder)
        if as_json:
            write_json(msgspec.json.encode(profile))
        else:
            sys.stdout.write("".join(f"{printable(line)}\n" for line in profile.page().splitlines()))
        sys.stdout.flush()  # what was found is told before a file that cannot be written ends it
        if save is not None:
            profile.save(save)
            say(f"The profile is in {save}: amili --profile {save} goes by it.")
        return DONE

    run(work)
