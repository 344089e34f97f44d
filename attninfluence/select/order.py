"""The order in which documents are selected: a key for each row, the highest first."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from attninfluence.base.arrays import Floats
from attninfluence.base.hashing import mixed
from attninfluence.select.exact_sums import SCALE, ExactSums, square
from attninfluence.select.rows import RowReader, Rows, encoded
from attninfluence.select.rule import RankBy, Rule


@dataclass(frozen=True)
class Order:
    """A key for each row: the highest are selected first, ties in the order of the rows.

    spread  by domain, the standard deviation of the values, with a temperature (`with_spread`); it
            follows from the rest and the rows, so orders are compared without it
    """

    rank_by: RankBy | Literal["control_score"]
    bottom: bool = False
    seed: int = 0
    temperature: float | None = None
    spread: Floats | None = field(default=None, compare=False)

    @classmethod
    def of(cls, rule: Rule) -> Order:
        return cls(rule.rank_by, rule.bottom, rule.seed, rule.temperature)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the keys come from."""
        value = () if self.rank_by == "random" else (self.rank_by,)
        chance = ("file", "row") if self.rank_by == "random" or self.temperature else ()
        return (*value, *chance)

    def values(self, rows: Rows) -> Floats:
        """What rows are ranked by, float64 [rows], the lowest negated with `bottom`."""
        values = rows.floats(self.rank_by)
        return -values if self.bottom else values

    def keys(self, rows: Rows, names: list[str | None]) -> Floats:
        """Keys, float64 [rows]; for rows that are no candidates they mean nothing.

        Chance comes from a hash of the seed, the domain's name, the file's name and the row, so it
        depends neither on how rows lie in parts or folders nor on other domains.
        """
        if self.rank_by == "random":
            return uniform(self.seed, rows, names)
        values = self.values(rows)
        if self.temperature is None:
            return values
        assert self.spread is not None
        scale = self.temperature * self.spread[rows.domain]
        scaled = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
        # The highest of scores plus Gumbel noise is a draw from their softmax, the next highest one
        # from what is left, and so on (Vieira 2014; Kool et al. 2019, arXiv 1903.06059).
        return scaled - np.log(-np.log(uniform(self.seed, rows, names)))

    def with_spread(self, reader: RowReader) -> Order:
        """The order with the spread of each domain's candidates, which takes a reading of its own.

        Population standard deviation, 0 for a single one. It is rounded once, from exact sums, so
        that keys do not depend on how rows were divided into parts.
        """
        counts = np.zeros(0, np.int64)
        sums, squares = ExactSums(), ExactSums()
        for rows in reader.read(self.columns):
            at, values = rows.domain[rows.candidate], self.values(rows)[rows.candidate]
            more = np.bincount(at, minlength=len(reader.names))
            more[: len(counts)] += counts
            counts = more
            sums.add(at, values)
            for part in square(values):
                squares.add(at, part)
        spread = [_deviation(n, sums[at], squares[at]) for at, n in enumerate(counts.tolist())]
        return replace(self, spread=np.array(spread, np.float64))


def _deviation(count: int, total: int, squares: int) -> float:
    """The standard deviation of numbers from their sum and that of their squares, both exact."""
    if not count:
        return 0.0
    excess = (count * squares << SCALE) - total * total
    return math.sqrt(max(excess, 0) / (count * count << 2 * SCALE))


def uniform(seed: int, rows: Rows, names: list[str | None]) -> Floats:
    """A number in (0, 1) for each row, a hash of `seed` and the row's domain, file and number."""
    domains, domain_at = np.unique(rows.domain, return_inverse=True)
    files, file_at = encoded(rows.table["file"])
    of_domain = np.array([_hash(names[code]) for code in domains], np.uint64)
    of_file = np.array([_hash(name) for name in files], np.uint64)
    start = np.array([_hash(str(seed))], np.uint64)
    number = rows.table["row"].to_numpy().astype(np.uint64)
    state = mixed(mixed(start + of_domain)[domain_at] + of_file[file_at])
    state = mixed(state + number * np.uint64(0x9E3779B97F4A7C15))
    result: Floats = ((state >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return result


def _hash(name: str | None) -> int:
    stored = b"\x00" if name is None else b"\x01" + name.encode()
    return int.from_bytes(hashlib.blake2b(stored, digest_size=8).digest(), "little")
