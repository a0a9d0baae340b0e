"""Rows as record batches of Arrow, which pandas, polars and DuckDB read as they are. Needs the extra ``arrow``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amili_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from amili_async.sync._sql.exports import Column

# It has no types of its own.
_arrow: Any = import_module("pyarrow")

DIGITS, DECIMALS = 38, 10
"""What an amount may have in Arrow, which fixes both for a column."""


def arrow_schema(columns: Sequence[Column]) -> Any:
    """Return the columns as Arrow has them."""
    types = {
        "text": _arrow.string(),
        "json": _arrow.string(),
        "whole": _arrow.int64(),
        "day": _arrow.date32(),
        "moment": _arrow.timestamp("us", tz="UTC"),
        "amount": _arrow.decimal128(DIGITS, DECIMALS),
    }
    return _arrow.schema([(column.name, types[column.kind]) for column in columns])


def record_batch(rows: Sequence[tuple[Any, ...]], columns: Sequence[Column], arrow: Any) -> Any:
    """Return rows as a record batch of Arrow.

    Raises:
        StoreError: an amount has more digits than such a column takes.
    """
    for index, column in enumerate(columns):
        if column.kind == "amount":
            for row in rows:
                _check_digits(row[index], column.name)
    arrays = [_arrow.array([row[index] for row in rows], type=arrow.field(index).type) for index in range(len(columns))]
    return _arrow.RecordBatch.from_arrays(arrays, schema=arrow)


def _check_digits(amount: Decimal | None, name: str) -> None:
    if amount is None:
        return
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)  # noqa: S101  # no other number is kept
    if -exponent > DECIMALS or amount.adjusted() >= DIGITS - DECIMALS:
        raise StoreError(
            f"an amount in {name} has more digits than Arrow's decimal128({DIGITS}, {DECIMALS}) takes; .csv and .jsonl "
            "keep all of them"
        )


def parquet_writer(file: object, arrow: Any) -> Any:
    """Return what writes record batches into an open file."""
    parquet: Any = import_module("pyarrow.parquet")
    return parquet.ParquetWriter(file, arrow, compression="zstd")
