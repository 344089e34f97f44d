"""The documents that a run keeps for its report: a few of each domain, with their tokens.

Of each domain stay the documents with the highest and the lowest scores and some drawn at random,
from which a report takes those next to the median. Which ones they are depends on the rows alone,
not on the order in which they are offered, so a run that was interrupted keeps the same.
"""

from __future__ import annotations

import bisect
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.hashing import MASK, mixed
from attninfluence.base.json_shapes import Number, Whole, expect

if TYPE_CHECKING:
    import pyarrow as pa

EXTREME_DOCUMENTS = 3
RANDOM_DOCUMENTS = 9
MOST_DOMAINS = 64
MOST_TOKENS = 1024  # of a document


@dataclass(frozen=True, slots=True)
class Example:
    """One document. Of a long one the first MOST_TOKENS tokens are kept, and their text.

    offsets: int32[T, 2] characters of `text`. losses: float32[readings, T] in nats (base,
    reference, control if any), NaN where a token has none.
    """

    file: str
    row: int
    id: str | None
    domain: str | None
    score: float
    base_loss: float
    ref_loss: float
    n_tokens: int
    n_scored: int
    text: str
    token_ids: NDArray[np.int32]
    offsets: NDArray[np.int32]
    losses: NDArray[np.float32]

    @property
    def key(self) -> tuple[str, int]:
        return self.file, self.row


@dataclass(slots=True)
class _Shelf:
    """Up to `room` documents, the smallest order first."""

    room: int
    held: list[tuple[tuple[float, str, int], Example]] = field(default_factory=list)

    def wants(self, order: tuple[float, str, int]) -> bool:
        return len(self.held) < self.room or order < self.held[-1][0]

    def put(self, order: tuple[float, str, int], example: Example) -> None:
        bisect.insort(self.held, (order, example), key=lambda item: item[0])
        del self.held[self.room :]


class _Domain:
    """What is kept of one domain."""

    def __init__(self) -> None:
        self.highest = _Shelf(EXTREME_DOCUMENTS)
        self.lowest = _Shelf(EXTREME_DOCUMENTS)
        self.random = _Shelf(RANDOM_DOCUMENTS)

    def shelves(self, file: str, row: int, score: float) -> list[tuple[_Shelf, Any]]:
        """The shelves that want the document, and its order in each."""
        places = (
            (self.highest, (-score, file, row)),
            (self.lowest, (score, file, row)),
            (self.random, (_lot(file, row), file, row)),
        )
        return [(shelf, order) for shelf, order in places if shelf.wants(order)]


class Reservoir:
    """The documents kept so far, of the first MOST_DOMAINS domains."""

    def __init__(self, examples: Iterable[Example] = ()) -> None:
        self._domains: dict[str | None, _Domain] = {}
        for example in examples:
            for shelf, order in self._shelves(
                example.domain, example.file, example.row, example.score
            ):
                shelf.put(order, example)

    def wants(self, domain: str | None, file: str, row: int, score: float) -> bool:
        """Whether `put` would keep a document with this score, which must be a number."""
        return bool(self._shelves(domain, file, row, score))

    def put(self, example: Example) -> None:
        """Keep a document, and let go of those that it displaces."""
        for shelf, order in self._shelves(example.domain, example.file, example.row, example.score):
            shelf.put(order, example)

    def _shelves(
        self, domain: str | None, file: str, row: int, score: float
    ) -> list[tuple[_Shelf, Any]]:
        if domain not in self._domains:
            if len(self._domains) == MOST_DOMAINS:
                return []
            self._domains[domain] = _Domain()
        return self._domains[domain].shelves(file, row, score)

    def __iter__(self) -> Iterator[Example]:
        """Each document once: domain by domain as they appeared, by file and row."""
        for domain in self._domains.values():
            shelves = (domain.highest, domain.lowest, domain.random)
            kept = {example.key: example for shelf in shelves for _, example in shelf.held}
            yield from (kept[key] for key in sorted(kept))


_FILLED = (
    *("file", "row", "score", "base_loss", "ref_loss", "n_tokens", "n_scored", "text"),
    *("token_ids", "offsets", "losses", "readings"),
)


def _lot(file: str, row: int) -> float:
    """A number in [0, 1) that looks random and depends on the document's key alone."""
    key = zlib.crc32(file.encode("utf-8", "surrogatepass")) << 32 ^ row
    return mixed(key & MASK) / 2**64


def example_schema() -> pa.Schema:
    """The columns of a table of examples, which are the fields of `Example`."""
    import pyarrow as pa

    return pa.schema(
        [
            ("file", pa.string()),
            ("row", pa.int64()),
            ("id", pa.string()),
            ("domain", pa.string()),
            ("score", pa.float64()),
            ("base_loss", pa.float64()),
            ("ref_loss", pa.float64()),
            ("n_tokens", pa.int64()),
            ("n_scored", pa.int64()),
            ("text", pa.large_string()),
            ("token_ids", pa.list_(pa.int32())),
            ("offsets", pa.list_(pa.int32())),
            ("losses", pa.list_(pa.float32())),
            ("readings", pa.int64()),
        ]
    )


def to_table(reservoir: Iterable[Example]) -> pa.Table:
    """The examples as rows of `example_schema`, their arrays flat."""
    import pyarrow as pa

    rows = [
        {
            **{name: getattr(example, name) for name in Example.__slots__},
            "offsets": example.offsets.ravel(),
            "losses": example.losses.ravel(),
            "readings": len(example.losses),
        }
        for example in reservoir
    ]
    return pa.Table.from_pylist(rows, example_schema())


def from_table(table: pa.Table) -> list[Example]:
    """The examples of a table made by `to_table`; ShapeError for values that it cannot have."""
    import pyarrow.compute as pc

    for name in _FILLED:
        expect(not table[name].null_count, name, "there in every row", None)
    for name in ("row", "n_tokens", "n_scored"):
        ends = pc.min_max(table[name]).as_py().values() if table.num_rows else ()
        for end in ends:
            Whole().check(end, name)
    return [_example(table.slice(at, 1)) for at in range(table.num_rows)]


def _example(row: pa.Table) -> Example:
    """One row; its lists never become objects of Python, of which there would be millions."""
    lists = ("token_ids", "offsets", "losses")
    fields = row.drop_columns(lists).to_pylist()[0]
    values = [row[name][0].values for name in lists]
    for name, found in zip(lists, values, strict=True):
        expect(not found.null_count, name, "numbers", None)
    ids, offsets, losses = (found.to_numpy().copy() for found in values)
    readings = fields.pop("readings")
    for name in ("score", "base_loss", "ref_loss"):
        Number().check(fields[name], name)
    _check_tokens(fields["text"], ids, offsets, losses, readings)
    return Example(
        **fields,
        token_ids=ids,
        offsets=offsets.reshape(-1, 2),
        losses=losses.reshape(readings, -1),
    )


def _check_tokens(
    text: str,
    ids: NDArray[np.int32],
    offsets: NDArray[np.int32],
    losses: NDArray[np.float32],
    readings: int,
) -> None:
    """ShapeError unless the lists of a document's tokens, all of them flat, belong together."""
    expect(readings in (2, 3), "readings", "2 or 3", readings)
    for name, values, each in (("offsets", offsets, 2), ("losses", losses, readings)):
        told = f"{each} for each of {len(ids)} tokens"
        expect(len(values) == each * len(ids), name, told, len(values))
    expect(not np.isinf(losses).any(), "losses", "numbers", "an infinite one")
    within = (offsets >= 0) & (offsets <= len(text))
    expect(bool(within.all()), "offsets", f"places in {len(text)} characters", "others")
