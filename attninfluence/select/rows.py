"""The rows of score tables as selection reads them: domains as numbers, candidates marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.base.progress import Progress
from attninfluence.output.score_runs import ScoreRuns

if TYPE_CHECKING:
    import pyarrow as pa

By = Literal["domain", "all"]

_COLUMNS = ("domain", "n_tokens", "score", "status")


@dataclass(frozen=True)
class Rows:
    """Some rows in the order of the table; arrays of one entry a row.

    domain     index into the names of the reader
    scored     whether the row has a score; `candidate`: and enough tokens
    """

    table: pa.Table
    domain: Ints
    n_tokens: Ints
    scored: Bools
    candidate: Bools

    def floats(self, column: str) -> Floats:
        """A column of numbers, NaN for null."""
        return np.asarray(self.table[column].to_numpy(zero_copy_only=False), np.float64)


class RowReader:
    """Reads the rows of score runs as often as it is asked to.

    by          "domain", or "all" to take the corpus as one domain
    watch       called with the number of rows, when they are read
    names       of the domains so far, in the order in which they appear: every reading's numbers
    """

    def __init__(
        self,
        scores: ScoreRuns,
        by: By = "domain",
        min_tokens: int = 0,
        watch: Callable[[int], None] | None = None,
    ) -> None:
        self.scores = scores
        self.by = by
        self.min_tokens = min_tokens
        self._watch = watch
        self._codes: dict[str | None, int] = {}

    @property
    def names(self) -> list[str | None]:
        return list(self._codes)

    def read(self, columns: tuple[str, ...] | None) -> Iterator[Rows]:
        """All rows in order; `columns` are read beside those selection needs, None: all."""
        wanted = None if columns is None else list(dict.fromkeys((*_COLUMNS, *columns)))
        for table in self.scores.tables(wanted):
            yield self._rows(table)
            if self._watch is not None:
                self._watch(table.num_rows)

    def _rows(self, table: pa.Table) -> Rows:
        import pyarrow as pa
        import pyarrow.compute as pc

        names = table["domain"] if self.by == "domain" else pa.repeat("all", table.num_rows)
        tokens = table["n_tokens"].to_numpy()
        scored = pc.equal(table["status"], "ok").to_numpy() & table["score"].is_valid().to_numpy()
        candidate = scored & (tokens >= self.min_tokens)
        return Rows(table, self._numbers(names), tokens, scored, candidate)

    def _numbers(self, names: pa.Array | pa.ChunkedArray) -> Ints:
        distinct, places = encoded(names)
        found = [self._codes.setdefault(name, len(self._codes)) for name in distinct]
        return np.array(found, np.int64)[places]


def encoded(names: pa.Array | pa.ChunkedArray) -> tuple[list[str | None], Ints]:
    """The distinct names, and for each entry the index of its name among them."""
    import pyarrow as pa

    whole = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
    codes = whole.dictionary_encode(null_encoding="encode")
    places = np.asarray(codes.indices.to_numpy(zero_copy_only=False), np.int64)
    return codes.dictionary.to_pylist(), places


def sums_by_domain(rows: Rows, mask: Bools, weights: Ints | None, size: int) -> Ints:
    """By domain, the weights of the rows of a mask added up, int64 [size]; None: their number."""
    at = rows.domain[mask]
    if weights is None:
        return np.bincount(at, minlength=size).astype(np.int64)
    total = np.zeros(size, np.int64)
    np.add.at(total, at, weights[mask])
    return total


class ReadingProgress:
    """Tells a progress of the rows of several readings of all of them: `add` is a watch."""

    def __init__(self, progress: Progress, runs: ScoreRuns, readings: int) -> None:
        self._progress = progress
        self._rows = max(1, readings * sum(run.totals["rows"] for run in runs.runs))
        self._done = 0

    def add(self, rows: int) -> None:
        self._done += rows
        self._progress.advance(rows, 0, min(1.0, self._done / self._rows))
