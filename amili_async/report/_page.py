"""render(): figures as one page that needs no network, for a screen by day and by night and for paper.

Charts are geometry: pure functions from numbers to the rectangles and labels that the template draws as SVG.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from amili_async.report._figures import attention, many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amili_async.report._figures import Figures, SyncRun

SHOWN_IN_CHART = 15
"""Bars of a ranking; the table beneath it has the rest."""

WIDTH = 720
HEIGHT = 220
_LEFT, _BOTTOM, _TOP = 56, 28, 8
_WIDEST = 64
"""A bar, at most: one alone is no wall."""


def render(figures: Figures) -> str:
    """Return the page for figures. Everything in it is text, whatever a server or a debtor is called."""
    import jinja2  # noqa: PLC0415  # the figures, and so `amili status`, need no extra of their own

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


class Rectangle(NamedTuple):
    """A bar, or a part of one, with what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


class Label(NamedTuple):
    """A text beside an axis, with the line that it stands at."""

    x: float
    y: float
    text: str


class Chart(NamedTuple):
    """What is drawn: bars, and labels along both axes."""

    rectangles: tuple[Rectangle, ...]
    across: tuple[Label, ...]
    along: tuple[Label, ...]
    height: float = HEIGHT


def round_up(value: float) -> float:
    """Return the next number above that people count in, and that can be halved: 1, 1.5, 2, 3 … with zeros."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if step * power >= value)


def stacked(names: Sequence[str], parts: Sequence[Sequence[tuple[str, int]]]) -> Chart:
    """Return upright bars, one for each name, each of several parts (kind and count) on top of each other."""
    most = round_up(max((sum(count for _, count in part) for part in parts), default=0) or 1)
    step = (WIDTH - _LEFT) / max(1, len(names))
    scale, wide = (HEIGHT - _BOTTOM - _TOP) / most, min(step * 0.8, _WIDEST)
    rectangles: list[Rectangle] = []
    for index, (name, part) in enumerate(zip(names, parts, strict=True)):
        y = float(HEIGHT - _BOTTOM)
        for kind, count in part:
            if count:
                y -= count * scale
                title = f"{name}: {count:,} {kind}"
                rectangles.append(
                    Rectangle(
                        round(_LEFT + (index + 0.5) * step - wide / 2, 1),
                        round(y, 1),
                        round(wide, 1),
                        round(count * scale, 1),
                        kind,
                        title,
                    )
                )
    every = max(1, len(names) // 8)
    across = [
        Label(round(_LEFT + (index + 0.5) * step, 1), HEIGHT - 8, name)
        for index, name in enumerate(names)
        if index % every == 0
    ]
    along = [
        Label(_LEFT - 6, round(HEIGHT - _BOTTOM - most * part * scale, 1), f"{most * part:,.0f}")
        for part in (0, 0.5, 1)
    ]
    return Chart(tuple(rectangles), tuple(across), tuple(along))


def ranked(pairs: Sequence[tuple[str, int]], kind: str) -> Chart:
    """Return level bars, one under the other, the names to their left and the counts behind them."""
    row, left = 24, 220
    most = max((count for _, count in pairs), default=0) or 1
    scale = (WIDTH - left - 80) / most
    rectangles = tuple(
        Rectangle(left, index * row + 4, round(max(1.0, count * scale), 1), row - 8, kind, f"{name}: {count:,}")
        for index, (name, count) in enumerate(pairs)
    )
    names = tuple(Label(left - 8, index * row + row / 2 + 4, name) for index, (name, _) in enumerate(pairs))
    counts = tuple(
        Label(round(left + max(1.0, count * scale) + 6, 1), index * row + row / 2 + 4, f"{count:,}")
        for index, (_, count) in enumerate(pairs)
    )
    return Chart(rectangles, counts, names, height=max(1, len(pairs)) * row)
