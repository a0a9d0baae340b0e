"""Runs and drift in SQL: what each sync did, and where answers were not as documented."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from amili_async.sync._sql.checkpoints import settled_revision
from amili_async.sync._sql.schema import drift, runs
from amili_async.sync._sql.statements import Statement, insert_into, moment_now, without_nul

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Dialect

    from amili_async.events import Drift
    from amili_async.sync._store import RunSummary

RUNNING = "running"


class Runs:
    """Keeps runs, and the differences from the documentation that they met."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        now = moment_now(dialect)
        zeros: dict[str, Any] = {column.name: 0 for column in runs.columns if not column.nullable}
        given: dict[str, Any] = {name: sa.bindparam(name) for name in ("id", "resources", "first_revision")}
        begun = sa.insert(runs).values(zeros | given | {"began_at": now, "outcome": RUNNING})
        counted = sorted(set(zeros) - {"id", "first_revision"})
        ended: dict[str, Any] = {
            name: sa.bindparam(name, type_=runs.c[name].type)
            for name in (*counted, "outcome", "rate", "last_revision", "report")
        }
        self._begin = Statement(begun, dialect)
        self._end = Statement(
            sa.update(runs).where(runs.c.id == sa.bindparam("id")).values(ended | {"ended_at": now}), dialect
        )
        met: dict[str, Any] = {name: sa.bindparam(name) for name in ("operation", "kind", "path", "found")}
        note = insert_into(drift, dialect).values(met | {"first_seen": now, "last_seen": now, "count": 1})
        again = {"last_seen": now, "count": drift.c.count + 1}
        self._note = Statement(note.on_conflict_do_update(index_elements=list(met), set_=again), dialect)

    def begin(self, connection: sa.Connection, resources: Iterable[str]) -> str:
        """Keep that a run begins; return its name."""
        run = uuid.uuid4().hex
        first = settled_revision(connection)
        self._begin.run(connection, id=run, resources=",".join(resources), first_revision=first)
        return run

    def end(self, connection: sa.Connection, run: str, summary: RunSummary) -> None:
        """Keep how it ended."""
        report = summary.report
        total = report.total
        self._end.run(
            connection,
            id=run,
            outcome=summary.outcome,
            organizations=report.organizations,
            failed=len({failure.organization_id for failure in report.failures}),
            held=len(report.held),
            rows=total.rows,
            new=total.new,
            changed=total.changed,
            quarantined=total.quarantined,
            gone=total.gone,
            pages=total.pages,
            requests=report.requests,
            retries=report.retries,
            waited=report.waited,
            seconds=report.seconds,
            rate=report.requests / report.seconds if report.seconds > 0 else None,
            last_revision=settled_revision(connection),
            report=without_nul(msgspec.json.encode(report).decode()),
        )

    def note(self, connection: sa.Connection, found: Iterable[Drift]) -> None:
        """Keep differences, and that those known were met again."""
        for one in found:
            self._note.run(
                connection,
                operation=one.operation,
                kind=one.kind,
                path=without_nul(one.path),
                found=without_nul(one.found),
            )
