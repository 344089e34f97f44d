"""heads.json: retrieval scores in a file, written whole and read strictly.

It is one JSON object: `format` "attninfluence-heads", `version` 3, `model` (fingerprint),
`options`, `samples`, `counted`, `success_rate`, `scores` and `standard_error` (a row for each
layer, null for NaN), `interval` (two such tables, low and high ends), `sample_share` (one),
`rounding` (nats by precision, null where losses are no numbers) and `selected` ([layer, head], best
first). Version 2 had no `rounding`, version 1 neither that nor `interval` nor `sample_share`; heads
that come from such a file are written with null for what it lacked.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError
from attninfluence.base.json_values import STRICT, JSONError, read_json_object
from attninfluence.base.paths import expand_home
from attninfluence.base.replacing import replacing
from attninfluence.heads.head_table import HeadTable
from attninfluence.heads.pairs import Head, checked_pairs

FORMAT, VERSIONS = "attninfluence-heads", (1, 2, 3)
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
    "interval",
    "sample_share",
    "rounding",
    "selected",
)
SINCE = {"interval": 2, "sample_share": 2, "rounding": 3}
ROUNDED = ("bf16", "int8")


def write_heads(heads: HeadTable, path: str | os.PathLike[str]) -> None:
    """Writes JSON, whole or not at all; an older file is replaced."""
    content = {
        "format": FORMAT,
        "version": VERSIONS[-1],
        "model": heads.model_fingerprint,
        "options": heads.options,
        "samples": heads.samples,
        "counted": heads.n_counted,
        "success_rate": heads.success_rate,
        "scores": _without_nan(heads.scores),
        "standard_error": _without_nan(heads.standard_error),
        "interval": _without_nan(heads.interval),
        "sample_share": _without_nan(heads.sample_share),
        "rounding": finite_or_none(heads.rounding),
        "selected": [list(head) for head in heads.selected],
    }
    lines = (f"  {json.dumps(name)}: {_with_rows(value, '  ')}" for name, value in content.items())
    with replacing(path) as file:
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_heads(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of the `HeadTable` that `write_heads` wrote, by name.

    OSError, or ModelError for what it cannot have written.
    """
    return _HeadsFile(Path(expand_home(path))).fields()


def _without_nan(array: NDArray[np.float64] | None) -> Any:
    """Nested lists with None for NaN; None for None."""
    if array is None:
        return None
    if array.ndim > 1:
        return [_without_nan(row) for row in array]
    return [None if math.isnan(value) else value for value in array.tolist()]


def finite_or_none(values: Mapping[str, float] | None) -> dict[str, float | None] | None:
    """For JSON: None for what is no finite number, and for None."""
    if values is None:
        return None
    return {name: v if math.isfinite(v) else None for name, v in values.items()}


def _with_rows(value: Any, indent: str) -> str:
    """JSON with a line for each row of a table."""
    if not (isinstance(value, list) and value and isinstance(value[0], list)):
        return json.dumps(value, allow_nan=False)
    rows = (f"{indent}  {_with_rows(row, indent + '  ')}" for row in value)
    return "[\n" + ",\n".join(rows) + f"\n{indent}]"


class _HeadsFile:
    """A heads.json in the course of being checked; every complaint names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = self._object()
        self._expect_names(("format", "version"), self.content)
        self._expect("format", self.content["format"] == FORMAT, repr(FORMAT))
        version = self.content["version"]
        known = type(version) is int and version in VERSIONS
        self._expect("version", known, " or ".join(map(str, VERSIONS)))
        names = [name for name in NAMES if version >= SINCE.get(name, 1)]
        self._expect_names(names, self.content)
        self._expect_names(self.content, names)

    def fields(self) -> dict[str, Any]:
        """The contents by the names of `HeadTable`, all checked."""
        content = self.content
        model, options = content["model"], content["options"]
        self._expect("model", isinstance(model, str) and bool(model), "a fingerprint")
        self._expect("options", isinstance(options, dict), "an object")
        samples, counted = content["samples"], content["counted"]
        self._expect("samples", type(samples) is int and samples >= 1, "a positive integer")
        self._expect("counted", type(counted) is int and 0 <= counted <= samples, f"0..{samples}")
        rate = content["success_rate"]
        self._expect("success_rate", _is_number(rate) and 0 <= rate <= 1, "a number in 0..1")
        scores = self._table("scores", content["scores"], nullable=counted == 0)
        return {
            "scores": scores,
            "standard_error": self._beside(scores, "standard_error", nullable=counted < 2),
            "selected": self._selected(scores, counted),
            "samples": samples,
            "n_counted": counted,
            "success_rate": float(rate),
            "model_fingerprint": model,
            "options": options,
            "interval": self._interval(scores, counted),
            "sample_share": self._sample_share(scores, counted),
            "rounding": self._rounding(),
        }

    def _object(self) -> dict[str, Any]:
        try:
            return read_json_object(self.path, **STRICT)
        except JSONError as error:
            if self.path.is_dir():
                raise IsADirectoryError(
                    errno.EISDIR, os.strerror(errno.EISDIR), str(self.path)
                ) from None
            raise ModelError(f"{self.path}: {error}") from error

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            found = json.dumps(self.content[name])
            found = found if len(found) <= 60 else found[:60] + "..."
            raise ModelError(f"{self.path}: {name} must be {expected}, found {found}")

    def _expect_names(self, names: Iterable[str], among: Container[str]) -> None:
        for name in names:
            if name not in among:
                what = "unknown" if name in self.content else "no"
                raise ModelError(f"{self.path}: not a heads.json: {what} {name!r}")

    def _beside(
        self, scores: NDArray[np.float64], name: str, nullable: bool
    ) -> NDArray[np.float64]:
        """A table of the shape of the scores."""
        table = self._table(name, self.content[name], nullable)
        self._expect(name, table.shape == scores.shape, "the shape of scores")
        return table

    def _interval(self, scores: NDArray[np.float64], counted: int) -> NDArray[np.float64] | None:
        ends = self.content.get("interval")
        if ends is None:
            return None
        self._expect("interval", isinstance(ends, list) and len(ends) == 2, "two tables")
        low, high = (self._table("interval", end, nullable=counted < 2) for end in ends)
        same = low.shape == high.shape == scores.shape
        self._expect("interval", same, "two tables of the shape of scores")
        holds = counted < 2 or bool(((low <= scores) & (scores <= high)).all())
        self._expect("interval", holds, "around the scores")
        return np.stack([low, high])

    def _sample_share(
        self, scores: NDArray[np.float64], counted: int
    ) -> NDArray[np.float64] | None:
        if self.content.get("sample_share") is None:
            return None
        return self._beside(scores, "sample_share", nullable=counted == 0)

    def _rounding(self) -> dict[str, float] | None:
        """Nats by precision, infinite where they are told as null."""
        found = self.content.get("rounding")
        if found is None:
            return None
        holds = isinstance(found, dict) and set(found) <= set(ROUNDED)
        holds = holds and all(v is None or (_is_number(v) and v >= 0) for v in found.values())
        self._expect("rounding", holds, f"an object of nats by {' and '.join(ROUNDED)}")
        return {name: math.inf if v is None else float(v) for name, v in found.items()}

    def _table(self, name: str, rows: Any, nullable: bool) -> NDArray[np.float64]:
        """float64[layers, heads] of numbers in 0..1, or of nulls where `nullable`."""
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
