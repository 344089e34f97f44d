"""The finaliser of SplitMix64, for a number and for an array."""

from __future__ import annotations

import numpy as np

from attninfluence.base.hashing import MASK, mixed

# The first numbers of SplitMix64 from seed 0, which adds this to its state before each.
GAMMA = 0x9E3779B97F4A7C15
KNOWN = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_numbers_and_arrays_are_mixed_as_in_splitmix64() -> None:
    states = [GAMMA * step & MASK for step in (1, 2, 3)]
    assert [mixed(state) for state in states] == KNOWN
    array = mixed(np.array(states, np.uint64))
    assert array.dtype == np.uint64 and array.tolist() == KNOWN
