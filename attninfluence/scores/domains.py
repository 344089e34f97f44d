"""Scores in memory by domain, from a name for each document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sized
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.arrays import Ints
from attninfluence.select.in_memory import ScoredDocuments, in_domain_order

if TYPE_CHECKING:
    from attninfluence.scores.score_rows import ScoreRows


def as_column(values: Iterable[Any], name: str, documents: int) -> NDArray[np.object_]:
    """object[documents] of one value a document: a list, an array, a Series, an Arrow column.

    TypeError for a single value, ValueError naming both numbers when there are not as many.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must hold one value a document, got one {type(values).__name__}")
    held = values if isinstance(values, Sized) else list(values)
    if len(held) != documents:
        raise ValueError(
            f"{name} must hold one value a document: there are {documents:,} documents and "
            f"{len(held):,} {name}"
        )
    column = np.empty(documents, dtype=object)
    column[:] = held.to_pylist() if hasattr(held, "to_pylist") else list(held)
    return column


def group(scores: ScoreRows, domains: NDArray[np.object_] | None) -> ScoredDocuments:
    """The documents of `scores` by the names in `domains`, None for one domain of all.

    A name that is missing (None, NaN, pandas.NA) is no domain, which is a group as others are.
    """
    names, places = _encoded(domains, len(scores))
    scored = (np.array(scores.status, dtype=object) == "ok") & ~np.isnan(scores.score)
    return ScoredDocuments(
        *in_domain_order(names, places),
        scores.n_tokens,
        scores.score,
        scores.base_loss,
        scored,
    )


def _encoded(domains: NDArray[np.object_] | None, size: int) -> tuple[list[str | None], Ints]:
    """The distinct names, and for each document the index of its own."""
    if domains is None:
        return [None], np.zeros(size, np.int64)
    codes: defaultdict[Any, int] = defaultdict(count().__next__)
    raw = np.fromiter(map(codes.__getitem__, domains.tolist()), np.int64, size)
    merged: dict[str | None, int] = {}
    places = [merged.setdefault(_name(value), len(merged)) for value in codes]
    return list(merged), np.array(places, np.int64)[raw]


def _name(value: Any) -> str | None:
    is_missing = value is None or type(value).__name__ == "NAType" or value != value
    return None if is_missing else str(value)
