"""The notebooks run, and are stored with outputs that show everywhere and tell of no machine."""

from __future__ import annotations

import ast
import base64
import re
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.child import ROOT
from tools.render_notebooks import METADATA, SCALE, VIEW, execute, main, outputs

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 2_000_000
MOST_SECONDS = 240  # of the processor: two minutes of two cores
TEXTS = ("text/plain", "text/html", "text/markdown")
# Paths of a machine, and addresses in its memory.
PRIVATE = re.compile(
    r"/(home|root|tmp|work|Users|usr|opt|var)/\S*|[A-Z]:\\Users\S*|\bat 0x[0-9a-f]+"
)

HOME = "/".join(["", "home", "ann", "corpus"])  # spelled out, it would be a place itself


def read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(output: dict[str, Any]) -> Iterator[str]:
    """What an output says in words."""
    if "text" in output:
        yield output["text"]
    yield from (output["data"][kind] for kind in TEXTS if kind in output.get("data", {}))


def shows_something(source: str) -> bool:
    """Whether a cell prints, displays, or ends in a value that no call hides."""
    statements = ast.parse(source).body
    if not statements or source.rstrip().endswith(";"):
        return False
    calls = [node.func for node in ast.walk(statements[-1]) if isinstance(node, ast.Call)]
    names = {getattr(func, "id", getattr(func, "attr", "")) for func in calls}
    last = statements[-1]
    is_value = isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call)
    return is_value or bool(names & {"print", "display", "view"})


def cell_faults(cell: Any, number: int) -> Iterator[str]:
    if cell.execution_count != number:
        yield f"has the execution count {cell.execution_count} in place of {number}"
    if shows_something(cell.source) and not cell.outputs:
        yield "shows something, and no output is stored"
    if set(cell.metadata) - {"tags"}:
        yield f"has metadata: {sorted(cell.metadata)}"
    for output in cell.outputs:
        if output.output_type == "error" or output.get("name") == "stderr":
            yield f"ended in {output.get('ename', 'words on stderr')}"
        if VIEW in output.get("data", {}).get("text/html", ""):
            yield "holds a view as HTML, which GitHub does not show"
        for text in texts(output):
            if found := PRIVATE.search(text):
                yield f"tells of a machine: {found.group()}"


def stored_faults(path: Path) -> list[str]:
    """What is wrong with a notebook as it is stored."""
    import nbformat

    notebook = read(path)
    nbformat.validate(notebook)
    faults = [] if notebook.metadata == METADATA else [f"metadata: {notebook.metadata}"]
    if path.stat().st_size >= MOST_BYTES:
        faults.append(f"{path.stat().st_size:,} bytes")
    for number, cell in enumerate(code_cells(notebook), 1):
        faults += [f"cell {number} {fault}" for fault in cell_faults(cell, number)]
    return faults


def test_notebooks_are_stored_as_they_should_be() -> None:
    """`make notebooks` stores them so; `make lint` checks their code."""
    faults = {path.name: stored_faults(path) for path in NOTEBOOKS}
    assert {name: found for name, found in faults.items() if found} == {}


# --------------------------------------------------------------------------------- the checks


def write(path: Path, sources: list[str]) -> Path:
    """A notebook of these code cells, without outputs."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    cells = [new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources)]
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), path)
    return path


def stored(path: Path, source: str = "1 + 1", **changes: Any) -> Path:
    """A sound notebook of one cell, except for these changes of the cell."""
    import nbformat

    notebook = read(write(path, [source]))
    notebook.cells[0].update({"execution_count": 1, "outputs": [stream("2\n")], **changes})
    nbformat.write(nbformat.from_dict(notebook), path)
    return path


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def display(**data: str) -> dict[str, Any]:
    kinds = {kind.replace("_", "/"): value for kind, value in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": kinds}


ERROR = {"output_type": "error", "ename": "KeyError", "evalue": "1", "traceback": []}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"execution_count": 2}, "execution count 2"),
        ({"outputs": []}, "no output is stored"),
        ({"source": "for i in range(2):\n    print(i)", "outputs": []}, "no output is stored"),
        ({"source": "x = 1", "outputs": []}, None),
        ({"source": "heads.save('heads.json')", "outputs": []}, None),
        ({"outputs": [ERROR]}, "ended in KeyError"),
        ({"outputs": [stream("FutureWarning: no", "stderr")]}, "words on stderr"),
        ({"outputs": [stream(f"read {HOME}")]}, f"tells of a machine: {HOME}"),
        ({"outputs": [display(text_plain="<Thing at 0x7f12>")]}, "tells of a machine: at 0x7f12"),
        ({"outputs": [display(text_html=f"<div {VIEW}></div>")]}, "as HTML"),
        ({"metadata": {"execution": {"iopub.status.busy": "2026"}}}, "has metadata"),
    ],
)
def test_fault_of_a_stored_notebook_is_found(
    tmp_path: Path, changes: dict[str, Any], told: str | None
) -> None:
    faults = stored_faults(stored(tmp_path / "a.ipynb", **changes))
    assert faults == [] if told is None else any(told in fault for fault in faults)


def test_large_and_unknown_notebooks_are_found(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.ipynb", outputs=[stream("x" * MOST_BYTES)])
    assert "bytes" in stored_faults(path)[0]
    path.write_text(path.read_text().replace("Python 3", "my kernel"))
    assert "my kernel" in stored_faults(path)[0]


# --------------------------------------------------------------------------------- execution

SOURCES = [
    "import sys\nimport attninfluence as ai\nfrom attninfluence.views.view import View\n"
    "from pathlib import Path\nprint(Path.cwd())\nprint('50%|##', file=sys.stderr)",
    "View('A view', '<p>seen</p>', 'the words of the view')",
    "class Table:\n    def _repr_html_(self):\n        return '<table></table>'\n\n"
    "    def __repr__(self):\n        return 'Table()'\n\nTable()",
]


@pytest.mark.full
def test_views_are_stored_as_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a kernel that neither reads nor writes the settings of whoever runs it."""
    pytest.importorskip("playwright", reason='no playwright: pip install ".[browser]"')
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path / "a.ipynb", SOURCES)
    main([str(path)])
    assert not list(tmp_path.glob(".ipython/*"))
    assert stored_faults(path) == []
    first, view, table = (cell.outputs for cell in code_cells(read(path)))
    assert first == [stream(".\n")]
    assert view[0]["data"].keys() == {"text/plain", "image/png"}
    assert view[0]["data"]["text/plain"] == "the words of the view"
    png = base64.b64decode(view[0]["data"]["image/png"])
    width, height = struct.unpack(">II", png[16:24])
    assert 300 < width / SCALE < 861
    assert view[0]["metadata"]["image/png"] == {
        "width": round(width / SCALE),
        "height": round(height / SCALE),
    }
    assert table[0]["data"]["text/html"] == "<table></table>"


def processor_seconds() -> float:
    """Of the processes that were started from here and ended: a kernel is one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path) -> None:
    """Without an error, in time, and with the outputs stored where a cell is tagged so."""
    before = processor_seconds()
    again = execute(path)
    assert processor_seconds() - before < MOST_SECONDS
    assert all(output["output_type"] != "error" for output in outputs(again))
    for before, after in zip(code_cells(read(path)), code_cells(again), strict=True):
        if "deterministic" in before.metadata.get("tags", []):
            said = [[list(texts(output)) for output in cell.outputs] for cell in (before, after)]
            assert said[0] == said[1], before.source
