"""Scoring the files of a corpus into an output folder: one row out for each row in.

The rows are read, scored and written as a stream, in the order of the inputs. The folder can be
written in several sessions (`attninfluence.run.folder`): killed at any instant, the same call goes
on where it was, and the rows are those of an uninterrupted run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from attninfluence.base.paths import expand_home
from attninfluence.base.progress import Progress
from attninfluence.corpus.files import CorpusError
from attninfluence.output.part import iter_part_columns
from attninfluence.output.schema import score_schema
from attninfluence.output.tally import count_repeated
from attninfluence.run.folder import ResumableFolder
from attninfluence.run.reader import (
    CorpusReader,
    Inputs,
    WaitingRow,
    has_changed,
    remaining,
)
from attninfluence.run.shards import Slice
from attninfluence.run.source import Source, open_inputs, plan
from attninfluence.run.state import RunState, no_label_totals
from attninfluence.run.writer import RowWriter

if TYPE_CHECKING:
    from attninfluence.model.model import Model

CHECKPOINT_SECONDS = 300.0


def score_files(
    source: Source,
    output: str | os.PathLike[str],
    *,
    model: Model,
    heads: Any = None,
    control: Any = None,
    keep_text: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    mixed_kernels: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Score every row of the source's files into the folder `output` (docs/OUTPUT.md).

    All files are looked at before the first is scored, so that a missing column or a damaged footer
    costs no time. Whatever is raised, the rows scored until then stay.

    Args:
        source: which files, and what of them.
        output: a new folder, one whose run was given the same and is carried on, or one that is
            finished already.
        model: an opened model.
        heads: as in `attninfluence.score`, with `control` and `options`.
        keep_text: write the text beside the scores.
        checkpoint_seconds: how much time a killed run loses at most.
        mixed_kernels: carry a run on with another matrix kernel, whose bits differ; each part
            records its own.
        progress: told of every chunk of documents.

    Returns:
        The totals that `_SUCCESS` holds.

    Raises:
        CorpusError: a file cannot be read, and such files are not skipped.
        OutputError: the folder holds anything else; the message says what differs.
        LockedError: another run writes there.
    """
    inputs = open_inputs(source, expand_home(output))
    options = {"model": model, "heads": heads, "control": control, **options}
    settings = _settings(options)
    options["heads"], options["control"] = settings["heads"], settings["control"]
    has_control = settings["control"] is not None
    score_schema(has_control, keep_text, inputs.kept_types)  # refuses a name that is taken
    with ResumableFolder(output) as folder:
        description = _describe(inputs, source, model, settings, keep_text)
        state, examples = folder.begin(description, mixed_kernels)
        sizes = [entry["bytes"] for entry in folder.description.get("inputs", [])]
        _check_unchanged(inputs, state, sizes)
        if folder.totals is not None:
            return folder.totals
        writer = RowWriter(
            folder,
            inputs,
            state,
            examples,
            kernel=settings["kernel"],
            has_control=has_control,
            keep_text=keep_text,
            checkpoint_seconds=checkpoint_seconds,
        )
        slices = plan(inputs, source, sizes)
        reader = _reader(inputs, slices, source, state)
        _score_rows(reader, writer, options, _Share(slices, source.limit), progress)
        totals = _totals(folder, inputs, state)
        folder.finish(totals)
    return totals


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """The options as the scorer understands them, by scoring nothing; raises for bad ones."""
    from attninfluence.scoring.batches import score_batches

    return next(iter(score_batches([], **options))).metadata


def _describe(
    inputs: Inputs, source: Source, model: Model, settings: dict[str, Any], keep_text: bool
) -> dict[str, Any]:
    """What run.json says: everything that the rows and the numbers depend on."""
    return {
        "model": {
            "path": model.path,
            "commit": model.commit,
            "type": model.core.model_type,
            "fingerprint": model.fingerprint,
            "tokenizer": model.tokenizer.fingerprint,
        },
        "scoring": settings,
        "folder": os.getcwd(),
        "inputs": [{"file": file.name, "bytes": file.size} for file in inputs.files],
        "columns": {
            "text": source.text_column,
            "id": source.id_column,
            "domain": source.domain_column,
            "domain_from": source.domain_from,
            "keep": {name: str(kind) for name, kind in inputs.kept_types.items()},
        },
        "keep_text": keep_text,
        "on_bad_shard": source.on_bad_shard,
        "shard": None if source.shard is None else asdict(source.shard),
        "limit": source.limit,
    }


def _check_unchanged(inputs: Inputs, state: RunState, sizes: Sequence[int]) -> None:
    """CorpusError when a file of which rows were scored holds something else by now.

    A file is digested again when its time of change is another one. sizes: bytes of each file when
    the run began. A file of which no row was scored may be any other.
    """
    for index, totals in state.files.items():
        file = inputs.files[index]
        size = sizes[index] if totals.bytes is None else totals.bytes
        is_same_time = file.modified == totals.modified
        if file.size != size or not (is_same_time or inputs.survey(index).digest == totals.digest):
            raise has_changed(file.name)


def _reader(
    inputs: Inputs, slices: Sequence[Slice], source: Source, state: RunState
) -> CorpusReader:
    """A reader of the rows that the state does not count yet."""
    left = None if source.limit is None else source.limit - state.tally.rows
    return CorpusReader(inputs, remaining(slices, state), state.files, left)


def _score_rows(
    reader: CorpusReader,
    writer: RowWriter,
    options: dict[str, Any],
    share: _Share,
    progress: Progress | None,
) -> None:
    """Stream the rows through the scorer; what is scored before it is stopped is kept."""
    from attninfluence.scoring.batches import score_batches

    batches = score_batches(reader.texts(), read_ahead=True, detail="token", **options)
    try:
        with closing(batches):
            for scores in batches:
                writer.add(reader.take(len(scores)), scores)
                if progress is not None and writer.last is not None:
                    done = share.at(writer.last, writer.state.tally.rows)
                    progress.advance(len(scores), int(scores.n_scored.sum()), done)
        writer.learn(reader.take_rest())
        writer.publish()
    except (KeyboardInterrupt, SystemExit, CorpusError, OSError):
        writer.salvage()
        raise
    finally:
        writer.discard()


class _Share:
    """How much of the input is done: by stored bytes, within a file by rows, or of a limit."""

    def __init__(self, slices: Sequence[Slice], limit: int | None) -> None:
        before = accumulate((piece.stored for piece in slices), initial=0)
        self._pieces = {piece.file: (piece, at) for piece, at in zip(slices, before, strict=False)}
        self._total = sum(piece.stored for piece in slices)
        self._limit = limit

    def at(self, last: WaitingRow, rows: int) -> float:
        """When `last`, the last of `rows` rows, is done."""
        piece, before = self._pieces[last.file]
        stop = last.total if piece.stop_row is None else piece.stop_row
        within = (last.number + 1 - piece.first_row) / max(1, stop - piece.first_row)
        share = (before + within * piece.stored) / self._total if self._total else 1.0
        return min(1.0, share if self._limit is None else max(share, rows / self._limit))


def _totals(folder: ResumableFolder, inputs: Inputs, state: RunState) -> dict[str, Any]:
    """What _SUCCESS says beside the number of parts."""
    ids = iter_part_columns(folder.path, folder.parts, folder.run_id, ["id"])
    names = [file.name for file in inputs.files]
    return {
        **state.tally.summary(),
        "no_label": no_label_totals(
            (names[at], totals.no_label) for at, totals in sorted(state.files.items())
        ),
        "repeated_ids": count_repeated(id_ for batch in ids for id_ in batch["id"].to_pylist()),
        "files": [
            {
                "file": names[at],
                "rows": totals.rows,
                "tokens": totals.tokens,
                "digest": totals.digest,
                "bytes": inputs.files[at].size,
            }
            for at, totals in sorted(state.files.items())
        ],
        "bad_files": [
            {"file": names[at], "error": reason} for at, reason in sorted(state.bad_files.items())
        ],
        "passed_over": inputs.passed_over.summary(),
        "kernels": state.kernels,
        "seconds": round(state.seconds, 3),
    }
