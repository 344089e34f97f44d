"""Token ids that a caller gives in place of text, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_ids(token_ids: ArrayLike, vocab_size: int, name: str = "token_ids") -> NDArray[np.int32]:
    """int32[T] from any flat sequence of integers.

    ValueError, naming `name` and the id, outside 0..vocab_size-1 or not an integer.
    """
    ids = np.asarray(token_ids)
    if ids.ndim != 1:
        raise ValueError(f"{name}: expected a flat sequence of token ids, got shape {ids.shape}")
    if ids.size and ids.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integer token ids, got {ids.dtype}")
    wrong = np.flatnonzero((ids < 0) | (ids >= vocab_size))
    if wrong.size:
        at = int(wrong[0])
        raise ValueError(
            f"{name}: id {ids[at]} at position {at} is outside the model's vocabulary "
            f"0..{vocab_size - 1}"
        )
    return np.ascontiguousarray(ids, dtype=np.int32)
