"""The documents of a domain with the highest and the lowest scores, from a stream."""

from __future__ import annotations

import numpy as np

from attninfluence.base.arrays import Floats, Ints


class Extremes:
    """Up to `room` documents with the highest and as many with the lowest scores.

    Documents are positions of rows; of equal scores the earlier one is the higher.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self._score = np.zeros(0)
        self._position = np.zeros(0, np.int64)

    def add(self, score: Floats, position: Ints) -> None:
        """Offer documents: scores float64 [n], positions int64 [n]."""
        score = np.concatenate([self._score, score])
        position = np.concatenate([self._position, position])
        order = np.lexsort((position, -score))
        if len(order) > 2 * self.room:
            order = np.concatenate([order[: self.room], order[len(order) - self.room :]])
        self._score, self._position = score[order], position[order]

    @property
    def highest(self) -> list[int]:
        """Positions, the highest score first; of a few documents the better half."""
        half = (len(self._position) + 1) // 2
        return [int(at) for at in self._position[: min(self.room, half)]]

    @property
    def lowest(self) -> list[int]:
        """Positions, the lowest score first; none that is among the highest."""
        rest = self._position[len(self.highest) :]
        return [int(at) for at in rest[::-1][: self.room]]
