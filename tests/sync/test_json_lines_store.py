"""The store that the README shows, `# json_lines_store.py`, keeps rows and checkpoint together, or neither."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from amili_async.sync import Store, sync
from tests.support.json_lines_store import JsonLinesStore

if TYPE_CHECKING:
    from amili_async import AmiliClient
    from amili_async.sandbox import Sandbox


@pytest.fixture
def sandbox_settings() -> dict[str, object]:
    return {"organizations": 2, "batches": 30, "entries": 1, "page_size": 5}


def lines(folder: Path) -> list[str]:
    """Return the ids in all files, in the order in which they were appended."""
    return [
        str(msgspec.json.decode(line, type=dict[str, object])["batchId"])
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def expected(sandbox: Sandbox) -> list[str]:
    return sorted(batch_id for name in sandbox.organization_ids for batch_id in sandbox.batch_ids(name))


@pytest.fixture(autouse=True)
def small_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amili_async.sync._scan.OVERLAP_ROWS", 5)


async def test_every_row_is_a_line_once_and_a_second_run_goes_on_from_the_marks(
    sandbox: Sandbox, client: AmiliClient, tmp_path: Path
) -> None:
    store: Store = JsonLinesStore(tmp_path)
    report = await sync(client, sandbox.organization_ids, store)
    assert report.ok
    assert sorted(lines(tmp_path)) == expected(sandbox)

    refetch = await sync(client, sandbox.organization_ids, JsonLinesStore(tmp_path))
    assert refetch.total.pages < report.total.pages
    assert sorted(set(lines(tmp_path))) == expected(sandbox)


class DiedError(Exception):
    """The process is gone."""


async def test_lines_of_a_run_that_died_before_the_mark_do_not_count(
    sandbox: Sandbox, client: AmiliClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [organization_id, _] = sandbox.organization_ids
    replace = Path.replace
    left = 3

    def die(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise DiedError
        return replace(path, target)

    with monkeypatch.context() as dying:
        dying.setattr(Path, "replace", die)
        with pytest.raises(DiedError):
            await sync(client, [organization_id], JsonLinesStore(tmp_path))
    assert len(lines(tmp_path)) == 4 * 5

    await JsonLinesStore(tmp_path).begin(organization_id, "batches")
    assert len(lines(tmp_path)) == 3 * 5

    assert (await sync(client, [organization_id], JsonLinesStore(tmp_path))).ok
    assert sorted(set(lines(tmp_path))) == sorted(sandbox.batch_ids(organization_id))
