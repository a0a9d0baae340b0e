"""The pages of the documentation: each README.md of the project, with its code blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

PAGES = (
    ROOT / "README.md",
    *sorted(path for part in ("amili_async", "benchmarks", "tests") for path in (ROOT / part).rglob("*.md")),
)


class Block(NamedTuple):
    """A fenced block of code on a page."""

    page: Path
    line: int
    """The line of the page that stands above its first line."""
    code: str

    @property
    def title(self) -> str:
        """Its first line, which names a snippet that is a whole file."""
        return self.code.partition("\n")[0]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def text(folder: str = "") -> str:
    """Return the page of a folder; without one, the front page."""
    return (ROOT / folder / "README.md").read_text("utf-8")


def blocks(language: str) -> list[Block]:
    """Return every page's code blocks in a language, in the order of the pages."""
    return [
        Block(page, content.count("\n", 0, found.start(1)), found[1])
        for page in PAGES
        for content in (page.read_text("utf-8"),)
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", content, re.MULTILINE | re.DOTALL)
    ]


def titled(*titles: str) -> str:
    """Return the Python blocks that begin with these lines, joined."""
    found = {block.title: block.code for block in blocks("python")}
    return "\n\n".join(found[f"# {title}"] for title in titles)
