"""What scoring a corpus would come to: documents, tokens, time and memory, from a sample of it."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from attninfluence.corpus.files import CorpusError, file_format, open_binary
from attninfluence.corpus.rows import iter_rows
from attninfluence.run.source import Source, open_inputs, plan
from attninfluence.run.state import no_label_totals

if TYPE_CHECKING:
    from attninfluence.model.model import Model
    from attninfluence.run.reader import Inputs
    from attninfluence.run.shards import Slice

SAMPLED_FILES = 32
SAMPLED_ROWS = 64  # of a file, in groups of GROUP_ROWS
GROUP_ROWS = 8
SAMPLE_SECONDS = 20.0
COUNTED_BYTES = 4 << 20  # of a file without a footer, from which its rows are reckoned


@dataclass
class _Sampled:
    """What was scored of one file, and the documents that the run would score of it."""

    documents: int
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    no_label: Counter[str] = field(default_factory=Counter)


def dry_run(source: Source, *, model: Model, **options: Any) -> dict[str, Any]:
    """Score the first rows of some files for about SAMPLE_SECONDS, and reckon with all of them.

    options: those of `score_files` that decide a score. Rows of Parquet files are counted by their
    footers, those of JSONL files by the bytes of their first rows. Nothing is written. Returns
    files, documents, tokens, tokens_per_second, seconds, memory_bytes (the peak of this process),
    sampled_documents, no_label (among these), bad_files and passed_over.
    """
    inputs = open_inputs(replace(source, on_bad_shard="skip"))  # to tell of all that is bad
    slices = plan(inputs, source)
    bad = dict(inputs.bad)
    counts = _count_documents(inputs, slices, bad, source.limit)
    documents = sum(counts.values())
    sampled = _score_sample(inputs, counts, bad, {"model": model, **options})
    seen = [one for one in sampled.values() if one.rows]
    share = documents / max(1, sum(one.documents for one in seen))
    seconds = share * sum(one.documents * one.seconds / one.rows for one in seen)
    tokens = round(share * sum(one.documents * one.tokens / one.rows for one in seen))
    return {
        "files": len(counts),
        "documents": documents,
        "tokens": tokens,
        "tokens_per_second": tokens / seconds if seconds else 0.0,
        "seconds": seconds,
        "memory_bytes": _peak_memory(),
        "sampled_documents": sum(one.rows for one in seen),
        "no_label": no_label_totals(
            (inputs.files[index].name, one.no_label) for index, one in sampled.items()
        ),
        "bad_files": [
            {"file": inputs.files[index].name, "error": reason}
            for index, reason in sorted(bad.items())
        ],
        "passed_over": inputs.passed_over.summary(),
    }


def _count_documents(
    inputs: Inputs, slices: Sequence[Slice], bad: dict[int, str], limit: int | None
) -> dict[int, int]:
    """Rows of each slice's file, about; files that cannot be read go into `bad`.

    Files that a run with the limit does not come to are not read.
    """
    counts: dict[int, int] = {}
    left = limit
    for piece in slices:
        if left == 0:
            break
        if piece.file in bad:
            continue
        try:
            rows = _count_rows(inputs, piece.file)
        except CorpusError as error:
            bad[piece.file] = error.reason
            continue
        stop = rows if piece.stop_row is None else piece.stop_row
        count = max(0, stop - piece.first_row)
        if left is not None:
            count = min(count, left)
            left -= count
        counts[piece.file] = count
    return counts


def _count_rows(inputs: Inputs, index: int) -> int:
    file = inputs.files[index]
    if file_format(file.name) == "parquet":
        from attninfluence.corpus.parquet import open_parquet

        with closing(open_binary(file.name)) as source:
            return int(open_parquet(file.name, source).metadata.num_rows)
    rows = 0
    for batch in iter_rows(file.name, inputs.columns[index], types=inputs.kept_types):
        rows += len(batch)
        if batch.position >= COUNTED_BYTES:
            return rows * file.size // batch.position
    return rows


def _score_sample(
    inputs: Inputs, counts: dict[int, int], bad: dict[int, str], options: dict[str, Any]
) -> dict[int, _Sampled]:
    """Score rows of files spread over the input, group by group, until the time is up."""
    from attninfluence.scoring.batches import score

    files = [index for index, count in counts.items() if count]
    step = max(1, len(files) // SAMPLED_FILES)
    chosen = files[::step][:SAMPLED_FILES]
    sampled = {index: _Sampled(counts[index]) for index in chosen}
    until: float | None = None
    for index, texts, no_label in _groups(inputs, chosen, bad):
        if until is None:
            score(texts, **options)  # the first reading warms up
            until = time.monotonic() + SAMPLE_SECONDS
        started = time.monotonic()
        scores = score(texts, **options)
        one = sampled[index]
        one.rows += len(texts)
        one.no_label.update(no_label)
        one.tokens += int(scores.n_tokens.sum())
        one.seconds += time.monotonic() - started
        if time.monotonic() > until:
            break
    return sampled


def _groups(
    inputs: Inputs, files: Sequence[int], bad: dict[int, str]
) -> Iterator[tuple[int, list[Any], Counter[str]]]:
    """Some texts of each file, then the next ones of each; what cannot be read goes into `bad`.

    With them, by column, how many of their rows have no label there for what else it holds.
    """
    for first in range(0, SAMPLED_ROWS, GROUP_ROWS):
        for index in files:
            if index in bad:
                continue
            part = iter_rows(
                inputs.files[index].name,
                inputs.columns[index],
                first_row=first,
                stop_row=first + GROUP_ROWS,
                types=inputs.kept_types,
            )
            texts: list[Any] = []
            no_label: Counter[str] = Counter()
            try:
                for batch in part:
                    texts += batch.texts
                    no_label.update(batch.no_label)
            except CorpusError as error:
                bad[index] = error.reason
                continue
            if texts:
                yield index, texts, no_label


def _peak_memory() -> int:
    """The most bytes this process has had in memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
