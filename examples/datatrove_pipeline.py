"""A folder of JSON lines to a scored, selected and mixed corpus, with datatrove.

python examples/datatrove_pipeline.py INPUT/ OUTPUT/ [TASKS] [WORKERS] [MODEL]

INPUT holds .jsonl or .jsonl.gz files of {"text": ..., "domain": ...}. OUTPUT gets

    corpus/      every document that has a text, with its scores in the metadata
    selected/    the best 20 % of each domain once more: together with corpus/, the mix
    checkpoint/, quantiles/, logs/

Killed at any time, the same command goes on: finished tasks are skipped, and the others take the
scores that their checkpoint holds. On a cluster, put SlurmPipelineExecutor or RayPipelineExecutor
in the place of LocalPipelineExecutor; the pipelines stay as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from attninfluence.integrations.datatrove import (
    AttentionInfluenceFilter,
    AttentionInfluenceScorer,
    DomainQuantiles,
    MergeQuantiles,
)

FRACTION = 0.20


def build(
    source: str, output: Path, tasks: int, workers: int, model: str | None
) -> LocalPipelineExecutor:
    """The last of three pipelines; each runs the one that it depends on."""
    scored = LocalPipelineExecutor(
        [
            JsonlReader(source),
            AttentionInfluenceScorer(model, checkpoint_folder=str(output / "checkpoint")),
            DomainQuantiles(str(output / "quantiles")),
            JsonlWriter(str(output / "corpus")),
        ],
        tasks=tasks,
        workers=workers,
        logging_dir=str(output / "logs" / "score"),
    )
    merged = LocalPipelineExecutor(
        [MergeQuantiles(str(output / "quantiles"))],
        logging_dir=str(output / "logs" / "merge"),
        depends=scored,
    )
    return LocalPipelineExecutor(
        [
            JsonlReader(str(output / "corpus")),
            AttentionInfluenceFilter(str(output / "quantiles"), fraction=FRACTION),
            JsonlWriter(str(output / "selected")),
        ],
        tasks=tasks,
        workers=workers,
        logging_dir=str(output / "logs" / "select"),
        depends=merged,
    )


def count(folder: Path) -> tuple[int, int]:
    """Documents and tokens of a folder that was written here."""
    documents = tokens = 0
    for document in JsonlReader(str(folder))():
        documents += 1
        tokens += document.metadata["ai_n_tokens"]
    return documents, tokens


def main(source: str, target: str, tasks: str = "4", workers: str = "2", model: str = "") -> None:
    output = Path(target)
    build(source, output, int(tasks), int(workers), model or None).run()
    for part in ("corpus", "selected"):
        documents, tokens = count(output / part)
        print(f"{part}: {documents:,} documents, {tokens:,} tokens")


if __name__ == "__main__":
    main(*sys.argv[1:])
