"""The retrieval scores of all heads as arrays, and which heads are selected by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.heads.choice import Choice, random_control
from attninfluence.heads.pairs import Head

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self, which CPython 3.10 does not have


@dataclass(frozen=True, eq=False)
class HeadTable:
    """The numbers of a `HeadScores`, which says what each of them is."""

    scores: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    selected: tuple[Head, ...]
    samples: int
    n_counted: int
    success_rate: float
    model_fingerprint: str
    options: dict[str, Any] = field(default_factory=dict)
    interval: NDArray[np.float64] | None = None
    sample_share: NDArray[np.float64] | None = None
    rounding: Mapping[str, float] | None = None

    def bounds(self) -> NDArray[np.float64]:
        """float64[2, layers, heads]: low and high ends of 95 % intervals of the scores.

        They are `interval`, or for an older heads.json the scores less and plus 1.96 standard
        errors, within 0..1. NaN below two counted samples.
        """
        if self.interval is not None:
            return self.interval
        reach = 1.96 * self.standard_error
        return np.clip(np.stack([self.scores - reach, self.scores + reach]), 0, 1)

    def ranking(self) -> list[Head]:
        """All heads, the highest score first; equal scores by (layer, head)."""
        order = np.argsort(-self.scores, axis=None, kind="stable")
        return [divmod(int(index), self.scores.shape[1]) for index in order]

    def select(
        self,
        fraction: float | None = None,
        count: int | None = None,
        threshold: float | None = None,
    ) -> Self:
        """The same scores with other heads selected; give exactly one of the arguments.

        Args:
            fraction: the `ceil(layers * heads * fraction)` highest scores, computed exactly, the
                fraction taken for the decimal number that it prints as.
            count: that many of the highest scores.
            threshold: every score at least this high (Wu et al. 2024 use 0.1); maybe none.

        Raises:
            ValueError: an argument is out of range, or there are no scores to choose by.
        """
        choice = Choice.of(fraction, count, threshold)
        n = choice.number_of_heads(self.scores)
        if not self.n_counted:
            raise ValueError(f"none of the {self.samples} samples counted: there are no scores")
        chosen = tuple(self.ranking()[:n])
        options = {**self.options, **choice.as_options()}
        return replace(self, selected=chosen, options=options)

    def random_control(self, seed: int) -> list[Head]:
        """As many heads as are selected, drawn from all others, in order of (layer, head).

        Raises:
            ValueError: fewer heads are left than are selected, or the seed is negative.
        """
        n_layers, n_heads = self.scores.shape
        return random_control((n_layers, n_heads), self.selected, seed)

    def columns(self) -> dict[str, Any]:
        """The columns of tables by name: a row a head, by (layer, head); NaN for no number."""
        low, high = self._or_unknown(self.interval, (2, *self.scores.shape))
        layer, head = np.indices(self.scores.shape)
        rank = np.empty(self.scores.shape, dtype=np.int64)
        selected = np.zeros(self.scores.shape, dtype=np.bool_)
        for place, at in enumerate(self.ranking(), start=1):
            rank[at] = place
        for at in self.selected:
            selected[at] = True
        tables = {
            "layer": layer,
            "head": head,
            "score": self.scores,
            "standard_error": self.standard_error,
            "interval_low": low,
            "interval_high": high,
            "sample_share": self._or_unknown(self.sample_share, self.scores.shape),
            "selected": selected,
            "rank": rank,
        }
        return {name: table.ravel() for name, table in tables.items()}

    def _or_unknown(
        self, values: NDArray[np.float64] | None, shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        return np.full(shape, np.nan) if values is None else values
