"""The page in a real browser: every chart there, sorted and filtered by real clicks, by day and by night."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amili_async.report import Figures, render
from amili_async.report._figures import Amount, Day, Failed, Organization, SyncRun
from amili_async.report._page import HEIGHT, WIDTH, ranked, round_up, stacked
from tests.support.browser import CHROMIUM, chromium

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = "<script>document.title = 'taken over'</script>"

FIGURES = Figures(
    made="2026-03-10 12:00 UTC",
    organization_id=None,
    since=None,
    counts=(("batches", 3, 1_234_567), ("invoices", 3, 10)),
    days=tuple(Day(f"2026-03-{day:02}", day * 10, day, day // 2, day % 3) for day in range(1, 31)),
    codes=(("DUPLICATE", 30), ("INVALID_ADDRESS", 7), ("without a code", 2)),
    amounts=(
        Amount("NOK", "OPEN", 9, Decimal("4500.50"), Decimal("100.00")),
        Amount("", "", 1, Decimal(1), Decimal(0)),
    ),
    ages=(("under an hour", 3), ("under a day", 0), ("under a week", 1), ("under a month", 0), ("older", 12)),
    organizations=tuple(Organization(f"organization-{n}", n * 3 % 7, 10, n % 5) for n in range(20)),
    organizations_left_out=4,
    drift=(("batches.list", "member", "$.data[...].x", "x", 3, "2026-03-10 12:00"),),
    quarantine=(("batches", "$.createdAt", "expected a date", 2),),
    runs=tuple(SyncRun(f"2026-03-{day:02} 08:00", "ok", 3, 0, 900 * day, 12, 2.0) for day in range(9, 0, -1)),
    failed=(Failed("organization-1", "batch-1", "2026-03-09 08:00", SCRIPT, f"no such debtor {SCRIPT}"),),
)


def test_a_script_as_an_invoice_number_stays_text() -> None:
    page = render(FIGURES)
    assert SCRIPT not in page
    assert page.count("<script>") == 1
    assert "&lt;script&gt;document.title" in page


def test_the_page_asks_nobody_for_anything() -> None:
    page = render(FIGURES)
    assert not re.search(r"""(?:src|href)=["'](?!data:)|url\(|@import|https?://""", page)
    assert "default-src 'none'" in page


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=4, max_size=4), max_size=60))
def test_every_bar_stands_inside_its_chart(counts: list[list[int]]) -> None:
    kinds = ("success", "partial", "failed", "open")
    drawn = stacked([str(n) for n in range(len(counts))], [[*zip(kinds, row, strict=True)] for row in counts])
    for bar in drawn.rectangles:
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 1
        assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT
    assert len(drawn.rectangles) == sum(count > 0 for row in counts for count in row)
    for label in (*drawn.across, *drawn.along):
        assert 0 <= label.x <= WIDTH
        assert 0 <= label.y <= HEIGHT


@given(st.lists(st.tuples(st.text(), st.integers(0, 10**9)), max_size=20))
def test_every_ranked_bar_stands_inside_its_chart(pairs: list[tuple[str, int]]) -> None:
    drawn = ranked(pairs, "failed")
    assert len(drawn.rectangles) == len(pairs)
    for bar, count, name in zip(drawn.rectangles, drawn.across, drawn.along, strict=True):
        assert bar.x + bar.width <= WIDTH
        assert bar.y + bar.height <= drawn.height
        assert name.x < bar.x < bar.x + bar.width < count.x
        assert bar.y < name.y == count.y < bar.y + bar.height


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.5, 1), (1, 1), (1.5, 1.6), (3, 3), (6, 6), (99, 100), (241, 300), (1001, 1200)]
)
def test_axes_end_at_numbers_that_people_count_in(value: float, rounded: float) -> None:
    assert round_up(value) == rounded


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium is installed")
async def test_the_page_works_in_a_browser(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render(FIGURES), "utf-8")
    async with chromium(tmp_path / "profile") as browser:
        tab = await browser.attach(file.as_uri())
        assert await tab.run("document.title") == "Amili: report of 2026-03-10 12:00 UTC"
        assert await tab.run("[...document.querySelectorAll('svg')].map(e => e.getAttribute('aria-label'))") == [
            "Batches by day and outcome", "Failures by code", "Open batches by age", "Rows a second of each sync",
        ]  # fmt: skip
        assert await tab.run("[...document.querySelectorAll('svg')].every(e => e.querySelectorAll('rect').length > 0)")

        column = (
            "[...document.querySelectorAll('#organizations tbody tr')]"
            ".filter(r => !r.hidden).map(r => r.cells[{}].textContent)"
        )
        await tab.click("#organizations th:nth-child(2) button")
        counts = [int(text.replace(",", "")) for text in await tab.run(column.format(1))]
        assert counts == sorted(counts)
        await tab.click("#organizations th:nth-child(2) button")
        counts = [int(text.replace(",", "")) for text in await tab.run(column.format(1))]
        assert counts == sorted(counts, reverse=True)
        assert await tab.run("document.querySelector('#organizations th:nth-child(2)').ariaSort") == "descending"
        await tab.click("#organizations input")
        await tab.type("organization-1")
        assert sorted(await tab.run(column.format(0))) == sorted(
            ["organization-1", *(f"organization-1{n}" for n in range(10))]
        )

        colours: list[str] = []
        for width, scheme in ((1280, "light"), (390, "dark")):
            await tab.resize(width, 900)
            await tab.scheme(scheme)
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), (width, scheme)
            colours.append(await tab.run("getComputedStyle(document.body).backgroundColor"))
            await tab.screenshot(tmp_path / f"{scheme}.png")
        assert len({*colours}) == 2
        assert tab.complaints() == []


def test_what_needs_attention_stands_first_and_a_failed_sync_is_drawn_as_one() -> None:
    page = render(FIGURES)
    assert page.index('class="attention"') < page.index('id="days"')
    runs = (msgspec.structs.replace(FIGURES.runs[0], outcome="failed", failed=0, rows=10),)
    calm = msgspec.structs.replace(FIGURES, runs=(), quarantine=(), ages=(), drift=())
    assert "Nothing needs attention" in render(calm)
    assert '<rect class="failed"' in render(msgspec.structs.replace(calm, runs=runs)).partition('id="runs"')[2]
    running = (msgspec.structs.replace(runs[0], outcome="running"),)
    assert '<rect class="open"' in render(msgspec.structs.replace(calm, runs=running)).partition('id="runs"')[2]
