"""Which rows of which input files a run reads: all of them, or one of n shards.

The files, one after another, are a line of stored bytes, of which shard i of n gets the i-th n-th.
A file that a border falls into is divided by rows in proportion. So every row is in one shard, a
shard opens no file but its own, and one large file can be scored by many machines.

    files     |   a    |        b        |  c  |   d   |
    shard     0            1             2             3     of 4, borders inside b and c
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from attninfluence.output.contents import MOST_SHARDS


@dataclass(frozen=True)
class Shard:
    """One of `count` equal shares of the input, counted from 0."""

    index: int
    count: int


class Slice(NamedTuple):
    """Rows of the input file number `file`: first_row to stop_row, None for its end.

    stored: bytes that they take, in proportion.
    """

    file: int
    first_row: int = 0
    stop_row: int | None = None
    stored: int = 0


def parse_shard(text: str) -> Shard:
    """``3/8``: the fourth of eight; ValueError for anything else."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None:
        raise ValueError(f"a shard is written i/n with i from 0 to n-1, like 0/8; got {text!r}")
    shard = Shard(int(match[1]), int(match[2]))
    if shard.count > MOST_SHARDS:
        raise ValueError(f"a run has at most {MOST_SHARDS:,} shards, got {shard.count:,}")
    if shard.index >= shard.count:
        raise ValueError(f"shard {text} does not exist: the shards of n are 0/n to (n-1)/n")
    return shard


def plan_slices(
    sizes: Sequence[int], shard: Shard, count_rows: Callable[[int], int]
) -> list[Slice]:
    """The slices of a shard, in order. sizes: stored bytes of each file.

    count_rows: rows of the file of a number; asked for files that a border falls into alone. Every
    file has a slice, maybe without rows, in the shard where it begins.
    """
    starts = list(accumulate(sizes, initial=0))
    total = starts[-1]
    first, stop = (total * index // shard.count for index in (shard.index, shard.index + 1))
    is_last = shard.index == shard.count - 1
    slices = []
    for file, (start, size) in enumerate(zip(starts, sizes, strict=False)):
        end = start + size
        begins_here = first <= start < stop or (is_last and start == total)
        goes_on_here = start < first < end
        goes_on_later = stop < end
        if not begins_here and not goes_on_here:
            continue
        first_row = count_rows(file) * (first - start) // size if goes_on_here else 0
        stop_row = count_rows(file) * (stop - start) // size if goes_on_later else None
        if begins_here or stop_row is None or first_row < stop_row:
            stored = min(stop, end) - max(first, start)
            slices.append(Slice(file, first_row, stop_row, stored))
    return slices
