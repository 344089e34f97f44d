"""How the lower precisions rank the texts of the package by the score, beside fp32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import Model as Core
from attninfluence.model.model import Model
from attninfluence.scores.rounding import (
    MOST_ERROR,
    MOST_MOVED,
    Rounding,
    package_ids,
    read_both,
    rounding_of,
)

TEXTS = 60
LONGEST = 512  # tokens of a text


@dataclass(frozen=True)
class Ranking:
    """Scores of the texts in one precision, against those in fp32.

    Attributes:
        own_heads: whether the heads masked are the model's retrieval heads, else random ones.
        rounding: the differences.
    """

    precision: str
    kernel: str
    own_heads: bool
    rounding: Rounding

    @property
    def excess(self) -> str:
        """What is more than a selection bears, in a sentence; empty where nothing is.

        Scores are judged with the model's own heads alone: nobody selects by random ones.
        """
        texts, moved, error = self.rounding.texts, self.rounding.moved, self.rounding.error
        if not moved <= MOST_MOVED:
            return (
                f"the losses of {texts} texts in {self.precision} differ from those in fp32 by "
                f"{moved:.2g} nat on average, expected at most {MOST_MOVED:g}"
            )
        if self.own_heads and not error <= MOST_ERROR:
            return (
                f"the scores of {texts} texts in {self.precision} differ from those in fp32 by "
                f"{error:.2g} of their spread, expected at most {MOST_ERROR:g}"
            )
        return ""

    def as_dict(self) -> dict[str, Any]:
        found = asdict(self) | asdict(self.rounding)
        del found["rounding"]
        return found | {"bound": MOST_MOVED, "error_bound": MOST_ERROR, "within": not self.excess}


def rank_texts(
    model: Model, cores: Sequence[Core], masked: NDArray[np.bool_], own_heads: bool
) -> list[Ranking]:
    """One for each core of a lower precision than fp32; none without a tokenizer.

    masked: bool[n_layers, n_heads], the model's own heads where `own_heads`.
    """
    lower = [core for core in cores if core.precision != "fp32"]
    if not lower or not model.has_tokenizer:
        return []
    ids = package_ids(model.tokenizer, model.vocab_size, TEXTS, min(LONGEST, model.context))
    truth = next((core for core in cores if core.precision == "fp32"), None)
    exact = read_both(truth or model.in_precision("fp32").core, ids, masked, model.threads)
    return [
        Ranking(
            core.precision,
            core.kernel,
            own_heads,
            rounding_of(exact, read_both(core, ids, masked, model.threads)),
        )
        for core in lower
    ]
