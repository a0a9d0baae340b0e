"""``amili sandbox``: serves an Amili with made-up data, and prints how to talk to it."""

from __future__ import annotations

import asyncio
import errno
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from amili_async._environment import variable
from amili_async.cli._console import say
from amili_async.cli._running import run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from amili_async.sandbox import Sandbox


def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at; 0 for any that is free.")] = 8080,
    organizations: Annotated[int, typer.Option(min=1, help="How many organizations there are.")] = 20,
    batches: Annotated[int, typer.Option(min=0, help="How many batches each of them has.")] = 500,
    seed: Annotated[int, typer.Option(help="The same seed makes the same data.")] = 1,
    generation: Annotated[Literal["G1", "G2", "G3"], typer.Option(help="Which shape of the API.")] = "G3",
    latency: Annotated[str, typer.Option(help="How long each answer takes, such as 20ms.")] = "0ms",
    fault: Annotated[
        list[str] | None,
        typer.Option(help="What goes wrong, such as batches.list:status=503,count=3. May be given again."),
    ] = None,
    orgs_file: Annotated[
        Path | None, typer.Option(help="Write the organizations' ids there, for amili sync --orgs-file.")
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(help="Deliver events there, such as http://127.0.0.1:8000/amili/webhooks.")
    ] = None,
    webhook_secret: Annotated[
        str,
        typer.Option(
            envvar="AMILI_WEBHOOK_SECRET",
            help="What events are signed with: an HMAC-SHA256 of the body, in hex, in X-Webhook-Signature.",
        ),
    ] = "sandbox webhook secret",  # noqa: S107  # the sandbox's own, which is not secret
    undocumented: Annotated[
        bool, typer.Option("--undocumented", help="Say more than the public pages do, to see that it is carried.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --orgs-file where it is there.")] = False,
) -> None:
    """Serve a sandbox until Control-C, and print the lines that point every other command at it."""
    from amili_async.sandbox import Fault, Sandbox  # noqa: PLC0415  # the other commands start without it
    from amili_async.sandbox._faults import seconds  # noqa: PLC0415  # the same

    if orgs_file is not None and orgs_file.exists() and not overwrite:
        raise typer.BadParameter(f"--orgs-file {orgs_file} is there already; name another, or say --overwrite")
    try:
        variable("AMILI_WEBHOOK_SECRET")  # typer takes an empty one for none, and what it stands before in silence
        server = Sandbox(
            organizations=organizations,
            batches=batches,
            seed=seed,
            generation=generation,
            latency=seconds(latency),
            port=port,
            webhook_url=webhook_url,
            webhook_secret=webhook_secret,
            undocumented=undocumented,
            log_limit=0,
        )
        for line in fault or ():
            server.faults.add(Fault.parse(line))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

    async def work() -> int:
        async with server:
            introduce(server, batches)
            if orgs_file is not None:
                orgs_file.write_text("".join(f"{id_}\n" for id_ in server.organization_ids), "utf-8")
            return await forever()

    run(lambda: _at_port(work, port))


async def _at_port(work: Callable[[], Coroutine[object, object, int]], port: int) -> int:
    try:
        return await work()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        message = f"port {port} is in use already; --port names another, and --port 0 takes any that is free"
        raise OSError(errno.EADDRINUSE, message) from None


async def forever() -> int:
    """Wait for Control-C; nothing else ends it."""
    never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return await never


def introduce(server: Sandbox, batches: int) -> None:
    """Print the lines to paste, and to whom they lead."""
    settings = {
        "AMILI_BASE_URL": server.base_url,
        "AMILI_TOKEN_URL": server.token_url,
        "AMILI_AUTOCOLLECT_URL": server.autocollect_url,
        "AMILI_CLIENT_ID": server.credentials[0],
        "AMILI_CLIENT_SECRET": server.credentials[1],
    }
    for name, value in settings.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    sys.stdout.flush()
    ids = server.organization_ids
    say(f"Serving {len(ids):,} organizations with {batches:,} batches each at {server.origin} until Control-C.")
    if server.webhooks.url is not None:
        say(f"Events go to {server.webhooks.url}, signed with AMILI_WEBHOOK_SECRET or --webhook-secret.")
    say(f"Paste the lines above into another shell, then: amili batches list {ids[0]}")
