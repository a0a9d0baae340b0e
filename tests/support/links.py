"""Say which links of a site lead nowhere: ``python -m tests.support.links FOLDER`` fails where one does."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag


class _Page(HTMLParser):
    """What a page links to, and what it can be linked to by."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
        if anchor := given.get("id"):
            self.anchors.add(anchor)


def broken_links(folder: Path) -> list[str]:
    """Return each link between the pages of a folder that leads to no page, or to no place on it."""
    pages: dict[Path, _Page] = {}
    for file in sorted(folder.rglob("*.html")):
        pages[file.resolve()] = page = _Page()
        page.feed(file.read_text("utf-8"))
    found: list[str] = []
    for file, page in pages.items():
        for link in page.links:
            path, anchor = urldefrag(link)
            if "://" in path or path.startswith(("mailto:", "data:")):
                continue
            target = pages.get((file.parent / unquote(path)).resolve() if path else file)
            # What comes from a private class pdoc lists in the margin and shows nowhere: its class is there.
            places = {unquote(anchor), unquote(anchor).partition(".")[0]}
            if target is None or (anchor and not places & target.anchors):
                found.append(f"{file.relative_to(folder.resolve())}: {link}")
    return found


if __name__ == "__main__":
    broken = broken_links(Path(sys.argv[1]))
    sys.stdout.write("".join(f"{line}\n" for line in broken))
    raise SystemExit(bool(broken))
