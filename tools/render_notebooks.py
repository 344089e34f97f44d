"""Executes notebooks and stores them with outputs that show everywhere.

    PYTHONPATH=. .venv-dev/bin/python tools/render_notebooks.py [NOTEBOOK...]

Without arguments all of notebooks/. Each runs from a fresh kernel in an empty folder, without the
user's settings of IPython. GitHub takes
styles and SVG out of the HTML of an output, so a view of the package is stored as a picture of it
made in Chromium; whoever runs the notebook sees the view itself. Tables of pandas stay as they are.
What differs from one machine or run to the next (times, paths, the kernel's name, progress bars) is
not stored.
"""

from __future__ import annotations

import base64
import os
import re
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
SECONDS = 600  # after which a cell hangs
SCALE = 1.5
VIEW = 'class="ati ati-view"'
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PROGRESS = re.compile(r"\s*\Z|.*(\d+%\||\d+\w* \[\d+:\d+|IProgress not found)", re.DOTALL)
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>View</title>
<style>body{{margin:0}} .ati-view{{width:fit-content;min-width:20rem}}</style></head>
<body>{fragment}</body></html>"""

# HTML of a view -> PNG
Picture = Callable[[str], bytes]


def execute(path: Path) -> NotebookNode:
    """The notebook at `path`, run from a fresh kernel in an empty folder, of which nothing is kept.

    CellExecutionError, with the traceback, when a cell raises; CellTimeoutError when one hangs.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    quiet = ["--Application.log_level=ERROR"]  # no warning that its sockets are local and open
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as settings:
        where = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=SECONDS, resources=where)
        client.extra_arguments = quiet
        places = {"PYTHONPATH": str(ROOT), "IPYTHONDIR": settings}
        client.execute(env={**os.environ, **places})
        for name in (os.path.realpath(folder), folder):
            replace_in_text(notebook, name, ".")
    return notebook


def outputs(notebook: NotebookNode) -> Iterator[dict[str, Any]]:
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def replace_in_text(notebook: NotebookNode, old: str, new: str) -> None:
    for output in outputs(notebook):
        if "text" in output:
            output["text"] = output["text"].replace(old, new)
        for kind, data in output.get("data", {}).items():
            if kind.startswith("text/"):
                output["data"][kind] = data.replace(old, new)


def tidy(notebook: NotebookNode) -> None:
    """Take out what the next run or another machine would write otherwise."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if not is_progress(output)]


def is_progress(output: dict[str, Any]) -> bool:
    """Whether the output is a progress bar, which is for those who wait."""
    if output["output_type"] == "stream":
        return output["name"] == "stderr" and bool(PROGRESS.match(output["text"]))
    return any("widget-view" in kind for kind in output.get("data", {}))


def replace_views(notebook: NotebookNode, picture: Picture) -> None:
    """Put a picture in the place of each view's HTML; its words stay beside it."""
    for output in outputs(notebook):
        if VIEW in output.get("data", {}).get("text/html", ""):
            png = picture(output["data"].pop("text/html"))
            width, height = struct.unpack(">II", png[16:24])
            size = {"width": round(width / SCALE), "height": round(height / SCALE)}
            output["data"]["image/png"] = base64.b64encode(png).decode("ascii")
            output["metadata"] = {"image/png": size}


def render(path: Path, picture: Picture) -> None:
    """Run the notebook and store it in its place."""
    import nbformat

    from attninfluence.base.replacing import replacing

    notebook = execute(path)
    tidy(notebook)
    replace_views(notebook, picture)
    with replacing(path) as file:
        nbformat.write(notebook, file)


def main(names: list[str]) -> None:
    from tools.pictures import Camera, open_chromium

    with open_chromium() as browser, tempfile.TemporaryDirectory() as folder:
        camera = Camera(browser, scale=SCALE)

        def picture(fragment: str) -> bytes:
            page = Path(folder, "view.html")
            page.write_text(PAGE.format(fragment=fragment), encoding="utf-8")
            return camera.picture(page, ".ati-view")

        for path in map(Path, names) if names else sorted((ROOT / "notebooks").glob("*.ipynb")):
            render(path, picture)
            print(f"{path}: {path.stat().st_size / 1000:,.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
