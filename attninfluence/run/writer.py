"""Scored rows on their way into the parts of an output folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from attninfluence.base.text import printable
from attninfluence.output.files import OutputError
from attninfluence.output.schema import score_schema
from attninfluence.run.examples import MOST_TOKENS, Example, Reservoir
from attninfluence.run.reader import Corpus, FileBegun, FileLeftOut, Key
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
        corpus: Corpus,
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
        self.last: Key | None = None  # of the rows written
        self._folder = folder
        self._corpus = corpus
        self._kernel = kernel
        self._keep_text = keep_text
        self._checkpoint_seconds = checkpoint_seconds
        self._schema = score_schema(has_control, keep_text, corpus.kept_types)
        self._part: PartWriter | None = None
        self._is_whole = True
        self._counted = self._part_began = time.monotonic()

    def add(self, found: Iterable[Key | FileBegun | FileLeftOut], scores: Scores) -> None:
        """Write one row for each score; `found` holds their keys and news of the files."""
        self._is_whole = False
        keys = self._learn(found)
        if keys:
            if self._part is None:
                self._part = self._folder.part(self._schema, self._kernel)
            self._part.write(self._table(keys, scores))
            self._keep_examples(keys, scores)
            self._count(keys, scores)
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

    def _learn(self, found: Iterable[Key | FileBegun | FileLeftOut]) -> list[Key]:
        """The keys alone; what is said of files goes into the state."""
        keys = []
        for item in found:
            if isinstance(item, Key):
                keys.append(item)
            elif isinstance(item, FileBegun):
                modified = self._corpus.files[item.file].modified
                self.state.files.setdefault(item.file, FileTotals(item.digest, modified))
            else:
                self.state.bad_files[item.file] = item.reason
        return keys

    def _count(self, keys: Sequence[Key], scores: Scores) -> None:
        state = self.state
        for key, status, tokens, scored in zip(
            keys, scores.status, scores.n_tokens.tolist(), scores.n_scored.tolist(), strict=True
        ):
            state.tally.add(key.domain, status, tokens, scored)
            totals = state.files[key.file]
            totals.rows += 1
            totals.tokens += tokens
        self.last = keys[-1]
        state.file, state.row = self.last.file, self.last.row + 1
        state.kernels[self._kernel] = state.kernels.get(self._kernel, 0) + len(keys)

    def _table(self, keys: Sequence[Key], scores: Scores) -> pa.Table:
        """Keys and scores of one chunk as columns of the score table."""
        import pyarrow as pa

        files = [self._corpus.files[key.file].name for key in keys]
        columns: dict[str, Any] = {
            "file": pa.array(files, pa.string()),
            "row": pa.array([key.row for key in keys], pa.int64()),
            "id": pa.array([key.id for key in keys], pa.string()),
            "domain": pa.array([key.domain for key in keys], pa.string()),
        }
        numbers = scores.columns()
        columns |= {name: pa.array(values, from_pandas=True) for name, values in numbers.items()}
        if self._keep_text:
            columns["text"] = pa.array([_text(key.text) for key in keys], pa.large_string())
        columns |= _kept_columns(keys, self._corpus.kept_types)
        arrays = [columns[field.name].cast(field.type) for field in self._schema]
        return pa.table(arrays, self._schema)

    def _keep_examples(self, keys: Sequence[Key], scores: Scores) -> None:
        assert scores.token_rows is not None
        for index in np.flatnonzero(~np.isnan(scores.score)).tolist():
            key, score = keys[index], float(scores.score[index])
            name = self._corpus.files[key.file].name
            if scores.status[index] == "ok" and self.examples.wants(
                key.domain, name, key.row, score
            ):
                self.examples.put(_example(key, name, scores, index, scores.token_rows[index]))


def _text(value: Any) -> str | None:
    return printable(value) if isinstance(value, (str, bytes)) else None


def _kept_columns(
    keys: Sequence[Key], kept_types: Mapping[str, pa.DataType]
) -> dict[str, pa.ChunkedArray]:
    """The kept columns of consecutive rows, from the batches they came in."""
    import pyarrow as pa

    pieces: dict[str, list[pa.Array]] = {name: [] for name in kept_types}
    for _, group in groupby(keys, key=lambda key: id(key.batch)) if kept_types else ():
        rows = list(group)
        batch, start = rows[0].batch, rows[0].row - rows[0].batch.first_row
        for name, arrays in pieces.items():
            arrays.append(batch.kept[name].slice(start, len(rows)))
    return {name: pa.chunked_array(arrays, kept_types[name]) for name, arrays in pieces.items()}


def _example(key: Key, file: str, scores: Scores, index: int, tokens: TokenRows) -> Example:
    text = _text(key.text) or ""
    offsets = tokens.offsets
    assert offsets is not None
    kept = offsets[:MOST_TOKENS].astype(np.int32)
    if len(offsets) > MOST_TOKENS:
        text = text[: int(kept[:, 1].max())]
    return Example(
        file=file,
        row=key.row,
        id=key.id,
        domain=key.domain,
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
