"""By what name a row goes that cannot be read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from amili_async.sync import Checkpoint, SqlStore
from tests.support.rows import aside, held, portion


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b'{"batchId":"b","type":5}', "b"),
        (b'{"id":"i"}', "i"),
        (b'{"caseId":"c"}', "c"),
        (b'{"settlementId":"s"}', "s"),
        (b'{"batchId":5}', None),
        (b'{"name":"none of these"}', None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
async def test_a_row_goes_by_its_id_and_without_one_by_its_bytes(raw: bytes, key: str | None) -> None:
    async with SqlStore("sqlite://") as store:
        assert await store.begin("organization", "batches") == Checkpoint()
        await store.write(replace(portion(), quarantined=(aside(raw),)))

        [(found,)] = await held(store, "quarantine", "key")

    assert found == key if key else str(found).startswith("blake2b:")
