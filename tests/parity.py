"""What every comparison of readings with transformers reads, and how it compares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Documents = list[NDArray[np.int32]]
Spans = list[tuple[int, int]]


def head_sets(n_layers: int, n_heads: int, group: int) -> dict[str, NDArray[np.bool_]]:
    """The sets of heads every shape is read with, each bool[n_layers, n_heads]."""
    empty = np.zeros((n_layers, n_heads), dtype=bool)
    middle = n_layers // 2
    sets = {name: empty.copy() for name in ("last", "first", "layer", "grouped")}
    sets["last"][-1, n_heads - 1] = True
    sets["first"][0, 0] = True
    sets["layer"][middle] = True
    sets["grouped"][middle, group - 1] = True
    sets["all"] = np.ones_like(empty)
    sets["scattered"] = np.random.default_rng(n_heads).random(empty.shape) < 0.4
    return sets


def difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """The largest absolute difference; NaN where either is not finite."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours.astype(np.float64) - theirs).max())


def copy_documents(vocab_size: int) -> tuple[Documents, Spans, Spans]:
    """Documents of few distinct tokens, so that the largest weight often copies by chance.

    Returns the documents, their answers and their needles.
    """
    documents, answers, needles = [], [], []
    for seed, n_tokens in enumerate((30, 90, 97, 192, 250)):
        random = np.random.default_rng(seed)
        some = random.choice(vocab_size, 4, replace=False)
        documents.append(some[random.integers(0, 4, n_tokens)].astype(np.int32))
        answers.append((n_tokens - n_tokens // 2, n_tokens))
        needles.append((n_tokens // 10, n_tokens // 2))
    return documents, answers, needles
