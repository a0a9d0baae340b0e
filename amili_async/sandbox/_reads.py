"""The operations that read batches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from amili_async.sandbox import _shapes as shapes
from amili_async.sandbox._identifiers import Kind
from amili_async.sandbox._pages import Answer, Page, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amili_async.sandbox._pages import Pages, Request
    from amili_async.sandbox._paging import Position
    from amili_async.sandbox._seed_data import Batch, Organization
    from amili_async.sandbox._shapes import Generation
    from amili_async.sandbox._state import State


class BatchReads:
    """Answers what asks for batches.

    Lists are newest first; ``SortDirection=ASC`` turns them round, unless the server is one that does not heed it. The
    documentation says nothing of either, so both are settings of the sandbox.
    """

    def __init__(
        self, world: State, pages: Pages, *, generation: Generation, heeds_sort: bool, newest_first: bool
    ) -> None:
        self._world = world
        self._pages = pages
        self._generation: Generation = generation
        self._heeds_sort = heeds_sort
        self._newest_first = newest_first

    def list(self, question: Request) -> Page:
        """Return a page of an organization's batches."""
        organization = organization_of(self._world, question)
        wanted = self._filter(question)
        descending = self._descending(question)

        def walk(after: Position | None) -> Iterator[tuple[Position, Callable[[], str]]]:
            start = after[0] if after is not None else None
            for sequence in self._world.sequences(organization, descending=descending, after=start):
                batch = self._world.batch(organization, sequence)
                if wanted(batch):
                    yield (sequence,), partial(self._render, batch)

        return self._pages.cut(question, walk)

    def list_all(self, question: Request) -> Page:
        """Return a page of all organizations' batches: those of a sequence side by side, which is the order of time."""
        wanted = self._filter(question)
        descending = self._descending(question)
        organizations = self._world.organizations

        def walk(after: Position | None) -> Iterator[tuple[Position, Callable[[], str]]]:
            longest = max(self._world.length(organization) for organization in organizations)
            sequences = range(longest - 1, -1, -1) if descending else range(longest)
            for sequence in sequences[sequences.index(after[0]) if after else 0 :]:
                for organization in reversed(organizations) if descending else organizations:
                    place = (sequence, organization.ordinal)
                    if after and (place >= after if descending else place <= after):
                        continue
                    if sequence < self._world.length(organization):
                        batch = self._world.batch(organization, sequence)
                        if wanted(batch):
                            yield place, partial(self._render, batch)

        return self._pages.cut(question, walk)

    def get(self, question: Request) -> Answer:
        """Return a batch of an organization."""
        organization = organization_of(self._world, question)
        batch = self._world.find_batch(question.value("batch_id"))
        if batch is None or batch.organization != organization:
            raise Refusal(404, "no such batch in this organization")
        return self._single(self._world.look_at(batch))

    def get_by_id(self, question: Request) -> Answer:
        """Return a batch."""
        batch = self._world.find_batch(question.value("batch_id"))
        if batch is None:
            raise Refusal(404, "no such batch")
        return self._single(self._world.look_at(batch))

    def _single(self, batch: Batch) -> Answer:
        return Answer(200, shapes.envelope(shapes.summary(), self._render(batch), self._generation))

    def _render(self, batch: Batch) -> str:
        population = self._world.population
        return shapes.batch(batch, population.successes(batch), population.failures(batch), self._generation)

    def _descending(self, question: Request) -> bool:
        direction = question.query.get("SortDirection", "").upper()
        if direction not in {"", "ASC", "DESC"}:
            raise Refusal(400, "SortDirection must be ASC or DESC")
        return direction == "DESC" if direction and self._heeds_sort else self._newest_first

    def _filter(self, question: Request) -> Callable[[Batch], bool]:
        state, kind = question.query.get("State"), question.query.get("Type")
        key, subject = question.query.get("IdempotencyKey"), question.query.get("SubjectId")

        def wanted(batch: Batch) -> bool:
            return (
                (state is None or batch.state == state)
                and (kind is None or batch.type == kind)
                and (key is None or batch.idempotency_key == key)
                and (subject is None or self._concerns(batch, subject))
            )

        return wanted

    def _concerns(self, batch: Batch, subject: str) -> bool:
        """Return whether a batch has an entry for an invoice, case or payment."""
        place = self._world.population.identifiers.read(subject)
        if place is None or place.kind not in {Kind.INVOICE, Kind.CASE, Kind.PAYMENT, Kind.CORRECTION}:
            return False
        if place.organization != batch.organization.ordinal:
            return False
        entries = self._world.population.successes(batch)
        return any(subject in {entry.invoice_id, entry.case_id, entry.own_id} for entry in entries)


def organization_of(world: State, question: Request) -> Organization:
    """Return the organization that the path names.

    Raises:
        Refusal: there is none.
    """
    organization = world.organization(question.value("organization_id"))
    if organization is None:
        raise Refusal(404, "no such organization")
    return organization
