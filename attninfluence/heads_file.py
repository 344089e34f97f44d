"""heads.json: retrieval scores in a file, written whole and read strictly.

It is one JSON object: `format` "attninfluence-heads", `version` 1, `model` (fingerprint),
`options`, `samples`, `counted`, `success_rate`, `scores` and `standard_error` (a row for each
layer, null for NaN) and `selected` ([layer, head], best first).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError
from attninfluence.head_scores import Head, HeadScores, checked_pairs
from attninfluence.replacing import replacing

FORMAT, VERSION = "attninfluence-heads", 1
NAMES = (
    "format",
    "version",
    "model",
    "options",
    "samples",
    "counted",
    "success_rate",
    "scores",
    "standard_error",
    "selected",
)


def write_heads(heads: HeadScores, path: str | os.PathLike[str]) -> None:
    """Writes JSON, whole or not at all; an older file is replaced."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "model": heads.model_fingerprint,
        "options": heads.options,
        "samples": heads.samples,
        "counted": heads.n_counted,
        "success_rate": heads.success_rate,
        "scores": _without_nan(heads.scores),
        "standard_error": _without_nan(heads.standard_error),
        "selected": [list(head) for head in heads.selected],
    }
    text = _json_with_rows(content)
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8")


def read_heads(path: str | os.PathLike[str]) -> HeadScores:
    """What `write_heads` wrote; OSError, or ModelError for what it cannot have written."""
    return _HeadsFile(Path(path)).head_scores()


def _without_nan(array: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in array.tolist()]


def _json_with_rows(content: dict[str, Any]) -> str:
    """JSON with one line for each name, and for each row of a table."""
    lines = []
    for name, value in content.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list) and value:
            text = "[\n    " + ",\n    ".join(json.dumps(row) for row in value) + "\n  ]"
        lines.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


class _HeadsFile:
    """A heads.json in the course of being checked; every complaint names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = self._object()
        self._expect("format", self.content["format"] == FORMAT, repr(FORMAT))
        version = self.content["version"]
        self._expect("version", type(version) is int and version == VERSION, str(VERSION))

    def head_scores(self) -> HeadScores:
        """The contents, all checked."""
        content = self.content
        model, options = content["model"], content["options"]
        self._expect("model", isinstance(model, str) and bool(model), "a fingerprint")
        self._expect("options", isinstance(options, dict), "an object")
        samples, counted = content["samples"], content["counted"]
        self._expect("samples", type(samples) is int and samples >= 1, "a positive integer")
        self._expect("counted", type(counted) is int and 0 <= counted <= samples, f"0..{samples}")
        rate = content["success_rate"]
        self._expect("success_rate", _is_number(rate) and 0 <= rate <= 1, "a number in 0..1")
        scores = self._table("scores", nullable=counted == 0)
        standard_error = self._table("standard_error", nullable=counted < 2)
        same = standard_error.shape == scores.shape
        self._expect("standard_error", same, "the shape of scores")
        selected = self._selected(scores, counted)
        return HeadScores(
            scores, standard_error, selected, samples, counted, float(rate), model, options
        )

    def _object(self) -> dict[str, Any]:
        try:
            content = json.loads(
                self.path.read_text(encoding="utf-8"),
                object_pairs_hook=_unique_names,
                parse_constant=_refuse_constant,
            )
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{self.path}: not valid JSON ({error})") from error
        if not isinstance(content, dict):
            raise ModelError(f"{self.path}: expected a JSON object")
        missing = [name for name in NAMES if name not in content]
        unknown = [name for name in content if name not in NAMES]
        if missing or unknown:
            what = f"no {missing[0]!r}" if missing else f"unknown {unknown[0]!r}"
            raise ModelError(f"{self.path}: not a heads.json of version {VERSION}: {what}")
        return content

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            found = json.dumps(self.content[name])
            found = found if len(found) <= 60 else found[:60] + "..."
            raise ModelError(f"{self.path}: {name} must be {expected}, found {found}")

    def _table(self, name: str, nullable: bool) -> NDArray[np.float64]:
        """float64[layers, heads] of numbers in 0..1, or of nulls where `nullable`."""
        rows = self.content[name]
        expected = "null in every place" if nullable else "a number in 0..1 in every place"
        is_table = isinstance(rows, list) and rows and all(isinstance(row, list) for row in rows)
        self._expect(name, bool(is_table), "a list of lists")
        self._expect(name, len(rows[0]) > 0 and len({len(row) for row in rows}) == 1, "rectangular")
        for value in (value for row in rows for value in row):
            holds = value is None if nullable else _is_number(value) and 0 <= value <= 1
            self._expect(name, holds, expected)
        return np.array(rows, dtype=np.float64)

    def _selected(self, scores: NDArray[np.float64], counted: int) -> tuple[Head, ...]:
        pairs = self.content["selected"]
        is_list = isinstance(pairs, list) and all(isinstance(pair, list) for pair in pairs)
        self._expect("selected", is_list, "a list of [layer, head]")
        self._expect("selected", bool(counted) or not pairs, "empty, since no sample counted")
        try:
            layers, width = scores.shape
            return checked_pairs(pairs, (layers, width), "its table of scores")
        except ValueError as error:
            raise ModelError(f"{self.path}: {error}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
