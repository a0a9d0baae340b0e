"""``amili docs``: the pages that lie in the folders and the docstrings of the code, as one site (extra ``docs``)."""

from __future__ import annotations

import posixpath
import re
import tempfile
import warnings
import webbrowser
from contextlib import suppress
from importlib import import_module
from importlib.metadata import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from amili_async.cli._console import say
from amili_async.cli._running import DONE, run

if TYPE_CHECKING:
    from collections.abc import Iterable

MODULES = (
    "amili_async",
    "amili_async.errors",
    "amili_async.events",
    "amili_async.models",
    "amili_async.resources",
    "amili_async.webhooks",
    "amili_async.sync",
    "amili_async.sandbox",
    "amili_async.probe",
    "amili_async.report",
    "amili_async.integrations",
    "amili_async.integrations.fastapi",
    "amili_async.integrations.webhooks",
    "amili_async.integrations.json_lines",
    "amili_async.integrations.problems",
    "amili_async.integrations.opentelemetry",
    "amili_async.integrations.pytest_plugin",
    "amili_async.cli",
)
"""What users import, each with the page of its folder."""

PAGES = {
    "amili_async/sync/store.md": "amili_async.store",
    "amili_async/production.md": "amili_async.going_to_production",
    "amili_async/security.md": "amili_async.security",
    "benchmarks/README.md": "amili_async.speed",
    "tests/README.md": "amili_async.working_on_it",
    "CHANGELOG.md": "amili_async.changes",
}
"""Pages of no module, by where they lie. A wheel brings those of the package alone."""

TABLES = "amili_async.tables"
"""The page on the tables beneath the store's views, which is made from its schema."""

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parent

_LINK = re.compile(r"\]\((?!\w+://|#)([^()\]#\s]+)(#[^()\]\s]*)?\)")


def docs(
    *,
    to: Annotated[Path | None, typer.Option("--to", help="Write the site into this folder, and open nothing.")] = None,
) -> None:
    """Open the documentation in a browser, or write it into a folder: every page and every public name."""

    async def work() -> int:
        folder = to or Path(tempfile.mkdtemp(prefix="amili-docs-"))
        missing = build(folder)
        say(f"The documentation is in {folder / 'index.html'}.")
        if missing:
            say(f"Left out, as what they need is not installed: {', '.join(missing)}; pip install 'amili-async[all]'")
        if to is None:
            webbrowser.open((folder / "index.html").as_uri())
        return DONE

    run(work)


def build(folder: Path) -> list[str]:
    """Write the site into a folder; return the modules that it lacks, as an extra of theirs is not installed."""
    from pdoc import doc, render  # noqa: PLC0415  # an extra, and only this command needs it

    missing: list[str] = []
    named: dict[str, ModuleType] = {}
    for name in MODULES:
        try:
            named[name] = module_of(name, missing)
        except ModuleNotFoundError:
            missing.append(name)
    with suppress(ModuleNotFoundError):
        named[TABLES] = ModuleType(TABLES, tables())
    named |= {name: _page(path, name) for path, name in PAGES.items() if (ROOT / path).is_file()}
    site = {"amili_async/README.md": "amili_async", "README.md": "amili_async", **_readmes(), **PAGES}
    there = {path: name for path, name in site.items() if name in named}
    modules = {name: doc.Module(module) for name, module in named.items()}
    render.configure(docformat="google", show_source=False)
    for name, module in modules.items():
        module.submodules = [other for path, other in modules.items() if path.rpartition(".")[0] == name]
        named[name].__doc__ = "\n\n".join(
            linked(text, source, name, there) for source, text in texts(name, named[name])
        )
    for name, module in modules.items():
        with warnings.catch_warnings():
            # Names that only type checkers import stay as they are written.
            warnings.filterwarnings("ignore", "Error parsing type annotation")
            if missing:
                warnings.filterwarnings("ignore", "Failed to run TYPE_CHECKING code")
            for variable in (one for kind in module.classes for one in kind.class_variables):
                # What a model or an error tells this package of itself, such as which members are numbers.
                variable.docstring = "@private"
            html = render.html_module(module, modules)
        file = folder / _address(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html, "utf-8")
    (folder / "index.html").write_text(render.html_index(modules), "utf-8")
    (folder / "search.js").write_text(render.search_index(modules), "utf-8")
    return missing


def tables() -> str:
    """Return the page on the store's tables, column by column, from the schema itself."""
    from amili_async.sync._sql.schema import metadata as schema  # noqa: PLC0415  # only where the page is made

    parts = [
        "# The tables beneath a store's views",
        "Read the views, which keep their names: they are on the page of the store. These may change with a version.",
    ]
    for table in schema.sorted_tables:
        parts += [
            f"## {table.name}",
            str(table.comment),
            _columns((column.name, str(column.comment or "")) for column in table.columns),
        ]
    return "\n\n".join(parts)


def _columns(columns: Iterable[tuple[str, str]]) -> str:
    return "\n".join(
        ["| column | what it holds |", "| --- | --- |", *(f"| `{name}` | {text} |" for name, text in columns)]
    )


def linked(text: str, source: str, name: str, there: dict[str, str]) -> str:
    """Return a page's Markdown with links that lead to the site's pages in place of files; others lose their link."""

    def replaced(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        target = there.get(path)
        if target is None:
            return f"]({found[2] or '#'})"
        return f"]({posixpath.relpath(_address(target), posixpath.dirname(_address(name)) or '.')}{found[2] or ''})"

    return _LINK.sub(replaced, text)


def module_of(name: str, missing: list[str]) -> ModuleType:
    """Return a module with its public names in place, those that are imported when they are used too.

    Names whose extra is not installed are none of the module's any more, and it is noted that they are missing.
    """
    module = import_module(name)
    for public in tuple(getattr(module, "__all__", ())):
        try:
            vars(module)[public] = getattr(module, public)
        except ModuleNotFoundError:
            vars(module)["__all__"].remove(public)
            if (part := f"parts of {name}") not in missing:
                missing.append(part)
    return module


def _page(path: str, name: str) -> ModuleType:
    """Return a page of no module in a module's clothes."""
    return ModuleType(name, (ROOT / path).read_text("utf-8"))


def texts(name: str, module: ModuleType) -> list[tuple[str, str]]:
    """Return what stands at the head of a module's page, each with where it lies."""
    if name == TABLES:
        return [("", module.__doc__ or "")]
    if name in PAGES.values():
        (path,) = (path for path, page in PAGES.items() if page == name)
        return [(path, module.__doc__ or "")]
    found: list[tuple[str, str]] = []
    if name == "amili_async":
        front = ROOT / "README.md"
        # Installed from a wheel, the front page is in the metadata.
        text = front.read_text("utf-8") if front.is_file() else metadata("amili-async")["Description"]
        found.append(("README.md", text))
    else:
        found.append((f"{name.replace('.', '/')}.py", module.__doc__ or ""))
    page = PACKAGE.joinpath(*name.split(".")[1:], "README.md")
    if page.is_file():
        found.append((page.relative_to(ROOT).as_posix(), page.read_text("utf-8")))
    return found


def _readmes() -> dict[str, str]:
    found = {f"{name.replace('.', '/')}/README.md": name for name in MODULES}
    return {path: name for path, name in found.items() if (ROOT / path).is_file()}


def _address(name: str) -> str:
    return f"{name.replace('.', '/')}.html"
