"""Base loss and score by the length of documents, from a stream."""

from __future__ import annotations

import numpy as np

from attninfluence.base.arrays import Floats, Ints
from attninfluence.base.quantiles import QuantileSketch
from attninfluence.report.quantile import median
from attninfluence.views.length import LengthBin

PER_OCTAVE = 2
BINS = 64  # of lengths up to 2**32
LEAST = 5  # documents of a bin that is shown
K = 4096  # of the sketches: quantiles within 0.4 % of the documents


class Lengths:
    """Quantiles of base loss and score in bins of half an octave of tokens."""

    def __init__(self) -> None:
        self._loss = [QuantileSketch(K) for _ in range(BINS)]
        self._score = [QuantileSketch(K) for _ in range(BINS)]

    def add(self, n_tokens: Ints, base_loss: Floats, score: Floats) -> None:
        """Add documents with numbers, arrays [n]."""
        at = bin_of(n_tokens)
        for index in np.unique(at):
            here = at == index
            self._loss[index].update(base_loss[here])
            self._score[index].update(score[here])

    @property
    def error(self) -> float:
        """The share of a bin's documents by which the rank of a quantile may be off."""
        return max(sketch.error for sketch in (*self._loss, *self._score))

    def bins(self) -> list[LengthBin]:
        """The bins that hold LEAST documents or more, by length."""
        return [
            LengthBin(
                low=2.0 ** (index / PER_OCTAVE),
                high=2.0 ** ((index + 1) / PER_OCTAVE),
                documents=loss.count,
                loss=(loss.quantile(0.25), median(loss), loss.quantile(0.75)),
                score=median(score),
            )
            for index, (loss, score) in enumerate(zip(self._loss, self._score, strict=True))
            if loss.count >= LEAST
        ]


def bin_of(n_tokens: Ints) -> Ints:
    """The bin of each length."""
    edges = np.ceil(2.0 ** (np.arange(1, BINS) / PER_OCTAVE) - 1e-9)
    return np.searchsorted(edges, n_tokens, side="right").astype(np.int64)
