"""Quantiles of a stream in bounded memory: a sketch of compactors that can be merged and stored.

    level 0   values of weight 1      a full level is sorted, and every second value of it moves one
    level 1   values of weight 2      level up, at twice the weight; whether the even or the odd
    level h   values of weight 2**h   places move is decided anew each time, so that errors cancel

This is the scheme of Karnin, Lang and Liberty (2016, arXiv 1603.05346): the topmost level holds `k`
values, each level below two thirds of the one above. A value of weight w enters the level of every
bit that is set in w.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.base.arrays import Floats, Ints
from attninfluence.base.json_shapes import ListOf, Object, Whole
from attninfluence.base.json_values import STRICT, parse_json_object

K = 16384
LEAST_CAPACITY = 8
SHRINK = 2 / 3
MAGIC = b"attninfluence-quantiles-1\n"
MOST_LEVELS = 62
MOST_WEIGHT = 1 << MOST_LEVELS  # of all values of a sketch together
_HEAD = Object(
    {
        "k": Whole(LEAST_CAPACITY, 1 << 24),
        "seed": Whole(-(1 << 63), (1 << 63) - 1),
        "count": Whole(0, MOST_WEIGHT),
        "weight": Whole(0, MOST_WEIGHT),
        "compactions": Whole(0, MOST_WEIGHT),
        "sizes": ListOf(Whole(0, 1 << 32)),
    },
    {"crc32": Whole(0, (1 << 32) - 1)},  # sketches of before have none
)


class QuantileSketch:
    """Weighted quantiles of any number of values, from at most some ``5 * k`` of them.

    Exact while no more than `k` values were seen. After that the share of the weight at or below a
    value is off by less than `error`, 0.001 for the default `k`. With weights of 1 the probability
    of more is below 1e-9 for any one value, by Hoeffding's inequality: the compactions of all
    levels add variance of at most 6 / k**2. What was measured, over all values at once, has more
    room: in 250 streams of two million values the largest error of a stream was 0.00009 in the
    mean and 0.00013 at most, and no larger after merging 200 pieces, with weights from 1 to
    millions, and for 134 million values.

    The same values in the same order and pieces give the same sketch; `seed` starts the choice of
    places. Values are kept in 8 bytes each: 0.7 MB for the default `k`, however many were seen.
    """

    def __init__(self, k: int = K, seed: int = 0) -> None:
        if k < LEAST_CAPACITY:
            raise ValueError(f"k must be at least {LEAST_CAPACITY}, got {k}")
        self.k = k
        self.seed = seed
        self.count = 0
        self.weight = 0
        self._compactions = 0
        self._levels: list[Floats] = []
        self._waiting = np.empty(0, np.float64)  # the newest values, with their weights as they are
        self._weights = np.empty(0, np.int64)
        self._view: tuple[Floats, Ints] | None = None

    @property
    def error(self) -> float:
        """The bound on the error of a share: 0.0 while the sketch is exact."""
        return 0.001 * K / self.k if self._levels else 0.0

    def update(self, values: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Add values, float64 [n], each with a weight, int64 [n] >= 0 (1 each without).

        A value of weight 0 is passed over. ValueError for NaN, a negative weight, or weights that
        are no integers or of another shape; the sketch is then as it was.
        """
        new = np.asarray(values, np.float64)
        given = np.ones(new.shape, np.int64) if weights is None else np.asarray(weights)
        _check(new, given)
        counted = given > 0
        new, given = new[counted], given[counted].astype(np.int64)
        self.count += len(new)
        self.weight += int(given.sum())
        for start in range(0, len(new), self.k):
            self._wait(new[start : start + self.k], given[start : start + self.k])

    def merge(self, other: QuantileSketch) -> None:
        """Add what `other` has seen, which stays as it is.

        ValueError for another `k`, and for more weight than can be counted.
        """
        if other.k != self.k:
            raise ValueError(f"cannot merge sketches of unlike k: {self.k} and {other.k}")
        if self.weight + other.weight > MOST_WEIGHT:
            raise ValueError(f"cannot merge sketches of more weight than {MOST_WEIGHT}")
        waiting, weights = other._waiting, other._weights
        self.count += other.count
        self.weight += other.weight
        for level, values in enumerate(list(other._levels)):
            self._enter(level, values)
        self._wait(waiting, weights)
        self._compress()

    def quantile(self, q: float) -> float:
        """The smallest kept value with at least the share `q` of the weight at or below it.

        ValueError for an empty sketch or a share outside [0, 1].
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is asked for by a share in [0, 1], got {q}")
        values, upto = self._cumulated()
        place = int(np.searchsorted(upto, q * self.weight, side="left"))
        return float(values[min(place, len(values) - 1)])

    def rank(self, value: float) -> float:
        """The share of the weight at or below `value`; ValueError for an empty sketch."""
        values, upto = self._cumulated()
        place = int(np.searchsorted(values, value, side="right"))
        return int(upto[place - 1]) / self.weight if place else 0.0

    def to_bytes(self) -> bytes:
        """The sketch as bytes, the same on every machine."""
        head = {
            "k": self.k,
            "seed": self.seed,
            "count": self.count,
            "weight": self.weight,
            "compactions": self._compactions,
            "sizes": [len(values) for values in (*self._levels, self._waiting)],
        }
        kept = [values.astype("<f8").tobytes() for values in (*self._levels, self._waiting)]
        body = b"".join([*kept, self._weights.astype("<i8").tobytes()])
        text = json.dumps({**head, "crc32": zlib.crc32(body)})
        return b"".join([MAGIC, text.encode(), b"\n", body])

    @classmethod
    def from_bytes(cls, data: bytes) -> QuantileSketch:
        """The sketch that `to_bytes` wrote; ValueError for bytes of anything else."""
        magic, _, rest = data.partition(b"\n")
        text, _, body = rest.partition(b"\n")
        if magic + b"\n" != MAGIC:
            raise ValueError(f"not a quantile sketch: begins with {data[:16]!r}")
        try:
            head = parse_json_object(text, **STRICT)
            _HEAD.check(head)
            if head.get("crc32") not in (None, zlib.crc32(body)):
                raise ValueError("its values are not those that were stored")
            *kept, weights = _stored(body, head["sizes"])
        except ValueError as error:
            raise ValueError(f"a damaged quantile sketch: {error}") from error
        sketch = cls(head["k"], head["seed"])
        sketch.count, sketch.weight = head["count"], head["weight"]
        sketch._compactions = head["compactions"]
        *sketch._levels, sketch._waiting = (part.view("<f8").astype(np.float64) for part in kept)
        sketch._weights = weights.astype(np.int64)
        found = sum(len(part) << level for level, part in enumerate(sketch._levels))
        found += sum(sketch._weights.tolist())
        if found != sketch.weight:
            raise ValueError(
                f"a damaged quantile sketch: its {len(body)} bytes of values hold the weight"
                f" {found} instead of {sketch.weight}"
            )
        return sketch

    def _wait(self, values: Floats, weights: Ints) -> None:
        """Keep some values as they are, until there are more than `k` of them."""
        self._view = None
        self._waiting = np.concatenate([self._waiting, values])
        self._weights = np.concatenate([self._weights, weights])
        if len(self._waiting) <= self.k:
            return
        values, weights = self._waiting, self._weights
        self._waiting, self._weights = values[:0], weights[:0]
        for level in range(int(weights.max()).bit_length()):
            self._enter(level, values[(weights >> level) & 1 == 1])
        self._compress()

    def _enter(self, level: int, values: Floats) -> None:
        while len(self._levels) <= level:
            self._levels.append(np.empty(0, np.float64))
        self._levels[level] = np.concatenate([self._levels[level], values])

    def _compress(self) -> None:
        """Compact full levels, the lowest first, until all levels together hold what they may."""
        while True:
            top = len(self._levels) - 1
            capacities = [
                max(LEAST_CAPACITY, int(self.k * SHRINK ** (top - level)))
                for level in range(top + 1)
            ]
            sizes = [len(values) for values in self._levels]
            if sum(sizes) <= sum(capacities):
                return
            full = (size > capacity for size, capacity in zip(sizes, capacities, strict=True))
            self._compact(next(level for level, is_full in enumerate(full) if is_full))

    def _compact(self, level: int) -> None:
        """Move every second value of a level up; of an odd number the smallest stays."""
        values = np.sort(self._levels[level])
        odd = len(values) % 2
        self._levels[level] = values[:odd]
        self._enter(level + 1, values[odd + self._offset(values) :: 2])

    def _offset(self, values: Floats) -> int:
        """0 or 1, by chance: a hash of the seed, what was decided so far, and some values.

        The values part sketches of one seed, whose errors would else go the same way when merged.
        """
        self._compactions += 1
        middle, last = values[len(values) // 2], values[-1]
        state = struct.pack("<qqdd", self.seed, self._compactions, middle, last)
        return hashlib.blake2b(state, digest_size=1).digest()[0] & 1

    def _weighted(self) -> tuple[list[Floats], list[Ints]]:
        """All kept values and their weights, level by level."""
        weights = [np.full(len(v), 1 << h, np.int64) for h, v in enumerate(self._levels)]
        return [*self._levels, self._waiting], [*weights, self._weights]

    def _cumulated(self) -> tuple[Floats, Ints]:
        """Kept values ascending, and the weight at or below each (ties: up to each in turn)."""
        if not self.weight:
            raise ValueError("the sketch is empty, and has neither quantiles nor ranks")
        if self._view is None:
            kept, weights = self._weighted()
            values = np.concatenate(kept)
            order = np.argsort(values, kind="stable")
            self._view = values[order], np.cumsum(np.concatenate(weights)[order])
        return self._view


def _stored(body: bytes, sizes: list[int]) -> list[NDArray[np.int64]]:
    """The values of each level, those that wait, and their weights; ValueError for what is none."""
    if not 1 <= len(sizes) <= MOST_LEVELS + 1:
        raise ValueError(f"it has {len(sizes) - 1} levels")
    sizes = [*sizes, sizes[-1]]
    if len(body) != 8 * sum(sizes):
        raise ValueError(f"expected {8 * sum(sizes)} bytes of values, found {len(body)}")
    *kept, weights = np.split(np.frombuffer(body, "<i8"), np.cumsum(sizes)[:-1])
    if any(np.isnan(part.view("<f8")).any() for part in kept):
        raise ValueError("a value is NaN, which has no rank")
    if len(weights) and weights.min() < 1:
        raise ValueError(f"the weight {weights.min()} is not positive")
    return [*kept, weights]


def _check(values: Floats, weights: NDArray[Any]) -> None:
    if values.ndim != 1 or weights.shape != values.shape:
        raise ValueError(
            f"expected values [n] and weights [n], got {values.shape} and {weights.shape}"
        )
    if np.isnan(values).any():
        raise ValueError(f"value {int(np.isnan(values).argmax())} is NaN, which has no rank")
    if weights.dtype.kind not in "iu":
        raise ValueError(f"weights must be integers, got {weights.dtype}")
    if len(weights) and weights.min() < 0:
        raise ValueError(f"a weight must not be negative, got {weights.min()}")
