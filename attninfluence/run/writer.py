"""Scored rows on their way into the parts of an output folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from attninfluence.base.text import as_text
from attninfluence.output.files import OutputError
from attninfluence.output.schema import score_schema
from attninfluence.run.examples import MOST_TOKENS, Example, Reservoir
from attninfluence.run.reader import FileBegun, FileLeftOut, Inputs, WaitingRow
from attninfluence.run.state import FileTotals, RunState

if TYPE_CHECKING:
    import pyarrow as pa

    from attninfluence.output.part import PartWriter
    from attninfluence.run.folder import ResumableFolder
    from attninfluence.scores.scores import Scores
    from attninfluence.scores.token_losses import TokenRows

MOST_PART_ROWS = 1_000_000


class RowWriter:
    """Writes rows into parts, and keeps the state and the examples that count them.

    A part ends after `checkpoint_seconds`, so that this is what a killed run loses at most.
    """

    def __init__(
        self,
        folder: ResumableFolder,
        inputs: Inputs,
        state: RunState,
        examples: Reservoir,
        *,
        kernel: str,
        has_control: bool,
        keep_text: bool,
        checkpoint_seconds: float,
    ) -> None:
        self.state = state
        self.examples = examples
        self.last: WaitingRow | None = None  # of the rows written
        self._folder = folder
        self._inputs = inputs
        self._kernel = kernel
        self._keep_text = keep_text
        self._checkpoint_seconds = checkpoint_seconds
        self._schema = score_schema(has_control, keep_text, inputs.kept_types)
        self._part: PartWriter | None = None
        self._is_whole = True
        self._counted = self._part_began = time.monotonic()

    def add(self, found: Iterable[WaitingRow | FileBegun | FileLeftOut], scores: Scores) -> None:
        """Write one row for each score; `found` holds the rows and news of the files."""
        self._is_whole = False
        rows = self._learn(found)
        if rows:
            if self._part is None:
                self._part = self._folder.part(self._schema, self._kernel)
            self._part.write(self._table(rows, scores))
            self._keep_examples(rows, scores)
            self._count(rows, scores)
        self._is_whole = True
        if self._is_due():
            self.publish()

    def learn(self, found: Iterable[FileBegun | FileLeftOut]) -> None:
        """Take in news of files that no row follows."""
        self._learn(found)

    def publish(self) -> None:
        """End the part, if any of it was written."""
        self._count_seconds()
        if self._part is not None:
            self._is_whole = False
            self._folder.publish(self._part, self.state, self.examples)
            self._part, self._is_whole = None, True
        self._part_began = time.monotonic()

    def salvage(self) -> None:
        """Publish what was scored before the run was stopped, if it can still be written."""
        try:
            if self._is_whole:
                self.publish()
        except (OSError, OutputError):
            pass  # what stopped the run is the one to report

    def discard(self) -> None:
        """Remove what is not published."""
        if self._part is not None:
            self._part.discard()
            self._part = None

    def _is_due(self) -> bool:
        if self._part is None:
            return False
        seconds = time.monotonic() - self._part_began
        return seconds >= self._checkpoint_seconds or self._part.rows >= MOST_PART_ROWS

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self._counted
        self._counted = now

    def _learn(self, found: Iterable[WaitingRow | FileBegun | FileLeftOut]) -> list[WaitingRow]:
        """The rows alone; what is said of files goes into the state."""
        rows = []
        for item in found:
            if isinstance(item, WaitingRow):
                rows.append(item)
            elif isinstance(item, FileBegun):
                file, survey = self._inputs.files[item.file], item.survey
                totals = FileTotals(
                    survey.digest, file.modified, bytes=file.size, no_label=survey.no_label
                )
                self.state.files.setdefault(item.file, totals)
                self.state.bad_files.pop(item.file, None)  # it was bad, and is mended
            else:
                self.state.bad_files[item.file] = item.reason
        return rows

    def _count(self, rows: Sequence[WaitingRow], scores: Scores) -> None:
        state = self.state
        counts = (scores.n_tokens, scores.n_scored, scores.partly_counted)
        for row, status, tokens, scored, partly in zip(
            rows, scores.status, *(count.tolist() for count in counts), strict=True
        ):
            state.tally.add(row.domain, status, tokens, scored, partly)
            totals = state.files[row.file]
            totals.rows += 1
            totals.tokens += tokens
        self.last = rows[-1]
        state.file, state.row = self.last.file, self.last.number + 1
        state.kernels[self._kernel] = state.kernels.get(self._kernel, 0) + len(rows)

    def _table(self, rows: Sequence[WaitingRow], scores: Scores) -> pa.Table:
        """Rows and scores of one chunk as columns of the score table."""
        import pyarrow as pa

        files = [self._inputs.files[row.file].name for row in rows]
        columns: dict[str, Any] = {
            "file": pa.array(files, pa.string()),
            "row": pa.array([row.number for row in rows], pa.int64()),
            "id": pa.array([row.id for row in rows], pa.string()),
            "domain": pa.array([row.domain for row in rows], pa.string()),
        }
        numbers = scores.columns()
        columns |= {name: pa.array(values, from_pandas=True) for name, values in numbers.items()}
        if self._keep_text:
            texts = [as_text(row.text)[0] for row in rows]
            columns["text"] = pa.array(texts, pa.large_string())
        columns |= _kept_columns(rows, self._inputs.kept_types)
        arrays = [columns[field.name].cast(field.type) for field in self._schema]
        return pa.table(arrays, self._schema)

    def _keep_examples(self, rows: Sequence[WaitingRow], scores: Scores) -> None:
        assert scores.token_rows is not None
        for index in np.flatnonzero(~np.isnan(scores.score)).tolist():
            row, score = rows[index], float(scores.score[index])
            name = self._inputs.files[row.file].name
            if scores.status[index] == "ok" and self.examples.wants(
                row.domain, name, row.number, score
            ):
                self.examples.put(_example(row, name, scores, index, scores.token_rows[index]))


def _kept_columns(
    rows: Sequence[WaitingRow], kept_types: Mapping[str, pa.DataType]
) -> dict[str, pa.ChunkedArray]:
    """The kept columns of consecutive rows, from the batches they came in."""
    import pyarrow as pa

    pieces: dict[str, list[pa.Array]] = {name: [] for name in kept_types}
    for _, group in groupby(rows, key=lambda row: id(row.batch)) if kept_types else ():
        together = list(group)
        batch, start = together[0].batch, together[0].number - together[0].batch.first_row
        for name, arrays in pieces.items():
            arrays.append(batch.kept[name].slice(start, len(together)))
    return {name: pa.chunked_array(arrays, kept_types[name]) for name, arrays in pieces.items()}


def _example(row: WaitingRow, file: str, scores: Scores, index: int, tokens: TokenRows) -> Example:
    text = as_text(row.text)[0] or ""
    offsets = tokens.offsets
    assert offsets is not None
    kept = offsets[:MOST_TOKENS].astype(np.int32)
    if len(offsets) > MOST_TOKENS:
        text = text[: int(kept[:, 1].max())]
    return Example(
        file=file,
        row=row.number,
        id=row.id,
        domain=row.domain,
        score=float(scores.score[index]),
        base_loss=float(scores.base_loss[index]),
        ref_loss=float(scores.ref_loss[index]),
        n_tokens=int(scores.n_tokens[index]),
        n_scored=int(scores.n_scored[index]),
        text=text,
        token_ids=tokens.ids[:MOST_TOKENS].copy(),  # a view would keep the whole document
        offsets=kept,
        losses=tokens.losses[:, :MOST_TOKENS].copy(),
    )
