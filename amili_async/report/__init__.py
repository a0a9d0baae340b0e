"""A store as a page to look at: what was sent, what failed, what is open, and how the syncs went (extra ``report``).

The figures are read first, and shown then::

    async with SqlStore("sqlite:///amili.db") as store:
        figures = await read_figures(store)
    Path("report.html").write_text(render(figures), "utf-8")
"""

from amili_async.report._figures import (
    Amount,
    Day,
    Failed,
    Figures,
    Organization,
    SyncRun,
    attention,
    read_figures,
)
from amili_async.report._page import render

__all__ = ["Amount", "Day", "Failed", "Figures", "Organization", "SyncRun", "attention", "read_figures", "render"]
