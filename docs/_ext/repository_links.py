"""Pages that lie beside docs/ in the repository, and links to them.

The Markdown is read in the repository too, where `../benchmarks/RESULTS.md` is the right link. On
the site that file is a page of docs/ that consists of an include of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent

PAGES = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "README.md": "index.md",
    "benchmarks/RESULTS.md": "reference/results.md",
}

INCLUDE = re.compile(r"^```\{include\} (\S+\.md)\n```$", re.MULTILINE)
LINK = re.compile(r"\]\((?P<path>[^)#:\s]+\.md)(?P<anchor>#[^)\s]*)?\)")


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put included files in their places and let links lead to pages, before a page is parsed."""
    folder = Path(app.env.doc2path(docname)).parent

    def included(found: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / found[1]))
        app.env.note_dependency(str(path))
        return link_to_pages(path.read_text(encoding="utf-8"), path.parent)

    source[0] = INCLUDE.sub(included, link_to_pages(source[0], folder))


def link_to_pages(text: str, folder: Path) -> str:
    """`text` of a file in `folder` with its links to Markdown as the site names the pages."""

    def rewritten(found: re.Match[str]) -> str:
        path = os.path.normpath(folder / found["path"])
        page = PAGES.get(os.path.relpath(path, ROOT), os.path.relpath(path, DOCS))
        return f"](/{page}{found['anchor'] or ''})"

    return LINK.sub(rewritten, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Prepare every page that is read."""
    app.connect("source-read", prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
