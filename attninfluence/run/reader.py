"""The rows of a run in order, one at a time, with what becomes known of their files on the way.

A file is read to its last row, and digested, before its first row is handed out: what is
damaged is left out as a whole. The rows are read in one thread and their scores arrive in another,
later: each row waits in between, in order.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from attninfluence.corpus.columns import Columns
from attninfluence.corpus.files import CorpusError, is_url, local_path
from attninfluence.corpus.inputs import InputFile
from attninfluence.corpus.passed_over import PassedOver
from attninfluence.corpus.rows import RowBatch, iter_rows
from attninfluence.corpus.survey import Survey, survey_file
from attninfluence.run.shards import Slice
from attninfluence.run.state import FileTotals, RunState

if TYPE_CHECKING:
    import pyarrow as pa


class WaitingRow(NamedTuple):
    """A row whose text is being scored: the row of a number in the file of a number."""

    file: int
    number: int
    id: str | None
    domain: str | None
    text: Any
    batch: RowBatch  # that the row came in, for its kept columns
    total: int  # rows of the file


class FileBegun(NamedTuple):
    """The rows that follow are of this file, which is sound to its end."""

    file: int
    survey: Survey


class FileLeftOut(NamedTuple):
    """No row of this file follows."""

    file: int
    reason: str


@dataclass(frozen=True)
class Inputs:
    """The input files, and what to read of them.

    columns: those of each file, by its number. bad: files without the wanted columns, and why.
    kept_types: the Arrow type of each kept column. skip_bad: leave bad files out. passed_over: what
    the arguments reach beside these files. surveys: those made so far, since a file may be remote
    and large.
    """

    files: Sequence[InputFile]
    columns: Mapping[int, Columns]
    bad: Mapping[int, str]
    kept_types: Mapping[str, pa.DataType]
    domain_by_path: bool
    skip_bad: bool
    passed_over: PassedOver
    surveys: dict[int, Survey] = field(default_factory=dict)

    def survey(self, file: int) -> Survey:
        """What the file holds to its end, which is read once; CorpusError when it cannot be.

        Where bad files are skipped, that is also what the system refuses to read of a local one.
        """
        if file in self.bad:
            raise CorpusError(self.files[file].name, self.bad[file])
        if file not in self.surveys:
            with system_errors_as_bad(self.files[file].name, self.skip_bad):
                found = survey_file(self.files[file].name, self.columns[file], self.kept_types)
            self.surveys[file] = found
        return self.surveys[file]

    def count_rows(self, file: int) -> int:
        """Rows of the file; 0 of a bad one, where such files are skipped."""
        try:
            return self.survey(file).rows
        except CorpusError:
            if self.skip_bad:
                return 0
            raise


class CorpusReader:
    """Reads the rows that a run still has to score.

    left: how many rows to read at most, None for all. begun: the files of which rows were scored
    before; CorpusError when one of them is no longer the same.
    """

    def __init__(
        self,
        inputs: Inputs,
        slices: Sequence[Slice],
        begun: Mapping[int, FileTotals],
        left: int | None,
    ) -> None:
        self._inputs = inputs
        self._slices = slices
        self._begun = begun
        self._left = left
        self._waiting: deque[WaitingRow | FileBegun | FileLeftOut] = deque()

    def texts(self) -> Iterator[Any]:
        """The text of each row, which waits for `take`."""
        for piece in self._slices:
            if self._left == 0:
                return
            total = self._open(piece.file)
            if total is not None:
                yield from self._rows(piece, total)

    def take(self, rows: int) -> Iterator[WaitingRow | FileBegun | FileLeftOut]:
        """The next `rows` rows, and what became known before each."""
        while rows:
            if not self._waiting:
                raise RuntimeError(f"{rows} more scores than rows that were read")
            found = self._waiting.popleft()
            rows -= isinstance(found, WaitingRow)
            yield found

    def take_rest(self) -> Iterator[FileBegun | FileLeftOut]:
        """What became known after the last row."""
        while self._waiting:
            found = self._waiting.popleft()
            if isinstance(found, WaitingRow):
                name = self._inputs.files[found.file].name
                raise RuntimeError(f"{name}: row {found.number} was read and not scored")
            yield found

    def _open(self, file: int) -> int | None:
        """Rows of the file, which is sound; None when it is left out."""
        try:
            found = self._inputs.survey(file)
        except CorpusError as error:
            if not self._inputs.skip_bad or file in self._begun:
                raise
            self._waiting.append(FileLeftOut(file, error.reason))
            return None
        self._check_unchanged(file, found.digest)
        self._waiting.append(FileBegun(file, found))
        return found.rows

    def _check_unchanged(self, file: int, digest: str) -> None:
        recorded = self._begun.get(file)
        if recorded is not None and recorded.digest != digest:
            raise has_changed(self._inputs.files[file].name)

    def _rows(self, piece: Slice, total: int) -> Iterator[Any]:
        inputs, file = self._inputs, self._inputs.files[piece.file]
        stop = total if piece.stop_row is None else piece.stop_row
        if self._left is not None:
            stop = min(stop, piece.first_row + self._left)
            self._left -= max(0, stop - piece.first_row)
        batches = iter_rows(
            file.name,
            inputs.columns[piece.file],
            first_row=piece.first_row,
            stop_row=stop,
            types=inputs.kept_types,
        )
        for batch in _unchanged(file, batches):
            domains = [file.domain] * len(batch) if inputs.domain_by_path else batch.domains
            for number, (id_, domain, text) in enumerate(
                zip(batch.ids, domains, batch.texts, strict=True), start=batch.first_row
            ):
                row = WaitingRow(piece.file, number, id_, domain, text, batch, total)
                self._waiting.append(row)
                yield text


def _unchanged(file: InputFile, batches: Iterable[RowBatch]) -> Iterator[RowBatch]:
    """The batches of a local file as long as it is the one that was looked at and digested."""
    for batch in batches:
        _check_is_as_before(file)
        yield batch
    _check_is_as_before(file)


def _check_is_as_before(file: InputFile) -> None:
    if not is_url(file.name):
        status = os.stat(local_path(file.name))
        if (status.st_size, status.st_mtime_ns) != (file.size, file.modified):
            raise has_changed(file.name)


@contextmanager
def system_errors_as_bad(name: str, enabled: bool) -> Iterator[None]:
    """Let what the system says of a local file count as damage of that file."""
    try:
        yield
    except OSError as error:
        if not enabled or is_url(name):
            raise
        raise CorpusError(name, error.strerror or str(error)) from error


def has_changed(name: str) -> CorpusError:
    """The error about a file that is not the one that was scored."""
    return CorpusError(
        name, "has changed since rows of it were scored: bring it back, or name another folder"
    )


def remaining(slices: Sequence[Slice], state: RunState) -> list[Slice]:
    """What is left of the slices when the rows before the state's place are done."""
    found = []
    for piece in slices:
        if piece.file < state.file:
            continue
        first = max(piece.first_row, state.row) if piece.file == state.file else piece.first_row
        found.append(piece._replace(first_row=first))
    return found
