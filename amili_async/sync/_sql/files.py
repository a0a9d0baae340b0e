"""export(): a table of a store as a file that other programs read: Parquet, CSV or JSON lines, whole or not at all."""

from __future__ import annotations

import csv
import os
from abc import ABC, abstractmethod
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from amili_async._whole_file import whole_file
from amili_async.errors import ConfigurationError
from amili_async.sync._arguments import check_store
from amili_async.sync._sql.exports import Export, Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amili_async.sync._sql.exports import Column
    from amili_async.sync._sql.store import SqlStore

    Rows = Sequence[tuple[Any, ...]]

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet would work out: signs, in full width too, and what begins a new cell."""


async def export(
    store: SqlStore,
    table: str,
    path: str | os.PathLike[str],
    *,
    organization_id: str | None = None,
    since: datetime | date | None = None,
    with_raw: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a table of a store to a file, and return how many rows it has.

    The file is written beside its name and takes it once it is whole, so there is never half of one; only its owner can
    read it, as personal data is in it. Memory does not grow with the rows.

    Args:
        store: an open `SqlStore`.
        table: ``batches``, ``entries``, ``failed``, ``invoices``, ``cases``, ``case_invoices``, ``debtors`` or
            ``settlements``.
        path: ends in ``.parquet`` (needs the extra ``arrow``), ``.csv`` or ``.jsonl``.
        organization_id: whose rows; ``None``: everybody's.
        since: leave out what came to be before this moment, or before this day in UTC.
        with_raw: each row's JSON as received, too, where the table is one of whole rows.
        on_progress: called after each part with the rows of the API that were gone through, and all of them.

    Raises:
        ConfigurationError: there is no such table or format.
        StoreError: the table was never synced, or the store cannot be read.
        OSError: the file cannot be written; what was there before is unchanged.
    """
    if not isinstance(path, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise ConfigurationError(f"path must be a file's name, not {type(path).__name__}")
    check_store(store)
    target = Path(path)
    form = _FORMS.get(target.suffix.lower())
    if form is None:
        raise ConfigurationError(f"path {path} must end in {', '.join(_FORMS)}")
    exported = Export(store.database, table, Filter(organization_id, since), with_raw=with_raw)
    await exported.check_synced()
    total, done, written = await exported.count(), 0, 0
    with whole_file(target) as file, closing(form(file, exported.columns)) as writer:
        async for gone_through, rows in exported.chunks():
            writer.write(rows)
            written += len(rows)
            done += gone_through
            if on_progress is not None:
                on_progress(done, max(total, done))
    return written


class _Writer(ABC):
    """Writes rows in one format."""

    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        self._file = file
        self._columns = columns
        self._names = [column.name for column in columns]

    @abstractmethod
    def write(self, rows: Rows) -> None:
        """Write some rows."""

    def close(self) -> None:  # noqa: B027  # most formats have no end of their own
        """Write what comes at the end."""


class _JsonLines(_Writer):
    """An object a line: amounts as numbers with all their digits, moments in ISO 8601, what is JSON as JSON."""

    _encoder = msgspec.json.Encoder(decimal_format="number")

    def write(self, rows: Rows) -> None:
        json = {index for index, column in enumerate(self._columns) if column.kind == "json"}
        for row in rows:
            values = {
                name: msgspec.Raw(value.encode()) if index in json and value is not None else value
                for index, (name, value) in enumerate(zip(self._names, row, strict=True))
            }
            self._file.write(self._encoder.encode(values) + b"\n")


class _Csv(_Writer):
    """Comma-separated values with a heading, in UTF-8. No cell of it is worked out by a spreadsheet."""

    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        super().__init__(file, columns)
        self._lines = csv.writer(_AsText(file), lineterminator="\n")
        self._lines.writerow(self._names)

    def write(self, rows: Rows) -> None:
        self._lines.writerows([_cell(value) for value in row] for row in rows)


class _AsText:
    """A file for text over one for bytes, without a buffer of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA) else value
    if isinstance(value, datetime):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else value


class _Parquet(_Writer):
    """Apache Parquet, typed: moments in UTC, days, decimal numbers."""

    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        from amili_async.sync._sql import arrow  # noqa: PLC0415  # of an extra

        super().__init__(file, columns)
        self._arrow = arrow
        self._schema = arrow.arrow_schema(columns)
        self._parquet = arrow.parquet_writer(file, self._schema)

    def write(self, rows: Rows) -> None:
        self._parquet.write_batch(self._arrow.record_batch(rows, self._columns, self._schema))

    def close(self) -> None:
        self._parquet.close()


_FORMS: dict[str, type[_Writer]] = {".parquet": _Parquet, ".csv": _Csv, ".jsonl": _JsonLines}
