"""The sandbox's state: the seeded population, and what requests and tests have added to it and changed in it."""

from __future__ import annotations

import heapq
from collections import defaultdict
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Literal

from amili_async.sandbox._identifiers import ENTRIES, ORGANIZATIONS, SEQUENCES, Kind
from amili_async.sandbox._seed_data import (
    FAILED,
    PARTIAL,
    QUEUED,
    SUCCESS,
    Batch,
    FailedItem,
    Organization,
    SeedData,
    SucceededItem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Order = Literal["newest", "oldest", "shuffled"]
"""The order of lists where a request asks for none."""


class Ledger:
    """What is known of one organization beyond the seed."""

    __slots__ = ("added", "changed", "keys", "order")

    def __init__(self) -> None:
        self.added: list[Batch] = []
        self.changed: dict[int, Batch] = {}
        self.keys: dict[str, int] = {}
        """The sequence of the added batch with an idempotency key."""
        self.order: list[int] | None = None
        """Sequences in the order of a server that shuffles."""


class State:
    """All organizations and their batches. Its methods may be called from any thread."""

    def __init__(self, seed_data: SeedData, *, order: Order, clock: Callable[[], float]) -> None:
        self.seed_data = seed_data
        self.organizations = [seed_data.organization(index) for index in range(seed_data.count)]
        self.lock = RLock()
        self.version = 0
        """Grows with every change: pages rendered under another version are stale."""
        self._order: Order = order
        self._clock = clock
        self._ledgers: defaultdict[int, Ledger] = defaultdict(Ledger)
        self._by_id = {organization.id: organization for organization in self.organizations}
        self._due: list[tuple[float, str]] = []
        self._effects: dict[str, Callable[[], None]] = {}
        self._polls: dict[str, int] = {}
        self.on_finished: Callable[[Batch], None] = lambda _: None
        """Told of every batch that is done."""
        self.on_due: Callable[[float], None] = lambda _: None
        """Told of every instant (Unix seconds) at which a batch will be done."""

    def organization(self, organization_id: str) -> Organization | None:
        """Return an organization by its id."""
        return self._by_id.get(organization_id.lower())

    def ledger(self, organization: Organization) -> Ledger:
        """Return what is known of an organization beyond the seed."""
        return self._ledgers[organization.ordinal]

    # Reading

    def length(self, organization: Organization) -> int:
        """Return how many batches an organization has."""
        return self.seed_data.batches + len(self.ledger(organization).added)

    def batch(self, organization: Organization, sequence: int) -> Batch:
        """Return a batch as it stands."""
        ledger = self.ledger(organization)
        changed = ledger.changed.get(sequence)
        if changed is not None:
            return changed
        if sequence < self.seed_data.batches:
            return self.seed_data.batch(organization, sequence)
        return ledger.added[sequence - self.seed_data.batches]

    def find_batch(self, batch_id: str) -> Batch | None:
        """Return a batch by its id."""
        place = self.seed_data.identifiers.read(batch_id)
        if place is None or place.kind is not Kind.BATCH or place.organization >= len(self.organizations):
            return None
        organization = self.organizations[place.organization]
        return self.batch(organization, place.sequence) if place.sequence < self.length(organization) else None

    def sequences(self, organization: Organization, *, descending: bool, after: int | None) -> Iterator[int]:
        """Return the sequences of an organization's batches in a list's order, from behind one of them on.

        What is added meanwhile moves no page: in the natural orders it comes before the first row or after the last.
        """
        if self._order == "shuffled":
            return iter(self._shuffled(organization, after))
        length = self.length(organization)
        if descending:
            return iter(range((length if after is None else after) - 1, -1, -1))
        return iter(range(0 if after is None else after + 1, length))

    def _shuffled(self, organization: Organization, after: int | None) -> Sequence[int]:
        ledger = self.ledger(organization)
        length = self.length(organization)
        if ledger.order is None or len(ledger.order) != length:
            seed = self.seed_data.seed
            keys = [(Random(f"{seed}/{organization.ordinal}/{n}").random(), n) for n in range(length)]  # noqa: S311  # order
            ledger.order = [sequence for _, sequence in sorted(keys)]
        return ledger.order if after is None else ledger.order[ledger.order.index(after) + 1 :]

    # Changing

    def add_batch(
        self,
        organization: Organization,
        *,
        type: str,
        succeeded: Sequence[SucceededItem],
        failed: Sequence[FailedItem | None],
        state: str | None = None,
        idempotency_key: str | None = None,
        created_at: int | None = None,
    ) -> Batch:
        """Add a batch after all others of its organization; its state is what its entries make it, unless given."""
        with self.lock:
            ledger = self.ledger(organization)
            sequence = self.length(organization)
            if sequence >= SEQUENCES:
                raise ValueError(f"an organization of the sandbox holds {SEQUENCES} batches at most")
            now = int(self._clock() * 1000) if created_at is None else created_at
            make = self.seed_data.identifiers.make
            batch = Batch(
                organization=organization,
                sequence=sequence,
                id=make(Kind.BATCH, organization.ordinal, sequence),
                type=type,
                state=outcome(len(succeeded), len(failed)) if state is None else state,
                created_at=now,
                finished_at=None if state == QUEUED else now,
                created_by=make(Kind.PERSON, organization.ordinal, 0, 0),
                lines=len(succeeded) + len(failed),
                failures=len(failed),
                idempotency_key=idempotency_key or f"sandbox-{organization.ordinal}-{sequence}",
                succeeded=tuple(succeeded),
                failed=tuple(failed),
            )
            ledger.added.append(batch)
            if idempotency_key is not None:
                ledger.keys[idempotency_key] = sequence
            self.touch()
            return batch

    def next_batch(self, organization: Organization, created_at: int) -> Batch:
        """Return what the next batch of an organization would be, for what has to know it beforehand."""
        sequence = self.length(organization)
        return self.seed_data.batch(organization, sequence, finished=True)._replace(created_at=created_at)

    def invoice_success(
        self, organization: Organization, sequence: int, entry: int, number: str | None = None
    ) -> SucceededItem:
        """Return the entry that an invoice of a batch becomes."""
        make = self.seed_data.identifiers.make
        return SucceededItem(
            "invoiceSuccess",
            make(Kind.INVOICE, organization.ordinal, sequence, entry),
            number or f"F-{100_000 + sequence}-{entry:02d}",
            make(Kind.CASE, organization.ordinal, sequence, entry),
        )

    def finish(self, batch: Batch, state: str | None = None) -> Batch:
        """End a queued batch: with what becomes of its entries, or as the state says."""
        with self.lock:
            if batch.state != QUEUED:
                return batch
            now = int(self._clock() * 1000)
            if batch.succeeded is None:
                done = self.seed_data.batch(batch.organization, batch.sequence, finished=True)
            else:
                state_by_entries = outcome(batch.lines - batch.failures, batch.failures)
                done = batch._replace(state=state_by_entries, finished_at=max(now, batch.created_at))
            if state is not None:
                done = done._replace(state=state)
            ledger = self.ledger(batch.organization)
            ledger.changed[batch.sequence] = done
            self._polls.pop(batch.id, None)
            self.touch()
            self._effects.pop(batch.id, _nothing)()
            self.on_finished(done)
            return done

    def when_finished(self, batch: Batch, effect: Callable[[], None]) -> None:
        """Do something when a queued batch is done."""
        self._effects[batch.id] = effect

    def finish_at_poll(self, batch: Batch, polls: int) -> None:
        """End a queued batch after so many looks at it."""
        self._polls[batch.id] = polls

    def poll(self, batch: Batch) -> Batch:
        """Return a batch as someone sees who asks for it alone, which may be what ends it."""
        remaining = self._polls.get(batch.id)
        if remaining is None:
            return batch
        if remaining > 0:
            self._polls[batch.id] = remaining - 1
            return batch
        return self.finish(batch)

    def finish_at(self, batch: Batch, instant: float) -> None:
        """End a queued batch when the clock reaches an instant (Unix seconds)."""
        with self.lock:
            heapq.heappush(self._due, (instant, batch.id))
        self.on_due(instant)

    def finish_due(self) -> list[Batch]:
        """End the batches whose time has come, and return them."""
        done: list[Batch] = []
        if self._due:
            with self.lock:
                now = self._clock()
                while self._due and self._due[0][0] <= now:
                    batch = self.find_batch(heapq.heappop(self._due)[1])
                    if batch is not None and batch.state == QUEUED:
                        done.append(self.finish(batch))
        return done

    def touch(self) -> None:
        """Take every page rendered so far for stale."""
        self.version += 1


def outcome(succeeded: int, failed: int) -> str:
    """Return the state of a batch that is done."""
    if not failed:
        return SUCCESS
    return PARTIAL if succeeded else FAILED


def _nothing() -> None:
    """Do nothing."""


def check_size(organizations: int, batches: int, entries: int) -> None:
    """Refuse a population that ids cannot tell apart."""
    for name, value, least, most in (
        ("organizations", organizations, 1, ORGANIZATIONS - 1),
        ("batches", batches, 0, SEQUENCES // 2),
        ("entries", entries, 0, ENTRIES // 2 - 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
            raise ValueError(f"{name} must be {least} to {most}, not {value!r}")
