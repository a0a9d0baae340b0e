"""Each index of the store is found by the query that it is there for, and its page says what it costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import amili_async.sync
from amili_async.sync import SqlStore
from amili_async.sync._sql.schema import metadata

if TYPE_CHECKING:
    import sqlalchemy as sa

QUERIES = {
    r"(batch|invoice|case|settlement)_rows_by_revision": "SELECT id FROM {table} WHERE revision > 7 ORDER BY revision",
    r"(batch|invoice|case|settlement)_rows_missing": (
        "SELECT id FROM {table} WHERE list_key = 1 AND missing_since IS NOT NULL"
    ),
    r"(invoice|case_invoice)_rows_by_number": "SELECT * FROM {table} WHERE invoice_number = '4711'",
}
"""What users ask, by the names of the indexes that answer it."""

INDEXES = {str(index.name): table.name for table in metadata.sorted_tables for index in table.indexes}


def query_of(index: str) -> str:
    [query] = [query for name, query in QUERIES.items() if re.fullmatch(name, index)]
    return query.format(table=INDEXES[index])


@pytest.mark.parametrize("index", INDEXES)
async def test_an_index_is_used_by_its_query(url: str, index: str) -> None:
    def plan(connection: sa.Connection) -> str:
        if connection.dialect.name == "sqlite":
            return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query_of(index)}").all())
        # Tables are empty here, and reading all of one that is costs nothing.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return str(connection.exec_driver_sql(f"EXPLAIN {query_of(index)}").all())

    async with SqlStore(url) as store:
        assert index in await store.database.run(plan)


def test_the_page_says_of_every_kind_of_index_what_it_pays_and_costs() -> None:
    page = (Path(amili_async.sync.__file__).parent / "store.md").read_text("utf-8")
    table = page.partition("## Indexes")[2].partition("## ")[0]
    told = set(re.findall(r"^\| `(\w+)`(?!: left out)", table, re.MULTILINE))

    assert told <= set(INDEXES)
    assert {name for name in QUERIES if any(re.fullmatch(name, index) for index in told)} == set(QUERIES)
