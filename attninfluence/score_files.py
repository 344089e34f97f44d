"""Scoring the files of a corpus into an output folder: one row out for each row in.

Each input file becomes one part, and is read, scored and written as a stream. A file is a unit:
when a row of it cannot be read, nothing of it is published.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from attninfluence.corpus import (
    Columns,
    CorpusError,
    RowBatch,
    expand_inputs,
    file_size,
    iter_rows,
    resolve_columns,
)
from attninfluence.corpus.files import is_url
from attninfluence.corpus.kept import printable
from attninfluence.output import OutputFolder, PartWriter, score_schema
from attninfluence.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

    from attninfluence.model import Model
    from attninfluence.scores import Scores

BAD_SHARD = ("stop", "quarantine")
DOMAIN_FROM = ("column", "folder")


class Progress(Protocol):
    """Told of every chunk of documents that was scored."""

    def advance(self, documents: int, tokens: int, share: float) -> None:
        """`share` of all stored bytes has been read so far."""


@dataclass(frozen=True)
class Source:
    """Which files to score and what to read of them.

    id_column, domain_column  None: `id` and `domain` where a file has them; "": none
    domain_from  "column", or "folder": the name of the folder that holds the file
    bad_shard    what to do with a file that cannot be read to its end: "stop" the run, or
                 "quarantine": publish nothing of it, name it in the totals and go on
    """

    inputs: Sequence[str]
    text_column: str = "text"
    id_column: str | None = None
    domain_column: str | None = None
    domain_from: str = "column"
    bad_shard: str = "stop"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("domain_from", self.domain_from, DOMAIN_FROM),
            ("bad_shard", self.bad_shard, BAD_SHARD),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if self.domain_from == "folder" and self.domain_column:
            raise ValueError("a domain comes from a column or from the folder, not from both")


class _File(NamedTuple):
    name: str
    size: int
    columns: Columns


class _Key(NamedTuple):
    """What is kept of a row while its text is scored."""

    row: int
    id: str | None
    domain: str | None
    text: str | None


@dataclass
class _Run:
    """The state of one run over all files."""

    source: Source
    folder: OutputFolder
    options: dict[str, Any]
    keep_text: bool
    progress: Progress | None
    total_bytes: int
    done_bytes: int = 0
    tally: Tally = field(default_factory=Tally)
    files: list[dict[str, Any]] = field(default_factory=list)
    bad_files: list[dict[str, str]] = field(default_factory=list)


def score_files(
    source: Source,
    output: str | os.PathLike[str],
    *,
    model: Model,
    heads: Any = None,
    control: Any = None,
    keep_text: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Score every row of the source's files into the new folder `output` (DESIGN.md section 4).

    heads, control and the other options are those of `attninfluence.score`. All files are looked at
    before the first is scored, so that a missing column or a damaged footer costs no time. Returns
    the totals that `_SUCCESS` holds. Raises CorpusError for a file that cannot be read, unless
    quarantined; parts of the files before it stay, without `_SUCCESS`.
    """
    started = time.monotonic()
    folder = OutputFolder(output, "scores")
    folder.check_unused()
    names = [file.name for file in expand_inputs(source.inputs)]
    options = {"model": model, "heads": heads, "control": control, **options}
    settings = _settings(options)
    options["heads"], options["control"] = settings["heads"], settings["control"]
    run = _Run(source, folder, options, keep_text, progress, sum(map(file_size, names)))
    files = list(_looked_at(names, run))
    folder.start(_describe(names, source, model, settings, keep_text))
    for file in files:
        _score_file(file, run)
    totals = {
        **run.tally.summary(),
        "files": run.files,
        "bad_files": run.bad_files,
        "seconds": round(time.monotonic() - started, 3),
    }
    folder.finish(totals)
    return totals


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """The options as the scorer understands them, by scoring nothing; raises for bad ones."""
    from attninfluence.scoring import score_batches

    return next(iter(score_batches([], **options))).metadata


def _looked_at(names: list[str], run: _Run) -> Iterator[_File]:
    """Each file with its columns; bad ones stop the run or are put aside."""
    source = run.source
    domain_column = "" if source.domain_from == "folder" else source.domain_column
    for name in names:
        try:
            columns = resolve_columns(name, source.text_column, source.id_column, domain_column)
        except CorpusError as error:
            _put_aside(error, file_size(name), run)
        else:
            yield _File(name, file_size(name), columns)


def _put_aside(error: CorpusError, size: int, run: _Run) -> None:
    if run.source.bad_shard == "stop":
        raise error
    run.bad_files.append({"file": error.file, "error": error.reason})
    run.done_bytes += size


def _describe(
    names: list[str],
    source: Source,
    model: Model,
    settings: dict[str, Any],
    keep_text: bool,
) -> dict[str, Any]:
    """What run.json says: everything that the numbers depend on, and what was read."""
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
        "inputs": [{"file": name, "bytes": file_size(name)} for name in names],
        "columns": {
            "text": source.text_column,
            "id": source.id_column,
            "domain": source.domain_column,
            "domain_from": source.domain_from,
        },
        "keep_text": keep_text,
        "bad_shard": source.bad_shard,
    }


def _score_file(file: _File, run: _Run) -> None:
    """Read, score and publish one file as one part."""
    tally = Tally()
    schema = score_schema(run.options["control"] is not None, run.keep_text)
    try:
        with run.folder.part(schema) as part:
            _score_rows(file, part, tally, run)
    except CorpusError as error:
        _put_aside(error, file.size, run)
        return
    run.tally.merge(tally)
    run.done_bytes += file.size
    run.files.append({"file": file.name, "rows": tally.rows, "tokens": tally.tokens})


def _score_rows(file: _File, part: PartWriter, tally: Tally, run: _Run) -> None:
    """Stream the rows of one file through the scorer; keys wait in order for their scores."""
    from attninfluence.scoring import score_batches

    waiting: deque[_Key] = deque()
    position = 0

    def texts() -> Iterator[Any]:
        nonlocal position
        for batch in iter_rows(file.name, file.columns):
            waiting.extend(_keys(batch, file, run))
            position = batch.position
            yield from batch.texts

    for scores in score_batches(texts(), **run.options):
        keys = list(islice(_drain(waiting), len(scores)))
        if len(keys) != len(scores):
            raise RuntimeError(f"{file.name}: {len(scores)} scores for {len(keys)} rows")
        part.write(_table(file.name, keys, scores, run.keep_text))
        _count(tally, keys, scores)
        if run.progress is not None:
            share = (run.done_bytes + position) / run.total_bytes if run.total_bytes else 1.0
            run.progress.advance(len(scores), int(scores.n_scored.sum()), min(share, 1.0))
    if waiting:
        raise RuntimeError(f"{file.name}: {len(waiting)} rows were read and not scored")


def _keys(batch: RowBatch, file: _File, run: _Run) -> Iterator[_Key]:
    domains = batch.domains
    if run.source.domain_from == "folder":
        domains = [_folder_name(file.name)] * len(batch)
    for index, (id_, domain, text) in enumerate(
        zip(batch.ids, domains, batch.texts, strict=True), start=batch.first_row
    ):
        kept = printable(text) if run.keep_text and isinstance(text, (str, bytes)) else None
        yield _Key(index, id_, domain, kept)


def _folder_name(name: str) -> str:
    path = name if is_url(name) else os.path.abspath(name)
    return os.path.basename(os.path.dirname(path))


def _drain(waiting: deque[_Key]) -> Iterator[_Key]:
    while waiting:
        yield waiting.popleft()


def _table(file: str, keys: list[_Key], scores: Scores, keep_text: bool) -> pa.Table:
    """Keys and scores of one chunk as columns of the score table."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "file": pa.array([file] * len(keys), pa.string()),
        "row": pa.array([key.row for key in keys], pa.int64()),
        "id": pa.array([key.id for key in keys], pa.string()),
        "domain": pa.array([key.domain for key in keys], pa.string()),
    }
    numbers = scores.columns()
    columns |= {name: pa.array(values, from_pandas=True) for name, values in numbers.items()}
    if keep_text:
        columns["text"] = pa.array([key.text for key in keys], pa.large_string())
    schema = score_schema(scores.control_score is not None, keep_text)
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema)


def _count(tally: Tally, keys: list[_Key], scores: Scores) -> None:
    tally.add_ids(key.id for key in keys)
    for key, status, tokens, scored in zip(
        keys, scores.status, scores.n_tokens.tolist(), scores.n_scored.tolist(), strict=True
    ):
        tally.add(key.domain, status, tokens, scored)
