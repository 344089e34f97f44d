"""Output folders that are finished: what made them, their totals and their rows, streamed."""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.json_shapes import MOST_COUNT
from attninfluence.base.paths import expand_home
from attninfluence.output.contents import RUN_JSON, SUCCESS, check_content, check_sums
from attninfluence.output.files import (
    FORMAT_VERSION,
    RUN_NAME,
    SUCCESS_NAME,
    OutputError,
    format_name,
    part_name,
    read_json,
)
from attninfluence.output.part import open_part, part_is_missing
from attninfluence.output.part_rows import iter_rows, reading_part

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

NAME_BYTES = 256.0
BATCH_BYTES = 32 << 20  # of the rows that are in memory at once, as their row group has them


@dataclass(frozen=True)
class FinishedRun:
    """An output folder that has its _SUCCESS: `run` and `totals` are its two JSON files."""

    path: Path
    run: dict[str, Any]
    totals: dict[str, Any]

    @property
    def parts(self) -> list[Path]:
        """The part files in order."""
        return [self.path / part_name(index) for index in range(self.totals["parts"])]

    def schema(self) -> pa.Schema:
        """The columns of the parts, without metadata; OutputError for a part that is none."""
        import pyarrow as pa

        parts = self.parts
        if not parts:
            return pa.schema([])
        with open_part(parts[0], self.run["run_id"]) as file:
            return _columns(file)

    def tables(self, columns: list[str] | None = None, rows: int = 32768) -> Iterator[pa.Table]:
        """All rows in order, at most `rows` at a time.

        Of long rows fewer come at a time, so that a table keeps to some BATCH_BYTES. OutputError
        for a part of another run, for values that scores cannot have, and where rows or tokens are
        not as many as the totals say.
        """
        import pyarrow as pa

        found = {"rows": 0} | ({"tokens": 0} if columns is None or "n_tokens" in columns else {})
        first: pa.Schema | None = None
        for part in self.parts:
            with open_part(part, self.run["run_id"]) as file:
                first = _columns(file) if first is None else first
                _check_alike(part, _columns(file), first)
                at_once = min(rows, _rows_in_memory(part, file, columns))
                for batch in iter_rows(file, part, at_once, columns):
                    table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
                    found["rows"] += table.num_rows
                    if "tokens" in found:
                        found["tokens"] += int(table["n_tokens"].to_numpy().sum())
                    self._check_promised(found, is_all=False)
                    yield _with_count(table).cast(first) if columns is None else table
        self._check_promised(found, is_all=True)

    def _check_promised(self, found: dict[str, int], *, is_all: bool) -> None:
        """OutputError for more of anything than the totals say; where it is all, for fewer too."""
        for what, number in found.items():
            promised = self.totals.get(what, MOST_COUNT if not is_all else number)
            if number > promised or (is_all and number != promised):
                raise OutputError(
                    f"{self.path}: {SUCCESS_NAME} promises {promised} {what}, found {number}"
                )

    def rows_at(self, positions: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The rows at some positions among all rows, all columns, by position.

        Only row groups that hold one are read.
        """
        wanted = sorted(set(positions))
        found: dict[int, dict[str, Any]] = {}
        start = 0
        for part in self.parts if wanted else ():
            with open_part(part, self.run["run_id"]) as file:
                for group in range(file.num_row_groups):
                    stop = start + file.metadata.row_group(group).num_rows
                    here = wanted[bisect_left(wanted, start) : bisect_left(wanted, stop)]
                    found |= _rows_of_group(part, file, group, start, here)
                    start = stop
        return found


def _columns(file: pq.ParquetFile) -> pa.Schema:
    """The columns of a part as `tables` gives them."""
    return _with_count(file.schema_arrow.empty_table()).schema.remove_metadata()


def _check_alike(part: Path, found: pa.Schema, first: pa.Schema) -> None:
    """OutputError unless a part has the columns of the first one."""
    if [(one.name, one.type) for one in found] != [(one.name, one.type) for one in first]:
        raise OutputError(f"{part}: its columns are not those of the first part of the run")


def _rows_of_group(
    part: Path, file: pq.ParquetFile, group: int, start: int, positions: list[int]
) -> dict[int, dict[str, Any]]:
    """Rows of a row group whose first row is at `start`, by position."""
    import pyarrow as pa

    found: dict[int, dict[str, Any]] = {}
    at_once = _rows_in_memory(part, file, None)
    for batch in iter_rows(file, part, at_once, groups=[group]) if positions else ():
        stop = start + batch.num_rows
        here = positions[bisect_left(positions, start) : bisect_left(positions, stop)]
        found |= {
            at: _with_count(pa.Table.from_batches([batch.slice(at - start, 1)])).to_pylist()[0]
            for at in here
        }
        start = stop
    return found


def _with_count(table: pa.Table) -> pa.Table:
    """Scores with the column that older ones lack: of them all tokens were counted."""
    import pyarrow as pa

    names = table.column_names
    if "repaired" not in names or "partly_counted" in names:
        return table
    field = pa.field("partly_counted", pa.bool_(), nullable=False)
    return table.add_column(names.index("repaired") + 1, field, pa.repeat(False, len(table)))


def _rows_in_memory(part: Path, file: pq.ParquetFile, columns: list[str] | None) -> int:
    """Rows of the widest row group that make BATCH_BYTES."""
    with reading_part(part):
        return max(1, int(BATCH_BYTES / _widest(file, columns)))


def _widest(file: pq.ParquetFile, columns: list[str] | None) -> float:
    """Bytes of a row of the widest row group, at least 1; of some columns, no more than usual ones.

    Their own sizes are told by chunks, and pyarrow ends the process over damaged ones.
    """
    groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    if columns is not None:
        schema = file.schema_arrow
        widest = min(widest, sum(_usual_bytes(schema.field(name).type) for name in columns))
    return max(1.0, widest)


def _usual_bytes(kind: pa.DataType) -> float:
    """Bytes that a value takes, of a name or an id at most as a rule; without end for texts."""
    import pyarrow as pa

    if pa.types.is_primitive(kind):
        return 8.0
    return NAME_BYTES if pa.types.is_string(kind) else math.inf


def open_finished(path: str | os.PathLike[str], kind: str) -> FinishedRun:
    """Open an output folder of one kind (``scores``, ``selection``, ``mix``).

    Raises OutputError when it is of another kind or version, or its run did not finish.
    """
    folder = Path(expand_home(path))
    if not (folder / RUN_NAME).is_file():
        raise OutputError(f"{folder}: no {RUN_NAME}; expected a folder that {_MAKERS[kind]} wrote")
    run = read_json(folder / RUN_NAME)
    if run.get("format") != format_name(kind):
        raise OutputError(
            f"{folder}: its {RUN_NAME} says {run.get('format')!r}; expected a folder that"
            f" {_MAKERS[kind]} wrote"
        )
    if run.get("version") != FORMAT_VERSION:
        raise OutputError(
            f"{folder}: format version {run.get('version')!r}; this package reads {FORMAT_VERSION}"
        )
    check_content(folder / RUN_NAME, run, RUN_JSON[kind])
    if not (folder / SUCCESS_NAME).is_file():
        raise OutputError(f"{folder}: no {SUCCESS_NAME}: the run did not finish; {_REMEDIES[kind]}")
    totals = read_json(folder / SUCCESS_NAME)
    check_content(folder / SUCCESS_NAME, totals, SUCCESS[kind])
    if kind == "scores":
        check_sums(folder / SUCCESS_NAME, totals)
    if totals["run_id"] != run["run_id"]:
        raise OutputError(f"{folder}: {RUN_NAME} and {SUCCESS_NAME} are of different runs")
    _check_parts(folder, totals["parts"])
    return FinishedRun(folder, run, totals)


def _check_parts(folder: Path, parts: int) -> None:
    """OutputError for a part that is not there, before as many names are made as are counted."""
    names = set(os.listdir(folder)) if parts else set()
    for index in range(parts):
        if part_name(index) not in names:
            raise part_is_missing(folder / part_name(index))


_REMEDIES = {
    "scores": "the same `attninfluence score` goes on with it",
    "selection": "remove the folder and select anew",
    "mix": "remove the folder and mix anew",
}
_MAKERS = {
    "scores": "`attninfluence score`",
    "selection": "`attninfluence select`",
    "mix": "`attninfluence mix`",
}
