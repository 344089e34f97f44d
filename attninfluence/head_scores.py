"""The result of a search for retrieval heads: scores, the heads selected, and its file.

heads.json is one JSON object: `format` "attninfluence-heads", `version` 1, `model` (fingerprint),
`options`, `samples`, `counted`, `success_rate`, `scores` and `standard_error` (a row for each
layer, null for NaN) and `selected` ([layer, head], best first).
"""

from __future__ import annotations

import json
import math
import operator
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError
from attninfluence.replacing import replacing

Head = tuple[int, int]

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


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Retrieval scores of all heads, and the heads selected by them.

    Attributes:
        scores: float64[layers, heads], each in 0..1; NaN when no sample counted.
        standard_error: float64[layers, heads] of the scores; NaN below two counted samples.
        selected: (layer, head) pairs, best first, both counted from 0.
        samples: probe samples read.
        n_counted: samples that the scores are the mean of.
        success_rate: share of the samples that the model answered.
        options: what `find_retrieval_heads` was asked, by name.
        model_fingerprint: `Model.fingerprint` of the model they belong to.
    """

    scores: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    selected: tuple[Head, ...]
    samples: int
    n_counted: int
    success_rate: float
    model_fingerprint: str
    options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        best = "none"
        if self.n_counted:
            layer, head = self.ranking()[0]
            best = f"{self.scores[layer, head]:.3f} at ({layer}, {head})"
        return (
            f"HeadScores({len(self.selected)} of {self.scores.size} heads selected, best {best}, "
            f"{self.n_counted} of {self.samples} samples counted)"
        )

    def _repr_html_(self) -> str:
        """A notebook shows the scores as a map, the selected heads outlined."""
        from attninfluence.views.heatmap import heatmap_svg
        from attninfluence.views.view import View

        body = heatmap_svg(self.scores, self.selected, label=repr(self))
        return View("Retrieval heads", body, repr(self))._repr_html_()

    def ranking(self) -> list[Head]:
        """All heads, the highest score first; equal scores by (layer, head)."""
        order = np.argsort(-self.scores, axis=None, kind="stable")
        return [divmod(int(index), self.scores.shape[1]) for index in order]

    def select(
        self,
        fraction: float | None = None,
        count: int | None = None,
        threshold: float | None = None,
    ) -> HeadScores:
        """The same scores with other heads selected; give exactly one of the arguments.

        Args:
            fraction: the `ceil(layers * heads * fraction)` highest scores, computed exactly, the
                fraction taken for the decimal number that it prints as.
            count: that many of the highest scores.
            threshold: every score at least this high (Wu et al. 2024 use 0.1); maybe none.

        Raises:
            ValueError: an argument is out of range, or there are no scores to choose by.
        """
        selection = Selection.of(fraction, count, threshold)
        n = selection.number_of_heads(self.scores)
        if not self.n_counted:
            raise ValueError(f"none of the {self.samples} samples counted: there are no scores")
        chosen = tuple(self.ranking()[:n])
        options = {**self.options, **selection.as_options()}
        return replace(self, selected=chosen, options=options)

    def random_control(self, seed: int) -> list[Head]:
        """As many heads as are selected, drawn from all others, in order of (layer, head).

        Raises:
            ValueError: fewer heads are left than are selected, or the seed is negative.
        """
        if seed < 0:
            raise ValueError(f"the seed of a random control must be at least 0, not {seed}")
        taken = set(self.selected)
        others = [head for head in np.ndindex(self.scores.shape) if head not in taken]
        if len(others) < len(taken):
            raise ValueError(
                f"a control of {len(taken)} heads cannot be drawn: {len(taken)} of "
                f"{self.scores.size} heads are selected, so only {len(others)} are left"
            )
        drawn = np.random.default_rng(seed).choice(len(others), len(taken), replace=False)
        return [(int(others[index][0]), int(others[index][1])) for index in np.sort(drawn)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes JSON, whole or not at all; an older file is replaced."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model_fingerprint,
            "options": self.options,
            "samples": self.samples,
            "counted": self.n_counted,
            "success_rate": self.success_rate,
            "scores": _without_nan(self.scores),
            "standard_error": _without_nan(self.standard_error),
            "selected": [list(head) for head in self.selected],
        }
        text = _json_with_rows(content)
        with replacing(path) as file:
            file.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HeadScores:
        """Reads what `save` wrote.

        Raises:
            OSError: the file cannot be read.
            ModelError: it is not a heads.json of this version, or its values cannot be.
        """
        return _HeadsFile(Path(path)).head_scores()


@dataclass(frozen=True)
class Selection:
    """One way to choose heads by their scores: a name of `NAMES` and its value."""

    name: str
    value: Any

    NAMES = ("fraction", "count", "threshold")

    @classmethod
    def of(cls, fraction: float | None, count: int | None, threshold: float | None) -> Selection:
        """The one that is not None."""
        values = zip(cls.NAMES, (fraction, count, threshold), strict=True)
        given = [cls(name, value) for name, value in values if value is not None]
        if len(given) != 1:
            names = " and ".join(one.name for one in given) or "none"
            raise ValueError(f"give one of fraction, count and threshold, not {names}")
        return given[0]

    def number_of_heads(self, scores: NDArray[np.float64]) -> int:
        """How many of the highest scores are chosen; ValueError for a value that cannot be."""
        if self.name == "count":
            count = _as_int(self.value)
            if not 1 <= count <= scores.size:
                raise ValueError(f"count must be 1..{scores.size}, the model's heads, not {count}")
            return count
        if not 0 < self.value <= 1:
            raise ValueError(f"{self.name} must be above 0 and at most 1, not {self.value}")
        if self.name == "fraction":
            return math.ceil(scores.size * Fraction(str(self.value)))
        return int(np.count_nonzero(scores >= self.value))

    def as_arguments(self) -> dict[str, Any]:
        """As an argument of `HeadScores.select`."""
        return {self.name: self.value}

    def as_options(self) -> dict[str, float | int | None]:
        """All three names, as they stand in `HeadScores.options`."""
        value = _as_int(self.value) if self.name == "count" else float(self.value)
        return {name: value if name == self.name else None for name in self.NAMES}


def checked_pairs(pairs: Iterable[Sequence[int]], shape: Head, owner: str) -> tuple[Head, ...]:
    if not isinstance(pairs, Iterable):
        raise TypeError(
            "heads must be a HeadScores, (layer, head) pairs or the path of a heads.json, "
            f"got {pairs!r}"
        )
    checked: dict[Head, None] = {}
    for pair in pairs:
        try:
            layer, head = map(_as_int, pair)
        except (TypeError, ValueError):
            raise ValueError(f"a head is a pair (layer, head) of integers, not {pair!r}") from None
        if not (0 <= layer < shape[0] and 0 <= head < shape[1]):
            raise ValueError(
                f"head ({layer}, {head}) is out of range: {owner} has {shape[0]} layers of "
                f"{shape[1]} heads, both counted from 0"
            )
        if (layer, head) in checked:
            raise ValueError(f"head ({layer}, {head}) is given twice")
        checked[layer, head] = None
    return tuple(checked)


def _as_int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a bool is no number")
    return operator.index(value)


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
