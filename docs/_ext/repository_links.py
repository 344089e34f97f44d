"""Pages that lie beside docs/ in the repository, and links to them.

The Markdown is read in the repository too, where `../benchmarks/RESULTS.md` is the right link. On
the site that file is a page of docs/ that consists of an include of it. `:section: HEADING` under
an include takes what stands below one heading.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent

PAGES = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "README.md": "index.md",
    "benchmarks/RESULTS.md": "reference/results.md",
}

INCLUDE = re.compile(r"^```\{include\} (\S+\.md)\n(?::section: (.+)\n)?```$", re.MULTILINE)
LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put included files in their places and let links lead to pages, before a page is parsed."""
    is_notebook = docname.startswith("notebooks/")  # a copy, see conf.py
    folder = ROOT / "notebooks" if is_notebook else Path(app.env.doc2path(docname)).parent

    def included(found: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / found[1]))
        app.env.note_dependency(str(path))
        text = path.read_text(encoding="utf-8")
        if found[2]:
            text = below_heading(text, found[2], path)
        return link_to_pages(text, path.parent, folder)

    source[0] = INCLUDE.sub(included, link_to_pages(source[0], folder, folder))


def below_heading(text: str, heading: str, path: Path) -> str:
    """What stands below `## heading`; ExtensionError where there is no such heading."""
    pattern = rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ExtensionError(f"{path}: has no heading '## {heading}', which a page includes")
    return found[1]


def link_to_pages(text: str, folder: Path, page_folder: Path) -> str:
    """`text` of a file in `folder` with its links as a page in `page_folder` has them."""

    def rewritten(found: re.Match[str]) -> str:
        path = os.path.normpath(folder / found["path"])
        if path.endswith(".md"):
            target = "/" + PAGES.get(os.path.relpath(path, ROOT), os.path.relpath(path, DOCS))
        elif path.endswith(".ipynb"):
            target = "/" + os.path.relpath(path, ROOT)
        else:
            target = os.path.relpath(path, page_folder)
        return f"]({target}{found['anchor'] or ''})"

    return LINK.sub(rewritten, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Prepare every page that is read."""
    app.connect("source-read", prepare)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
