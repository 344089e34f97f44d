"""Checks of the finished pages: nothing comes from a server, and every link leads somewhere.

Sphinx checks the references that it resolves itself; this looks at what a browser would see.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

ELSEWHERE = re.compile(r"(?:https?:)?//")
LOADED_BY_STYLES = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)")
LOADS = {"src", "srcset", "data", "poster"}  # attributes by which an element loads something


class Page(HTMLParser):
    """The anchors of one page, where it leads, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element says."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id":
                self.anchors.add(value)
            elif name in LOADS or (name == "href" and tag == "link"):
                self.loaded.add(value)
            elif name == "href" and tag == "a":
                self.links.add(value)


def check(app: Sphinx, exception: Exception | None) -> None:
    """Warn of each page that loads something from elsewhere or leads nowhere."""
    if exception is not None or app.builder.format != "html":
        return
    root = Path(app.outdir).resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in root.rglob("*.html")}
    for fault in sorted([*_loaded_from_elsewhere(root, pages), *_dead_links(pages)]):
        logger.warning(fault)


def _loaded_from_elsewhere(root: Path, pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        for url in filter(ELSEWHERE.match, page.loaded):
            yield f"{path.relative_to(root)} loads {url}"
    for path in root.rglob("*.css"):
        for url in LOADED_BY_STYLES.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(root)} loads {url}"


def _dead_links(pages: dict[Path, Page]) -> Iterator[str]:
    for path, page in pages.items():
        for link in page.links:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            if not file.exists():
                yield f"{path.name} links to {link}, which is not there"
            elif file in pages and unquote(target.fragment) not in {"", *pages[file].anchors}:
                yield f"{path.name} links to {link}, where there is no such place"


def setup(app: Sphinx) -> dict[str, bool]:
    """Check when all is written."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
