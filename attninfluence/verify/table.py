"""Differences from transformers by precision and reading, and the table of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from attninfluence.scores.rounding import MOST_MOVED
from attninfluence.verify.ranking import Ranking

READINGS = ("base", "uniform", "zero")

# Nats: in fp32 what the loss of any token may differ by, else what losses may on average. bf16 and
# int8 round every factor of every product: single tokens then move by several times the mean, and
# in a mixture of experts by up to a nat, where rounding sends one to another expert.
BOUNDS = {"fp32": 1e-4, "bf16": MOST_MOVED, "int8": MOST_MOVED}

# In fp32 a loss may differ by so many times what rounding of the weights does to the reference's.
NOISE_FACTOR = 4


@dataclass(frozen=True)
class Difference:
    """Losses of one reading in one precision, against transformers' fp32.

    Attributes:
        largest: the largest difference of a token's loss, without its sign, in nats.
        mean: the mean of these differences over all tokens, in nats.
        logits: the largest difference of a logit.
        score: the largest difference of a document's score; None in the base reading.
        noise: in fp32 the largest difference of a token's loss that moving each weight of the
            reference to a neighbouring number makes to the reference itself, in nats; else None.
    """

    precision: str
    kernel: str
    reading: str
    largest: float
    mean: float
    logits: float
    score: float | None
    noise: float | None = None

    @property
    def bound(self) -> float:
        """What `largest` may be in fp32, `mean` otherwise, in nats."""
        fixed = BOUNDS[self.precision]
        if self.noise is None or not math.isfinite(self.noise):
            return fixed
        return max(fixed, NOISE_FACTOR * self.noise)

    @property
    def is_within(self) -> bool:
        return (self.largest if self.precision == "fp32" else self.mean) <= self.bound


@dataclass(frozen=True)
class ErrorTable:
    """All differences, and what they were found on.

    Attributes:
        rankings: of texts by their scores in the lower precisions; none without a tokenizer.
        documents: how many were read.
        tokens: how many were scored.
        longest: tokens of the longest document.
        window: keys that a row of a windowed layer sees; 0 where that is no fewer than the context
            has.
        heads: those masked.
        versions: of transformers and torch.
    """

    rows: tuple[Difference, ...]
    rankings: tuple[Ranking, ...]
    documents: int
    tokens: int
    longest: int
    window: int
    heads: tuple[tuple[int, int], ...]
    versions: dict[str, str]

    @property
    def is_window_passed(self) -> bool:
        """Whether some row had more before it than its window, so that the window mattered."""
        return not self.window or self.longest > self.window

    @property
    def excess(self) -> str:
        """A sentence on the first row beyond its bound; empty where there is none."""
        for row in self.rows:
            if not row.is_within:
                exact = row.precision == "fp32"
                found = (
                    f"up to {row.largest:.3g} nat" if exact else f"{row.mean:.3g} nat on average"
                )
                return (
                    f"the {row.reading} losses in {row.precision} differ from transformers by "
                    f"{found}, expected at most {row.bound:.2g}"
                )
        return next((ranking.excess for ranking in self.rankings if ranking.excess), "")

    def as_dict(self) -> dict[str, Any]:
        """In JSON values; None for what is not finite."""
        rows = [asdict(row) | {"bound": row.bound, "within": row.is_within} for row in self.rows]
        return {
            "documents": self.documents,
            "tokens": self.tokens,
            "longest": self.longest,
            "window": self.window,
            "window_passed": self.is_window_passed,
            "heads": [list(head) for head in self.heads],
            "versions": self.versions,
            "rows": [{k: finite(v) for k, v in row.items()} for row in rows],
            "rankings": [
                {k: finite(v) for k, v in ranking.as_dict().items()} for ranking in self.rankings
            ],
        }


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
