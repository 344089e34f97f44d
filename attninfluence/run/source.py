"""Which corpus a run reads: its inputs, columns, domains and shard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from attninfluence.corpus.columns import Columns, check_some_text, resolve_columns
from attninfluence.corpus.files import CorpusError
from attninfluence.corpus.inputs import InputFile, find_inputs
from attninfluence.corpus.kept import kept_types
from attninfluence.run.reader import (
    Inputs,
    system_errors_as_bad,
)
from attninfluence.run.shards import Shard, Slice, plan_slices

ON_BAD_SHARD = ("stop", "skip")
DOMAIN_FROM = ("column", "path")


@dataclass(frozen=True)
class Source:
    """Which files to score and what to read of them.

    Attributes:
        inputs: files, folders, globs or URLs, in the order in which they are scored.
        text_column: column that is scored.
        id_column: None is `id` where a file has it; "" is none.
        domain_column: None is `domain` where a file has it; "" is none.
        domain_from: "column", or "path": the first folder below an input folder, or the file's
            name.
        keep_columns: further columns, written beside the scores.
        on_bad_shard: what to do with a file that cannot be read to its end: "stop" the run, or
            "skip" the file: publish nothing of it, name it in the totals and go on.
        shard: one of n equal shares of the input, as `parse_shard` reads it; None for all of it.
        limit: rows to score at most; None for all.
    """

    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    text_column: str = "text"
    id_column: str | None = None
    domain_column: str | None = None
    domain_from: str = "column"
    keep_columns: Sequence[str] = ()
    on_bad_shard: str = "stop"
    shard: Shard | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("name at least one input: a file, folder, glob or URL")
        for name, value, allowed in (
            ("domain_from", self.domain_from, DOMAIN_FROM),
            ("on_bad_shard", self.on_bad_shard, ON_BAD_SHARD),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if not self.text_column:
            raise ValueError("text_column is an empty name; give that of the column to score")
        if not all(self.keep_columns):
            raise ValueError("keep_columns holds an empty name; give those of columns")
        if self.domain_from == "path" and self.domain_column:
            raise ValueError("a domain comes from a column or from the path, not from both")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}")


def open_inputs(source: Source, output: str | os.PathLike[str] | None = None) -> Inputs:
    """Look at every file; CorpusError for one that lacks a column, unless bad files are skipped.

    A folder that cannot be listed counts as a bad file. output: the folder that the run writes.
    """
    skip_bad = source.on_bad_shard == "skip"
    found = find_inputs(source.inputs, output=output, skip_unlisted=skip_bad)
    files = [*found.files, *(InputFile(name, 0, None, name) for name in found.unlisted)]
    bad = dict(enumerate(found.unlisted.values(), start=len(found.files)))
    columns: dict[int, Columns] = {}
    for index, file in enumerate(found.files):
        try:
            with system_errors_as_bad(file.name, skip_bad):
                columns[index] = _columns(file, source)
        except CorpusError as error:
            if not skip_bad:
                raise
            bad[index] = error.reason
    read = [(files[index].name, one) for index, one in columns.items()]
    check_some_text(read)
    types = kept_types(read)
    by_path = source.domain_from == "path"
    return Inputs(files, columns, bad, types, by_path, skip_bad, found.passed_over)


def _columns(file: InputFile, source: Source) -> Columns:
    domain_column = "" if source.domain_from == "path" else source.domain_column
    return resolve_columns(
        file.name, source.text_column, source.id_column, domain_column, source.keep_columns
    )


def plan(inputs: Inputs, source: Source, sizes: Sequence[int] | None = None) -> list[Slice]:
    """The rows of the source's shard, in order.

    sizes: bytes of each file by which shards are divided; None for what the files have now. A run
    that goes on takes those that it began with, so that its shard stays the same.
    """
    if sizes is None:
        sizes = [file.size for file in inputs.files]
    return plan_slices(sizes, source.shard or Shard(0, 1), inputs.count_rows)
