"""The site: pages of the folders and docstrings together, with links that lead somewhere."""

from __future__ import annotations

import sys
import tempfile
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from amili_async.cli import _docs
from tests.support.links import broken_links

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Amili = Callable[..., Result]


@pytest.fixture
def few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long to render."""
    few = (
        "amili_async.events",
        "amili_async.webhooks",
        "amili_async.integrations",
        "amili_async.integrations.json_lines",
    )
    monkeypatch.setattr(_docs, "MODULES", (*few, "amili_async.probe"))


@pytest.mark.usefixtures("few_modules")
def test_a_site_has_the_pages_of_the_folders_and_the_docstrings(amili: Amili, tmp_path: Path) -> None:
    result = amili("docs", "--to", str(tmp_path / "site"))
    assert result.exit_code == 0
    page = (tmp_path / "site" / "amili_async" / "probe.html").read_text("utf-8")
    assert "First contact" in page
    assert "some twenty reads about one organization" in page
    beneath = (tmp_path / "site" / "amili_async" / "tables.html").read_text("utf-8")
    assert "when the row was proved to be gone from the server" in beneath
    described = (tmp_path / "site" / "amili_async" / "store.html").read_text("utf-8")
    assert "open_amounts_by_debtor" in described
    assert 'id="erasing"' in described
    assert broken_links(tmp_path / "site") == []


@pytest.mark.usefixtures("few_modules")
def test_a_page_leads_to_those_beneath_it_and_shows_what_users_need_alone(amili: Amili, tmp_path: Path) -> None:
    assert amili("docs", "--to", str(tmp_path)).exit_code == 0
    above = (tmp_path / "amili_async" / "integrations.html").read_text("utf-8")
    assert '<a href="integrations/json_lines.html">json_lines</a>' in above
    events = (tmp_path / "amili_async" / "webhooks.html").read_text("utf-8")
    assert 'id="BatchCompleted.batch_id"' in events
    assert "name_member" not in events


@pytest.mark.usefixtures("few_modules")
def test_without_a_folder_a_browser_shows_it(amili: Amili, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # it stays there, as whoever reads it needs it
    assert amili("docs").exit_code == 0
    (folder,) = tmp_path.glob("amili-docs-*")
    assert shown == [(folder / "index.html").as_uri()]


@pytest.mark.usefixtures("few_modules")
def test_what_is_not_installed_is_left_out_and_told(
    amili: Amili, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def absent(name: str) -> object:
        raise (ModuleNotFoundError if name.endswith("_there") else AttributeError)(name)

    partly = ModuleType("amili_async.partly", "There in part.")
    vars(partly).update(there=1, __all__=["there", "not_there", "nor_there"], __getattr__=absent)
    monkeypatch.setitem(sys.modules, partly.__name__, partly)
    monkeypatch.setattr(_docs, "MODULES", (*_docs.MODULES, partly.__name__, "amili_async.nowhere"))
    monkeypatch.setitem(sys.modules, "amili_async.sync._sql.schema", None)
    told = amili("docs", "--to", str(tmp_path)).stderr
    assert "not installed: parts of amili_async.partly, amili_async.nowhere; pip install" in told
    assert "There in part." in (tmp_path / "amili_async" / "partly.html").read_text("utf-8")
    assert not (tmp_path / "amili_async" / "tables.html").exists()
    assert broken_links(tmp_path) == []


THERE = {"amili_async/README.md": "amili_async", "amili_async/sync/README.md": "amili_async.sync"}


@pytest.mark.parametrize(
    ("source", "name", "link", "leads"),
    [
        ("README.md", "amili_async", "amili_async/sync/README.md", "amili_async/sync.html"),
        ("amili_async/sync/README.md", "amili_async.sync", "../README.md#hooks", "../amili_async.html#hooks"),
        ("amili_async/sync/README.md", "amili_async.sync", "../../LICENSE", "#"),
        ("amili_async/sync/README.md", "amili_async.sync", "#leases", "#leases"),
        ("README.md", "amili_async", "https://docs.amili.dev", "https://docs.amili.dev"),
    ],
)
def test_links_between_files_become_links_between_pages(source: str, name: str, link: str, leads: str) -> None:
    assert _docs.linked(f"[there]({link})", source, name, THERE) == f"[there]({leads})"


def test_a_wheel_has_the_front_page_in_its_metadata(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_docs, "ROOT", tmp_path)
    monkeypatch.setattr(_docs, "PACKAGE", tmp_path / "amili_async")
    ((source, text),) = _docs.texts("amili_async", _docs.module_of("amili_async", []))
    assert source == "README.md"
    assert "# amili_async" in text


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html#y">1</a><a href="#x">2</a><a href="c.html">3</a>', "utf-8"
    )
    (tmp_path / "b.html").write_text('<a href="https://there">4</a><a href="a.html#x">5</a>', "utf-8")
    assert broken_links(tmp_path) == ["a.html: b.html#y", "a.html: c.html"]


def test_every_column_of_the_store_says_what_it_holds() -> None:
    lines = [line for line in _docs.tables().splitlines() if line.startswith("| `")]
    assert len(lines) > 150
    assert [line for line in lines if line.endswith("|  |")] == []
