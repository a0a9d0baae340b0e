"""The views that people read: rows by their organization's id, and what is asked of them most often.

The tables beneath may change with a version of the store; these keep their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from amili_async.sync._sql.schema import (
    Number,
    batch_entries,
    batches,
    case_invoices,
    cases,
    debtors,
    drift,
    gates,
    invoices,
    lists,
    quarantine,
    runs,
    schema,
    settlements,
    webhook_dead_letters,
    webhook_deliveries,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy.engine import Dialect

    Query: TypeAlias = sa.Select[*tuple[Any, ...]]
    Definition = Callable[[str], Query]


class View:
    """A view: its name, what it shows in a sentence, and how it is asked for in a database's dialect."""

    def __init__(self, name: str, query: Definition, comment: str, **comments: str) -> None:
        self.name = name
        self.query = query
        self.comment = comment
        self._comments = comments

    @property
    def columns(self) -> Mapping[str, str]:
        """What each column holds."""
        found = self.query("postgresql").selected_columns
        return {
            column.name: self._comments.get(column.name) or str(getattr(column, "comment", None) or "")
            for column in found
        }

    def definition(self, dialect: Dialect) -> str:
        """Return the statement that makes the view, for the driver itself: a % in it is no parameter."""
        text = self.query(dialect.name).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        return f"CREATE VIEW {self.name} AS {str(text).replace('%%', '%')}"


_organization = lists.c.organization_id


def _of_list(table: sa.Table, *columns: sa.ColumnElement[Any]) -> Query:
    return sa.select(_organization, *columns).join_from(table, lists, lists.c.key == table.c.list_key)


def _rows(name: str, table: sa.Table) -> View:
    """Return the view of a table of rows: all its columns but the numbers."""
    shown = [column for column in table.columns if column.name not in {"key", "list_key"}]
    return View(name, lambda _: _of_list(table, *shown), str(table.comment))


def _members(name: str, table: sa.Table, owner: sa.Table, owner_id: str) -> View:
    """Return the view of a table of members, by the id of the row that they belong to."""
    key = next(iter(table.primary_key.columns))
    shown = [column for column in table.columns if column is not key]

    def query(_: str) -> Query:
        whole = table.join(owner, owner.c.key == key).join(lists, lists.c.key == owner.c.list_key)
        return sa.select(_organization, owner.c.id.label(owner_id), *shown).select_from(whole)

    return View(name, query, str(table.comment), **{owner_id: "the row that this belongs to"})


def _failed_entries(_: str) -> Query:
    entry, batch = batch_entries.c, batches.c
    whole = batch_entries.join(batches, batch.key == entry.batch_key).join(lists, lists.c.key == batch.list_key)
    shown = (
        _organization,
        batch.id.label("batch_id"),
        entry.position,
        batch.type.label("batch_type"),
        batch.state.label("batch_state"),
        batch.created_at,
        *(entry.message, entry.reference, entry.raw),
    )
    return sa.select(*shown).select_from(whole).where(entry.outcome == "failed", batch.gone_at.is_(None))


def _batches_by_day(dialect: str) -> Query:
    batch = batches.c
    day = (
        sa.cast(sa.func.timezone("UTC", batch.created_at), sa.Date)
        if dialect == "postgresql"
        else sa.func.substr(batch.created_at, 1, 10)
    )
    named = ("QUEUED", "SUCCESS", "PARTIAL", "FAILED")

    def count(condition: sa.ColumnElement[bool], name: str) -> sa.ColumnElement[int]:
        return sa.func.count(sa.case((condition, 1))).label(name)

    return (
        _of_list(
            batches,
            day.label("day"),
            batch.type,
            sa.func.count().label("batches"),
            *(count(batch.state == state, state.lower()) for state in named),
            count(batch.state.not_in(named) | batch.state.is_(None), "other"),
            sa.cast(sa.func.sum(batch.succeeded), Number).label("succeeded_entries"),
            sa.cast(sa.func.sum(batch.failed), Number).label("failed_entries"),
        )
        .where(batch.gone_at.is_(None))
        .group_by(_organization, day, batch.type)
    )


def _open_amounts_by_debtor(dialect: str) -> Query:
    case, debtor, invoice = cases.c, debtors.c, case_invoices.c
    whole = (
        cases.join(lists, lists.c.key == case.list_key)
        .join(debtors, debtor.case_key == case.key)
        .join(case_invoices, invoice.case_key == case.key)
    )
    who = (_organization, debtor.debtor_id, debtor.debtor_number, debtor.customer_number)
    shown = (
        *who,
        sa.func.max(debtor.full_name).label("full_name"),
        invoice.currency,
        sa.func.count(sa.distinct(case.key)).label("cases"),
        sa.func.count().label("invoices"),
    )
    still_open = sa.and_(case.closed_at.is_(None), case.gone_at.is_(None))
    if dialect == "postgresql":
        all_shown = (*shown, sa.func.sum(invoice.remaining_amount).label("open_amount"))
        return sa.select(*all_shown).select_from(whole).where(still_open).group_by(*who, invoice.currency)
    added = sa.select(*shown, *_millionths(invoice.remaining_amount)).select_from(whole).where(still_open)
    sums = added.group_by(*who, invoice.currency).subquery("sums")
    return sa.select(*(sums.c[column.name] for column in shown), _written_out(sums).label("open_amount"))


_DIGITS = 6
_FITTING = 9
"""The digits that an exact sum takes behind the point and before it: nine thousand of the largest can be added."""


def _millionths(amount: sa.ColumnElement[str]) -> tuple[sa.ColumnElement[int], sa.ColumnElement[int]]:
    """Return the sum of amounts kept as text, in whole millionths, and how many have more digits than that takes.

    SQLite's own sum would add binary fractions up.
    """
    text = sa.func.ltrim(amount, "-")
    point = sa.func.instr(text + ".", ".", type_=sa.Integer)  # the point added is found where there is no other
    behind = sa.func.substr(text, point + 1, type_=sa.Text)
    fits = (sa.func.length(behind) <= _DIGITS) & (point <= _FITTING + 1)
    digits = sa.func.substr(text, 1, point - 1, type_=sa.Text) + sa.func.substr(behind + "0" * _DIGITS, 1, _DIGITS)
    sign = sa.case((sa.func.substr(amount, 1, 1) == "-", -1), else_=1)
    total = sa.func.sum(sa.case((fits, sign * sa.cast(digits, sa.Integer))), type_=sa.Integer)
    return total.label("total"), sa.func.count(sa.case((~fits, 1))).label("unfit")


def _written_out(sums: sa.Subquery) -> sa.ColumnElement[str]:
    """Return millionths as an amount, with two decimals where it has no more; null where some did not fit."""
    total = sums.c.total
    size = sa.func.abs(total, type_=sa.Integer)
    sign, units = sa.case((total < 0, "-"), else_=""), size // 1_000_000
    in_cents = sa.func.printf("%s%d.%02d", sign, units, size % 1_000_000 // 10_000)
    exact = sa.func.printf("%s%d.%06d", sign, units, size % 1_000_000)
    return sa.case(((sums.c.unfit > 0) | total.is_(None), sa.null()), (total % 10_000 == 0, in_cents), else_=exact)


VIEWS = (
    _rows("batches", batches),
    _members("batch_entries", batch_entries, batches, "batch_id"),
    _rows("invoices", invoices),
    _rows("cases", cases),
    _members("case_invoices", case_invoices, cases, "case_id"),
    _members("debtors", debtors, cases, "case_id"),
    _rows("settlements", settlements),
    View(
        "quarantine",
        lambda _: _of_list(
            quarantine,
            lists.c.resource,
            *(column for column in quarantine.columns if column.name != "list_key"),
        ),
        str(quarantine.comment),
    ),
    View(
        "failed_entries",
        _failed_entries,
        "What failed, with the batch that it was in; batches that are gone are left out.",
        batch_id="the batch that it was in",
        batch_type="what the batch holds",
        batch_state="how far the batch is",
    ),
    View(
        "batches_by_day",
        _batches_by_day,
        "How many batches came to be on each day in UTC, and what became of them; those that are gone are left out.",
        day="the day; null where a batch says none",
        batches="how many there were",
        queued="how many of them are QUEUED",
        success="how many of them are SUCCESS",
        partial="how many of them are PARTIAL",
        failed="how many of them are FAILED",
        other="how many are in another state",
        succeeded_entries="how many of their objects succeeded",
        failed_entries="how many of their objects failed",
    ),
    View(
        "open_amounts_by_debtor",
        _open_amounts_by_debtor,
        "What each debtor owes in cases that are open. Of a case that several owe, each is shown to owe all of it.",
        full_name="personal data",
        cases="how many open cases there are",
        invoices="how many invoices these hold",
        open_amount="what is open of them together; null on SQLite where one has over 6 decimals, or 9 digits before",
    ),
)
"""In the order in which they are documented."""


_TABLES = (lists, runs, drift, webhook_deliveries, webhook_dead_letters, gates, schema)
"""What is read as it is."""


def documented() -> str:
    """Return every view, and every table that has none, column by column, as the documentation shows them."""
    parts = [(view.name, view.comment, view.columns) for view in VIEWS]
    parts += [
        (table.name, str(table.comment), {column.name: str(column.comment) for column in table.columns})
        for table in _TABLES
    ]
    return "\n\n".join(
        f"**`{name}`**: {comment}\n\n| column | what it holds |\n| --- | --- |\n"
        + "\n".join(f"| `{column}` | {told} |" for column, told in columns.items())
        for name, comment, columns in parts
    )
