"""Whether a write took effect that was sent and not answered: where to look, for how long, and what that proves.

That something was seen proves that it took effect. That nothing was seen proves nothing: a server may be slow, and
whether its list heeds the filter by key shows only where it finds something. So there is no answer "it did not".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar
from uuid import uuid4

import msgspec

from amili_async._protocol.requests import identifier
from amili_async._protocol.retry import growing_pauses
from amili_async._upstream.msgspec import public_in
from amili_async.errors import AmiliError, APIError, DeadlineExceededError, DecodeError, detach
from amili_async.models import Batch, Invoice, InvoiceSuccess, NewInvoice
from amili_async.resources._arguments import check_key
from amili_async.resources._polling import LONGEST_PAUSE, is_passing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async._protocol.requests import Identifier
    from amili_async.models import SucceededEntry
    from amili_async.resources._operation_client import OperationClient

R = TypeVar("R")
T = TypeVar("T")

AT_A_LOOK = 8
"""How many invoices of a write are looked for at a look, in turns; the last look is for all of them."""

LAST_LOOK = 5.0
"""Seconds before the deadline, at most, at which the last look begins."""

NOTHING = "none"
"""What is said of a place where nothing was."""

SHORTEST_READ = 0.1
"""Seconds that a read may take, at least, however near the deadline is."""

_UNKNOWN_FILTER = frozenset({400, 405, 410, 422, 501})
"""Statuses that say of a filter or a list that a server does not have it."""


@public_in("amili_async.resources")
class TookEffect(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """The write was seen to have taken effect: do not send it again."""

    batches: tuple[Batch, ...] = ()
    """The batch that the write became, as it was when it was seen; more than one where it was sent more than once."""
    invoices: tuple[Invoice, ...] = ()
    """The invoices of the write that were found at Amili, where they were what was seen."""
    missing: tuple[R, ...] = ()
    """What of the write was not found beside those: still being worked on, or refused."""
    seconds: float
    """How long it took to find out."""

    @property
    def batch(self) -> Batch | None:
        """The batch that the write became, for ``batches.wait``; ``None`` where its invoices alone were seen."""
        return self.batches[0] if self.batches else None

    def __repr__(self) -> str:
        seen = [f"{len(self.batches)} batches"] if self.batches else []
        seen += [f"{len(self.invoices)} invoices found, {len(self.missing)} missing"] if self.invoices else []
        return f"TookEffect({', '.join(seen)})"


@public_in("amili_async.resources")
class NotSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The write was not seen, which does not prove that it did not take effect: ask Amili before sending it again."""

    places: tuple[str, ...]
    """Where it was looked for, and what there was."""
    seconds: float
    """For how long."""

    def __str__(self) -> str:
        return (
            f"not seen in {self.seconds:.0f} s ({'; '.join(self.places)}). It may have taken effect all the same: "
            "ask Amili before sending it again"
        )


WriteOutcome: TypeAlias = TookEffect[R] | NotSeen
"""What `find_outcome` found out about a write."""


class OutcomeSearch(Generic[R]):
    """One search for what became of a write: for its batch by the write's key, and for its invoices by number."""

    def __init__(
        self, caller: OperationClient, organization_id: Identifier, items: Sequence[R], *, idempotency_key: str | None
    ) -> None:
        self._caller = caller
        self._organization = identifier(organization_id, "organization_id")
        self._items = items
        self._invoices: dict[int, NewInvoice] = {
            index: item for index, item in enumerate(items) if isinstance(item, NewInvoice)
        }
        self._key = check_key(idempotency_key)
        self._ends = 0.0
        self._turn = 0
        self._places: dict[str, str] = {}
        """Where it was looked, and what there was; empty while nothing could be read."""

    async def run(self, deadline: float) -> WriteOutcome[R]:
        """Look again and again, with growing pauses, until something is seen or the deadline is near.

        Raises:
            DeadlineExceededError: no place could be looked into at all.
            AmiliError: the server refused, as any read may be.
        """
        try:
            return await self._run(deadline)
        except AmiliError as error:
            del self  # what was sent, and the filters by which it was looked for
            detach(error)
            raise

    async def _run(self, deadline: float) -> WriteOutcome[R]:
        clock = self._caller.transport.clock
        begun = clock.monotonic()
        self._ends = begun + deadline
        last_look = self._ends - min(LAST_LOOK, deadline / 4)
        problem: AmiliError | None = None
        pauses = growing_pauses(LONGEST_PAUSE)
        while True:
            last = clock.monotonic() >= last_look
            for look in (self._by_key, partial(self._by_number, everything=last)):
                try:
                    found = await look()
                except AmiliError as error:
                    if not is_passing(error):
                        raise
                    problem = error
                else:
                    if found is not None:
                        return msgspec.structs.replace(found, seconds=clock.monotonic() - begun)
            if last:
                break
            await clock.sleep(min(next(pauses), max(0.0, last_look - clock.monotonic())))
        seconds = clock.monotonic() - begun
        if not self._places:
            raise DeadlineExceededError(
                f"nothing could be read in {seconds:.0f} s where the write would show; look again, and do not send it "
                "again"
            ) from problem
        return NotSeen(places=tuple(f"{place}: {there}" for place, there in self._places.items()), seconds=seconds)

    async def _by_key(self) -> TookEffect[R] | None:
        if self._key is None:
            return None
        place = "batches by idempotency key"
        batches = await self._first_page(place, "batches.list", Batch, ("IdempotencyKey", self._key))
        if not batches:
            return None
        # A server that does not know the filter lists all batches: it would also for a key that nobody has used.
        others = await self._first_page(place, "batches.list", Batch, ("IdempotencyKey", str(uuid4())))
        if not others and self._places[place] == NOTHING:
            return TookEffect(batches=tuple(batches), seconds=0.0)
        self._places[place] = "whether this server heeds the filter is not known"
        if others:
            self._places[place] = "this server does not heed the filter"
        numbers = {invoice.invoice_number for invoice in self._invoices.values()}
        own = [batch for batch in batches if any(_number_of(entry) in numbers for entry in batch.succeeded)]
        return TookEffect(batches=tuple(own), seconds=0.0) if own else None

    async def _by_number(self, *, everything: bool) -> TookEffect[R] | None:
        indexes = [*self._invoices]
        if len(indexes) > AT_A_LOOK and not everything:
            indexes = [indexes[(self._turn + step) % len(indexes)] for step in range(AT_A_LOOK)]
            self._turn += AT_A_LOOK
        found = {index: invoice for index in indexes if (invoice := await self._invoice(index)) is not None}
        if not found:
            return None
        others = [index for index in self._invoices if index not in indexes]
        found |= {index: invoice for index in others if (invoice := await self._invoice(index)) is not None}
        return TookEffect(
            invoices=tuple(found[index] for index in sorted(found)),
            missing=tuple(item for index, item in enumerate(self._items) if index not in found),
            seconds=0.0,
        )

    async def _invoice(self, index: int) -> Invoice | None:
        sent = self._invoices[index]
        own_id = sent.unique_source_invoice_id
        by = ("UniqueSourceInvoiceId", own_id) if own_id else ("InvoiceNumber", sent.invoice_number)
        listed = await self._first_page("invoices by number", "invoices.list", Invoice, by)
        # Of a server that does not know the filter, any invoice may come.
        return next((invoice for invoice in listed if invoice.invoice_number == sent.invoice_number), None)

    async def _first_page(self, place: str, operation: str, row_type: type[T], by: tuple[str, str]) -> list[T]:
        """Return the rows of a list's first page; none where a server does not have the filter."""
        options, left = self._caller.options, self._ends - self._caller.transport.clock.monotonic()
        limits = [each for each in (max(left, SHORTEST_READ), options.deadline) if each is not None]
        caller = self._caller.with_options(msgspec.structs.replace(options, deadline=min(limits)))
        pager = caller.pager(
            operation, self._organization, row_type=row_type, query=(by,), prefetch=False, on_invalid="skip"
        )
        there, rows = NOTHING, list[T]()
        try:
            async with pager:
                rows += (await anext(pager.pages())).items
        except APIError as error:
            if error.status not in _UNKNOWN_FILTER:
                raise
            there = f"answered {error.status}"
        except DecodeError:
            there = "an answer that cannot be read"
        self._places[place] = there
        return rows


def _number_of(entry: SucceededEntry) -> str | None:
    return entry.invoice_number if isinstance(entry, InvoiceSuccess) else None
