"""Finished score runs made without a model, for tests of what comes after scoring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attninfluence.output.folder import OutputFolder
from attninfluence.output.schema import score_schema
from attninfluence.output.tally import Tally
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select


def score_row(file: str, row: int, **values: Any) -> dict[str, Any]:
    """One row of a score table; `score=None` gives a row without a score."""
    score = values.get("score", 0.5)
    filled = {
        "file": file,
        "row": row,
        "id": None,
        "domain": None,
        "n_tokens": 10,
        "n_scored": 9,
        "base_loss": None if score is None else 2.0,
        "ref_loss": None if score is None else 2.0 * (1 + score),
        "score": score,
        "status": "bad_type" if score is None else "ok",
        "truncated": False,
        "repaired": False,
        "partly_counted": False,
    }
    return {**filled, **values}


def write_scores(
    path: Path,
    parts: Sequence[Sequence[dict[str, Any]]],
    root: Path | None = None,
    totals: dict[str, Any] | None = None,
    **run: Any,
) -> Path:
    """A finished score run with these rows, one list a part; inputs lie below `root`.

    `run` adds to its run.json, or replaces what stands there; so do `totals` to its _SUCCESS.
    """
    folder = OutputFolder(path, "scores")
    names = list(dict.fromkeys(row["file"] for rows in parts for row in rows))
    inputs = [{"file": name, "bytes": _size(root, name)} for name in names]
    folder.start({"folder": str(root or path.parent), "inputs": inputs, **run})
    tally = Tally()
    files: dict[str, dict[str, Any]] = {}
    for rows in parts:
        with folder.part(score_schema()) as part:
            part.write(pa.Table.from_pylist(list(rows), score_schema()))
        for row in rows:
            tally.add(row["domain"], row["status"], row["n_tokens"], row["n_scored"])
            count = files.setdefault(row["file"], {"file": row["file"], "rows": 0, "tokens": 0})
            count["rows"] += 1
            count["tokens"] += row["n_tokens"]
    found = {**tally.summary(), "files": list(files.values()), "bad_files": []}
    folder.finish({**found, **(totals or {})})
    return path


def older(folder: Path, parts: int = 2) -> Path:
    """Scores as they were before `partly_counted`: no column in the first parts, no totals, no
    option.
    """
    for part in sorted(folder.glob("part-*.parquet"))[:parts]:
        table = pq.read_table(part)
        pq.write_table(table.drop_columns(["partly_counted"]), part)
    for name in ("run.json", "_SUCCESS"):
        value = json.loads((folder / name).read_text())
        value.pop("partly_counted", None)
        for domain in value.get("domains", []):
            del domain["partly_counted"]
        (folder / name).write_text(json.dumps(value))
    return folder


def selected_summary(folder: Path, rule: Rule) -> dict[str, Any]:
    """The summary of a selection from a finished run; what it selects is thrown away."""
    with TemporaryDirectory() as elsewhere:
        return select(folder, Path(elsewhere, "selected"), rule)


def _size(root: Path | None, name: str) -> int:
    return 0 if root is None else (root / name).stat().st_size
