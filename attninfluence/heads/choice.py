"""Ways to choose heads: by their scores, or at random beside those chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.whole_number import as_whole_number
from attninfluence.heads.pairs import Head


@dataclass(frozen=True)
class Choice:
    """One way to choose heads by their scores: a name of `NAMES` and its value."""

    name: str
    value: Any

    NAMES = ("fraction", "count", "threshold")

    @classmethod
    def of(cls, fraction: float | None, count: int | None, threshold: float | None) -> Choice:
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
            count = as_whole_number("count", self.value)
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
        value = as_whole_number("count", self.value) if self.name == "count" else float(self.value)
        return {name: value if name == self.name else None for name in self.NAMES}


def random_control(shape: tuple[int, int], selected: Iterable[Head], seed: int) -> list[Head]:
    """As many heads as are selected, drawn from all others of [layers, heads], in order.

    ValueError: fewer heads are left than are selected, or the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"the seed of a random control must be at least 0, not {seed}")
    taken = set(selected)
    others = [head for head in np.ndindex(shape) if head not in taken]
    if len(others) < len(taken):
        raise ValueError(
            f"a control of {len(taken)} heads cannot be drawn: {len(taken)} of "
            f"{math.prod(shape)} heads are selected, so only {len(others)} are left"
        )
    drawn = np.random.default_rng(seed).choice(len(others), len(taken), replace=False)
    return [(int(others[index][0]), int(others[index][1])) for index in np.sort(drawn)]
