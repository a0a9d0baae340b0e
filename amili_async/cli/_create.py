"""``amili invoices create``, and payments and corrections: a file's rows to Amili, none of them twice."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import msgspec
import typer

from amili_async._protocol.requests import identifier
from amili_async.cli._client_context import opened
from amili_async.cli._console import say, write_json, write_row
from amili_async.cli._input import Row, read_input
from amili_async.cli._journal import Ended, Heading, Journal
from amili_async.cli._options import AsJson, OrganizationId, as_typed
from amili_async.cli._running import DONE, FAILED, USAGE, command_line, run
from amili_async.errors import (
    AmiliError,
    BadRequestError,
    ConflictError,
    OutcomeUnknownError,
    UnprocessableError,
)
from amili_async.models._request import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from amili_async import Accepted, AmiliClient
    from amili_async.cli._journal import Sent

M = TypeVar("M", bound=Request)

CHUNK = 100

SKIPPED = (BadRequestError, ConflictError, UnprocessableError)
"""What Amili says of one write's rows: the writes after it are sent all the same."""

InputFile = Annotated[Path, typer.Option("--file", help="A .jsonl or .csv file, a row for each object to send.")]
JournalFile = Annotated[
    Path | None, typer.Option("--journal", help="Where it is noted what was sent; beside the file otherwise.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every row, say what would be sent, and send nothing.")]
Resend = Annotated[
    bool, typer.Option("--resend", help="Send again what may have taken effect. Amili promises not to notice.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before sending to production.")]
ChunkSize = Annotated[int, typer.Option(min=1, help="Rows a write.")]


@dataclass(frozen=True)
class Kind(Generic[M]):
    """What is sent: its name, its model, how it is sent, and which members matter to a person."""

    name: str
    model: type[M]
    send: Callable[[AmiliClient, str, Sequence[M], str], Awaitable[Accepted]]
    amount: str
    unique: str | None = None


@dataclass(frozen=True)
class Write(Generic[M]):
    """A write to be made: its rows by their digests, and as what it was sent before, if it was."""

    digests: tuple[str, ...]
    models: tuple[M, ...]
    again: Sent | None = None


@dataclass(frozen=True)
class Plan(Generic[M]):
    """What is left to do of a file."""

    writes: list[Write[M]]
    done: int
    """Rows that earlier runs sent and Amili accepted."""
    unknown: list[Sent]
    """Writes of earlier runs that may have taken effect, and are left alone."""


def digests(rows: Iterable[Row[M]]) -> list[str]:
    """Return what each row is known by: what is sent of it, and the how-manieth of its kind it is."""
    seen: Counter[str] = Counter()
    found: list[str] = []
    for row in rows:
        digest = hashlib.sha256(msgspec.json.encode(row.model.to_builtins())).hexdigest()[:32]
        seen[digest] += 1
        found.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return found


def plan(rows: Sequence[Row[M]], journal: Journal, *, chunk_size: int, resend: bool) -> Plan[M]:
    """Return which writes are to be made: what was never sent or was refused; with ``resend`` the unknown too."""
    known = dict(zip(digests(rows), (row.model for row in rows), strict=True))
    accepted = journal.rows("accepted")
    unknown = journal.unknown()
    again = [sent for sent in unknown if resend and all(row in known for row in sent.rows)]
    held = {row for sent in unknown for row in sent.rows}
    fresh = [(digest, model) for digest, model in known.items() if digest not in accepted and digest not in held]
    writes = [Write(sent.rows, tuple(known[row] for row in sent.rows), sent) for sent in again]
    for start in range(0, len(fresh), chunk_size):
        chunk = fresh[start : start + chunk_size]
        writes.append(Write(tuple(digest for digest, _ in chunk), tuple(model for _, model in chunk)))
    left = [sent for sent in unknown if sent not in again]
    return Plan(writes, sum(digest in accepted for digest in known), left)


def create(
    kind: Kind[M],
    organization_id: str,
    file: Path,
    *,
    journal: Path | None,
    dry_run: bool,
    resend: bool,
    yes: bool,
    chunk_size: int,
    as_json: bool,
) -> None:
    """Send a file's rows, and leave with the exit status: 0 where all of them are with Amili."""

    async def work() -> int:
        identifier(organization_id, "organization_id")
        rows, problems = read_input(file, kind.model, unique=kind.unique)
        if problems:
            for problem in problems:
                say(as_typed(problem))
            say(f"{len(problems):,} {'problem' if len(problems) == 1 else 'problems'} in {file}; nothing was sent.")
            return USAGE
        async with opened() as amili:
            server = amili.caller.transport.endpoints.base_url
            heading = Heading(operation=f"{kind.name}.create", organization_id=organization_id, server=server)
            where = journal or file.with_name(f"{file.name}.journal")
            if dry_run and not where.exists():
                _tell_plan(kind, Plan([Write((), tuple(row.model for row in rows))], 0, []), organization_id)
                return DONE
            with Journal(where, heading) as noted:
                planned = plan(rows, noted, chunk_size=chunk_size, resend=resend)
                _tell_plan(kind, planned, organization_id)
                if planned.writes and not dry_run:
                    if not yes and is_production(server) and not _confirmed():
                        return FAILED
                    return await _send(amili, kind, organization_id, planned, noted, as_json=as_json)
                return FAILED if planned.unknown else DONE

    run(work, resume=command_line)


async def _send(
    amili: AmiliClient, kind: Kind[M], organization_id: str, planned: Plan[M], noted: Journal, *, as_json: bool
) -> int:
    status = FAILED if planned.unknown else DONE
    for write in planned.writes:
        sent = noted.begin(write.digests) if write.again is None else noted.begin_again(write.again)
        try:
            accepted = await kind.send(amili, organization_id, write.models, sent.key)
        except OutcomeUnknownError as error:
            noted.end(Ended(write=sent.write, outcome="unknown", error=error.message))
            _tell_unknown(kind, organization_id, sent)
            raise
        except AmiliError as error:
            noted.end(Ended(write=sent.write, outcome="refused", error=error.message))
            if not isinstance(error, SKIPPED):
                raise
            say(f"{len(sent.rows):,} {kind.name} were refused, and will be sent again by the next run: {error}")
            status = FAILED
            continue
        ended = Ended(write=sent.write, outcome="accepted", batch_id=accepted.batch_id)
        try:
            noted.end(ended)
        finally:  # a disk that is full has no room for it, and then this is all that the user has
            if as_json:
                write_json(msgspec.json.encode({"batchId": accepted.batch_id, "rows": len(sent.rows), "key": sent.key}))
            else:
                write_row(("accepted", accepted.batch_id, f"{len(sent.rows):,} {kind.name}"))
            sys.stdout.flush()
    return status


def _tell_plan(kind: Kind[M], planned: Plan[M], organization_id: str) -> None:
    models = [model for write in planned.writes for model in write.models]
    sums: dict[str, Decimal] = {}
    for model in models:
        currency = str(getattr(model, "currency", None) or "of no named currency")
        amount = getattr(model, kind.amount)
        sums[currency] = sums.get(currency, Decimal(0)) + (amount if isinstance(amount, Decimal) else Decimal(0))
    worth = ", ".join(f"{amount:,f} {currency}" for currency, amount in sorted(sums.items()))
    before = f"; {planned.done:,} were sent before" if planned.done else ""
    say(f"{len(models):,} {kind.name} to send for {organization_id}{f', {worth}' if worth else ''}{before}.")
    for sent in planned.unknown:
        _tell_unknown(kind, organization_id, sent)


def _tell_unknown(kind: Kind[M], organization_id: str, sent: Sent) -> None:
    say(
        f"{len(sent.rows):,} {kind.name} may have been sent and are left alone. Find out first: "
        f"amili batches list {organization_id} --idempotency-key {sent.key}\n"
        "  No header of Amili's makes a repeat safe; --resend sends them again all the same."
    )


def is_production(server: str) -> bool:
    """Return whether a server is Amili's own for real cases."""
    from amili_async._http.endpoints import ENVIRONMENTS  # noqa: PLC0415  # the other commands start without it

    return server == ENVIRONMENTS["production"].base_url


def _confirmed() -> bool:
    if not asked_at_terminal():
        say("This is production, and nobody can be asked: say --yes. Nothing was sent.")
        return False
    if typer.confirm("This is production. Send them?", err=True):
        return True
    say("Nothing was sent.")
    return False


def asked_at_terminal() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin.isatty()


payments = typer.Typer(help="Payments that you received directly.", no_args_is_help=True)
corrections = typer.Typer(help="Corrections of what is owed, such as credit notes.", no_args_is_help=True)


@payments.callback()
@corrections.callback()
def group() -> None:
    """Keep ``create`` a command of its own, though it is the only one."""


def create_invoices(
    organization_id: OrganizationId,
    file: InputFile,
    *,
    journal: JournalFile = None,
    dry_run: DryRun = False,
    resend: Resend = False,
    yes: Yes = False,
    chunk_size: ChunkSize = CHUNK,
    as_json: AsJson = False,
) -> None:
    """Send the invoices of a file. Run again, it sends only what was never sent; a journal beside the file knows."""
    from amili_async import NewInvoice  # noqa: PLC0415  # the other commands start without it

    kind = Kind(
        "invoices",
        NewInvoice,
        lambda amili, owner, models, key: amili.invoices.create(owner, models, idempotency_key=key),
        "original_invoice_amount",
        "invoice_number",
    )
    create(
        kind, organization_id, file,
        journal=journal, dry_run=dry_run, resend=resend, yes=yes, chunk_size=chunk_size, as_json=as_json,
    )  # fmt: skip


@payments.command("create")
def create_payments(
    organization_id: OrganizationId,
    file: InputFile,
    *,
    journal: JournalFile = None,
    dry_run: DryRun = False,
    resend: Resend = False,
    yes: Yes = False,
    chunk_size: ChunkSize = CHUNK,
    as_json: AsJson = False,
) -> None:
    """Tell Amili of the payments of a file, each once; as ``amili invoices create``."""
    from amili_async import NewPayment  # noqa: PLC0415  # the other commands start without it

    kind = Kind(
        "payments",
        NewPayment,
        lambda amili, owner, models, key: amili.payments.create(owner, models, idempotency_key=key),
        "amount",
    )
    create(
        kind, organization_id, file,
        journal=journal, dry_run=dry_run, resend=resend, yes=yes, chunk_size=chunk_size, as_json=as_json,
    )  # fmt: skip


@corrections.command("create")
def create_corrections(
    organization_id: OrganizationId,
    file: InputFile,
    *,
    journal: JournalFile = None,
    dry_run: DryRun = False,
    resend: Resend = False,
    yes: Yes = False,
    chunk_size: ChunkSize = CHUNK,
    as_json: AsJson = False,
) -> None:
    """Tell Amili of the corrections of a file, each once; as ``amili invoices create``."""
    from amili_async import NewCorrection  # noqa: PLC0415  # the other commands start without it

    kind = Kind(
        "corrections",
        NewCorrection,
        lambda amili, owner, models, key: amili.corrections.create(owner, models, idempotency_key=key),
        "amount",
    )
    create(
        kind, organization_id, file,
        journal=journal, dry_run=dry_run, resend=resend, yes=yes, chunk_size=chunk_size, as_json=as_json,
    )  # fmt: skip
