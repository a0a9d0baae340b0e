"""render(): figures as one page that needs no network, for a screen by day and by night and for paper."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2

from amili_async.report._charts import WIDTH, ranked, stacked
from amili_async.report._figures import attention, many

if TYPE_CHECKING:
    from amili_async.report._figures import Figures, SyncRun

SHOWN_IN_CHART = 15
"""Bars of a ranking; the table beneath it has the rest."""


def render(figures: Figures) -> str:
    """Return the page for figures. Everything in it is text, whatever a server or a debtor is called."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files("amili_async.report").joinpath("report.html.jinja").read_text("utf-8"))
    days = [(day.success, day.partial, day.failed, day.open) for day in figures.days]
    runs = figures.runs[::-1]
    kinds = ("success", "partial", "failed", "open")
    return template.render(
        figures=figures,
        width=WIDTH,
        days=stacked([day.day[5:] for day in figures.days], [[*zip(kinds, counts, strict=True)] for counts in days]),
        codes=ranked(figures.codes[:SHOWN_IN_CHART], "failed"),
        ages=ranked(figures.ages, "open"),
        speeds=stacked([run.began[5:] for run in runs], [[(colour(run), round(run.speed))] for run in runs]),
        attention=attention(figures),
        many=many,
        waiting=sum(count for _, count in figures.ages),
    )


def colour(run: SyncRun) -> str:
    """Return what a sync is drawn like: as a batch of that outcome."""
    return "open" if run.outcome == "running" else "success" if run.outcome == "ok" else "failed"
