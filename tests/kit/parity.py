"""What every comparison of readings with transformers reads, and how it compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence import _core
from tests.kit.tiny_models import random_ids

if TYPE_CHECKING:
    from attninfluence.verify.reference import Reference

Documents = list[NDArray[np.int32]]
Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class Opened:
    """One model folder, opened by us in fp32 and by transformers."""

    folder: Path
    core: _core.Model
    reference: Reference

    def documents(self, lengths: tuple[int, ...]) -> Documents:
        return [random_ids(n_tokens, n_tokens, self.core.vocab_size) for n_tokens in lengths]


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


def copies_with_doubt(
    attention: NDArray[np.float32],
    ids: NDArray[np.int32],
    answer: tuple[int, int],
    needle: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Steps each head copies (METHOD.md section 2), and steps that rounding could decide otherwise.

    Those have a hit and a miss within 1e-4 of their largest weight. Where a layer knows no
    positions, equal tokens have equal weights, so that such steps do occur.
    """
    copies = np.zeros(attention.shape[:2], dtype=np.int64)
    doubtful = copies.copy()
    for step in range(*answer):
        row = attention[:, :, step - 1, :step]
        places = np.arange(step)
        hit = (needle[0] <= places) & (places < needle[1]) & (ids[:step] == ids[step])
        copies += hit[row.argmax(axis=-1)]
        close = row >= row.max(axis=-1, keepdims=True) * (1 - 1e-4)
        doubtful += (close & hit).any(axis=-1) & (close & ~hit).any(axis=-1)
    return copies, doubtful
