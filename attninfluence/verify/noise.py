"""How far rounding alone moves the losses of the reference: its noise floor.

A network amplifies rounding by as much as its weights make it, so that one bound cannot fit all:
what one unit in the last place of every weight, up or down at random, does to the losses of
transformers itself is what two exact programs may differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attninfluence.scores.rounding import gap

if TYPE_CHECKING:
    from attninfluence.verify.reference import Reference

SEEDS = 2  # draws of neighbours: one may move a loss by a quarter of what another does

Losses = Mapping[str, list[NDArray[np.float32]]]  # of each reading, document by document


def noise_floors(
    reference: Reference, exact: Losses, read: Callable[[str, int], NDArray[np.float32]]
) -> dict[str, float]:
    """The largest move of a token's loss in nats, in each reading.

    exact: the reference's losses with its own weights. read: its losses in a reading of a
    document, by name and number.
    """
    floors = dict.fromkeys(exact, 0.0)
    for seed in range(SEEDS):
        with reference.perturbed(seed):
            for name, documents in exact.items():
                moved = [gap(read(name, at), losses).max() for at, losses in enumerate(documents)]
                floors[name] = max(floors[name], *map(float, moved))
    return floors
