"""Numbers that look random and depend on what they are made of alone."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

MASK = 2**64 - 1


@overload
def mixed(state: int) -> int: ...
@overload
def mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]: ...
def mixed(state: Any) -> Any:
    """The finaliser of SplitMix64 (Steele et al. 2014) of a number in 64 bits, or of each of an
    array: each bit depends on all bits.
    """
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
    state = (state ^ state >> 27) * 0x94D049BB133111EB & MASK
    return state ^ state >> 31
