# json_lines_store.py
import os
from pathlib import Path
from urllib.parse import quote

import msgspec

from amili_async.sync import Checkpoint, PageWrite, WriteResult


class Mark(msgspec.Struct):
    """The file beside the rows: how many bytes of them count, and where the scan stands after those."""

    size: int = 0
    checkpoint: Checkpoint = Checkpoint()


class JsonLinesStore:
    """A file of rows for each list; of an id that stands there twice, the last line counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _paths(self, organization_id: str, resource: str) -> tuple[Path, Path]:
        stem = f"{quote(organization_id, safe='')}.{resource}"
        return self._folder / f"{stem}.jsonl", self._folder / f"{stem}.mark"

    async def begin(self, organization_id: str, resource: str, /) -> Checkpoint:
        rows, mark = self._paths(organization_id, resource)
        found = msgspec.json.decode(mark.read_bytes(), type=Mark) if mark.exists() else Mark()
        rows.touch()
        os.truncate(rows, found.size)  # what a killed run appended and never marked
        return found.checkpoint

    async def write(self, page: PageWrite, /) -> WriteResult:
        rows, mark = self._paths(page.organization_id, page.resource)
        raws = [row.raw for row in page.rows] + [row.raw for row in page.quarantined]
        with rows.open("ab") as file:
            file.writelines(msgspec.json.format(raw, indent=-1) + b"\n" for raw in raws)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        new = mark.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(Mark(size, page.checkpoint)))
        new.replace(mark)  # in this moment, and not before, rows and checkpoint count
        return WriteResult(len(page.rows), 0)

    async def finish(self, organization_id: str, resource: str, error: str | None, /) -> None:
        """Nothing is held open, and nobody else is waiting."""
