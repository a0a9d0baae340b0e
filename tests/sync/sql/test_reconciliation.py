"""Which rows a complete walk has not met, and which are gone: marks that come off again when a row comes back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from amili_async.sync import Absences, AbsentRow, Checkpoint, LeaseConflict, PageWrite, ReconcilingStore, SqlStore
from amili_async.sync._checkpoint import Scan
from tests.support.rows import batch, held, portion

WALKING = Checkpoint(scan=Scan(full=True))

MARCH, MAY = datetime(2025, 3, 9, tzinfo=UTC), datetime(2025, 5, 9, tzinfo=UTC)


def page(*ids: str, **more: object) -> PageWrite:
    """Return a page of a complete walk."""
    rows = tuple(batch(row_id) for row_id in ids)
    return replace(portion(*rows, checkpoint=WALKING), **{"met": ids, **more})


async def walked(store: SqlStore, *ids: str, since: datetime | None = None, limit: int = 100) -> Absences:
    """Walk a list from end to end; return what was not met."""
    await store.write(page(*ids, forget_met=True))
    found = await store.absences("organization", "batches", since, limit)
    assert isinstance(found, Absences)
    return replace(found, rows=tuple(sorted(found.rows, key=lambda row: row.id)))


async def marks(store: SqlStore) -> list[tuple[object, ...]]:
    return await held(store, "batches", "id", "gone_at IS NOT NULL", "missing_since IS NOT NULL")


async def test_a_store_says_which_rows_a_complete_walk_has_not_met(url: str) -> None:
    async with SqlStore(url) as store:
        assert isinstance(store, ReconcilingStore)
        await store.begin("organization", "batches")
        await store.write(portion(*(batch(row_id) for row_id in "abcd")))

        assert await walked(store, "a", "c") == Absences(
            4, 2, (AbsentRow("b", before=False), AbsentRow("d", before=False))
        )
        assert (await walked(store, "a", "c", limit=1)).absent == 2
        assert len((await walked(store, "a", "c", limit=1)).rows) == 1


async def test_other_lists_are_no_matter_of_this_one(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("other", "batches")
        await store.write(portion(batch("x"), organization_id="other"))
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))

        assert await walked(store, "a") == Absences(1, 0, ())


async def test_what_was_met_is_remembered_by_another_process_and_forgotten_when_a_walk_begins(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a"), batch("b"), batch("c")))
        await store.write(page("a", forget_met=True))

    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(page("b"))
        found = await store.absences("organization", "batches", None, 10)
        assert found == Absences(3, 1, (AbsentRow("c", before=False),))
        assert (await walked(store, "c")).absent == 2


async def test_rows_read_again_by_id_and_rows_that_are_left_out_count_as_met(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a"), batch("b"), batch("c")))
        await store.write(replace(page("a", forget_met=True), met=("a", "c", "never kept")))
        await store.write(portion(batch("b"), checkpoint=WALKING))

        assert await store.absences("organization", "batches", None, 10) == Absences(3, 0, ())


async def test_rows_from_before_a_moment_are_not_looked_for(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        rows = (batch("old", createdAt=MARCH), batch("new", createdAt=MAY), batch("undated", createdAt=None))
        await store.write(portion(*rows))

        found = await walked(store, since=datetime(2025, 4, 1, tzinfo=UTC))
        assert found == Absences(2, 2, (AbsentRow("new", before=False), AbsentRow("undated", before=False)))


async def test_marks_are_kept_until_a_row_is_met_again(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(*(batch(row_id) for row_id in "abcd")))
        await store.write(page("a", absent=("b", "c"), gone=("d",)))
        assert await marks(store) == [("a", 0, 0), ("b", 0, 1), ("c", 0, 1), ("d", 1, 1)]
        assert await walked(store, "a") == Absences(3, 2, (AbsentRow("b", before=True), AbsentRow("c", before=True)))

        written = await store.write(page("b"))
        assert not isinstance(written, LeaseConflict)
        assert (written.changed, written.returned) == (0, 0)
        written = await store.write(portion(batch("d"), checkpoint=WALKING))
        assert not isinstance(written, LeaseConflict)
        assert (written.new, written.changed, written.returned) == (0, 0, 1)
        assert await marks(store) == [("a", 0, 0), ("b", 0, 0), ("c", 0, 1), ("d", 0, 0)]


async def test_a_row_that_is_gone_returns_also_in_a_later_run_and_changed(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))
        await store.write(portion(gone=("a",)))
        await store.finish("organization", "batches", None)
        [before] = await held(store, "batches", "revision")

    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        written = await store.write(portion(batch("a", status="FAILED")))
        assert not isinstance(written, LeaseConflict)
        assert (written.new, written.changed, written.returned) == (0, 1, 1)
        assert await marks(store) == [("a", 0, 0)]
        assert await held(store, "batches", "revision") > [before]


async def test_the_moment_when_a_row_went_is_not_moved_by_hearing_it_again(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a")))
        await store.write(portion(gone=("a",)))
        before = await held(store, "batches", "gone_at", "missing_since", "revision")
        await store.write(portion(gone=("a",), absent=("a",)))

        assert await held(store, "batches", "gone_at", "missing_since", "revision") == before


async def test_new_and_changed_rows_are_named_where_a_walk_reconciles(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(portion(batch("a"), batch("b", status="QUEUED")))
        written = await store.write(page("a", "b", "c"))

        assert not isinstance(written, LeaseConflict)
        assert (written.new_ids, written.changed_ids) == (("c",), ("b",))


async def test_nothing_is_remembered_of_a_walk_that_has_ended(url: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", "batches")
        await store.write(page("a", "b", forget_met=True))
        assert len(await held(store, "sightings", "row_key")) == 2
        await store.write(portion(checkpoint=Checkpoint(scans=1)))

        assert await held(store, "sightings", "row_key") == []


@pytest.mark.parametrize("resource", ["batches", "invoices", "cases", "settlements"])
async def test_every_resource_can_be_reconciled(url: str, resource: str) -> None:
    async with SqlStore(url) as store:
        await store.begin("organization", resource)

        assert await store.absences("organization", resource, MARCH, 10) == Absences(0, 0, ())


async def test_whoever_lost_the_list_is_told(url: str) -> None:
    async with SqlStore(url, run="the run") as one, SqlStore(url, run="the run") as other:
        await one.begin("organization", "batches")
        await other.begin("organization", "batches")

        assert isinstance(await one.absences("organization", "batches", None, 10), LeaseConflict)
