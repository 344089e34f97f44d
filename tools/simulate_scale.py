"""A datatrove job of many tasks, killed at random while they run, until every row is scored once.

    PYTHONPATH=. .venv-dev/bin/python tools/simulate_scale.py [--tasks 200] [--kills 100]

Writes synthetic shards, one a task, and scores them with the bundled model in the pipeline

    JsonlReader, AttentionInfluenceScorer with a checkpoint, DomainQuantiles, ParquetWriter

Every task is a process of its own, as on a cluster, and gets SIGKILL before a random step as often
as the plan says: a row that leaves the scorer, or a file of the job opened to be written, renamed
or removed. Then it is launched again. Steps are counted, so that a seed kills at the same places on
every machine. At the end every row must be there exactly once, a sample of the scores must be those
of `attninfluence.score` to the bit, and the merged quantiles must have seen every score. A part of
the checkpoint is some ten rows here, so that a task of a second has several, as a task of hours
would. The exit status is 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import struct
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.run.disk import die_at

DOMAINS = ("code", "prose", "web")
CHUNK_TOKENS = 256
PART_CHUNKS = 3
PRELOADED = (
    "attninfluence.integrations.datatrove",
    "attninfluence.scoring",
    "attninfluence.model.shared",
    "datatrove.executor",
    "datatrove.pipeline.readers",
    "datatrove.pipeline.writers",
    "pandas",  # pyarrow looks for it when it makes its first array
    "pyarrow.parquet",
)


@dataclass(frozen=True)
class Job:
    """What is scored and where."""

    folder: Path
    tasks: int
    rows: int
    seed: int

    def texts(self, rank: int) -> list[str]:
        """The texts of one task's shard: one to six sentences and a number each."""
        from attninfluence.probe.sentences import BUNDLED_SENTENCES

        sentences = BUNDLED_SENTENCES.read_text(encoding="utf-8").splitlines()
        chance = random.Random(f"{self.seed} {rank}")
        return [
            " ".join(chance.choices(sentences, k=chance.randint(1, 6))) + f" {rank}/{row}"
            for row in range(self.rows)
        ]

    def write_shards(self) -> None:
        (self.folder / "in").mkdir(parents=True)
        for rank in range(self.tasks):
            lines = [
                json.dumps({"id": f"{rank}/{row}", "text": text, "domain": DOMAINS[row % 3]})
                for row, text in enumerate(self.texts(rank))
            ]
            path = self.folder / "in" / f"{rank:05d}.jsonl"
            path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def stored(self, rank: int) -> int:
        """Rows in the published parts of a task's checkpoint."""
        import pyarrow.parquet as pq

        parts = (self.folder / "checkpoint" / f"{rank:05d}").glob("rows-*.parquet")
        return sum(pq.read_metadata(part).num_rows for part in parts)

    def passed_file(self, rank: int) -> Path:
        """A file with a byte for each row that has left the scorer in the task's last launch."""
        return self.folder / "passed" / f"{rank:05d}"

    def passed(self, rank: int) -> int:
        path = self.passed_file(rank)
        return path.stat().st_size if path.exists() else 0

    def is_complete(self, rank: int) -> bool:
        return (self.folder / "logs" / "completions" / f"{rank:05d}").exists()


def run_task(job: Job, rank: int, dies: int) -> None:
    """One task, in a process of its own, which is killed before step `dies`; 0: it is not."""
    log = os.open(job.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stderr.fileno())
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import ParquetWriter

    from attninfluence.integrations.datatrove import (
        AttentionInfluenceScorer,
        DomainQuantiles,
        checkpoint,
    )
    from attninfluence.scoring import reader

    # A clock that is looked at once a chunk, so that a part is as many rows on every machine.
    checkpoint.time = SimpleNamespace(monotonic=count().__next__)  # type: ignore[attr-defined]
    reader.CHUNK_TOKENS_PER_THREAD = CHUNK_TOKENS
    next_step = die_at(dies, job.folder)
    passed = os.open(job.passed_file(rank), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def note(data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        for document in data:
            os.write(passed, b".")
            next_step()
            yield document

    scorer = AttentionInfluenceScorer(
        checkpoint_folder=str(job.folder / "checkpoint"), checkpoint_seconds=PART_CHUNKS, threads=1
    )
    LocalPipelineExecutor(
        [
            JsonlReader(str(job.folder / "in")),
            scorer,
            note,
            DomainQuantiles(str(job.folder / "quantiles")),
            ParquetWriter(str(job.folder / "out")),
        ],
        tasks=job.tasks,
        workers=1,
        local_tasks=1,
        local_rank_offset=rank,
        logging_dir=str(job.folder / "logs"),
    ).run()


@dataclass
class Launch:
    """A task that runs."""

    rank: int
    process: BaseProcess


@dataclass
class Cluster:
    """Runs the tasks of a job, a few at a time, of which those of `kills` die."""

    job: Job
    workers: int
    kills: list[list[int]]  # by task: the steps before which its launches are still to be killed
    killed: int = 0
    lost: list[int] = field(default_factory=list)  # rows scored and not stored, by kill
    launches: int = 0

    def run(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        waiting = deque(range(self.job.tasks))
        running: list[Launch] = []
        while waiting or running:
            while waiting and len(running) < self.workers:
                running.append(self._launch(context, waiting.popleft()))
            time.sleep(0.005)
            for launch in list(running):
                if launch.process.exitcode is not None:
                    running.remove(launch)
                    if not self._is_done(launch):
                        waiting.append(launch.rank)

    def _launch(self, context: Any, rank: int) -> Launch:
        self.job.passed_file(rank).unlink(missing_ok=True)
        dies = self.kills[rank].pop() if self.kills[rank] else 0
        process = context.Process(target=run_task, args=(self.job, rank, dies))
        process.start()
        self.launches += 1
        return Launch(rank, process)

    def _is_done(self, launch: Launch) -> bool:
        """Whether the task is complete; what a kill cost is noted."""
        rank, code = launch.rank, launch.process.exitcode
        if code == -signal.SIGKILL:
            self.killed += 1
            self.lost.append(max(0, self.job.passed(rank) - self.job.stored(rank)))
        elif code != 0 or not self.job.is_complete(rank):
            raise RuntimeError(f"task {rank} failed with {code}; see {self.job.folder / 'log'}")
        return self.job.is_complete(rank)


def check(job: Job, sample: int) -> dict[str, Any]:
    """Compare the result with what an undisturbed run gives; an error a mistake."""
    import pyarrow.parquet as pq

    import attninfluence as ai
    from attninfluence.integrations.datatrove import MergeQuantiles
    from attninfluence.integrations.datatrove.domains import read_merged

    found: dict[str, float] = {}
    rows = 0
    for path in sorted((job.folder / "out").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            rows += 1
            found[row["id"]] = row["metadata"]["ai_score"]
    expected = {f"{rank}/{row}" for rank in range(job.tasks) for row in range(job.rows)}
    chosen = random.Random(job.seed).sample(sorted(expected), min(sample, len(expected)))
    shards = {rank: job.texts(rank) for rank in {int(key.split("/")[0]) for key in chosen}}
    texts = [shards[int(rank)][int(row)] for rank, row in (key.split("/") for key in chosen)]
    scores = ai.score(texts).score.tolist()
    merge = MergeQuantiles(str(job.folder / "quantiles"))
    list(merge.run(None))
    sketches = read_merged(merge.folder).by_domain
    return {
        "rows": rows,
        "missing_rows": len(expected - set(found)),
        "rows_more_than_once": rows - len(found),
        "compared_scores": len(chosen),
        "unlike_scores": sum(
            struct.pack("<d", found.get(key, float("nan"))) != struct.pack("<d", score)
            for key, score in zip(chosen, scores, strict=True)
        ),
        "scores_in_quantiles": sum(sketch.count for sketch in sketches.values()),
        "domains_in_quantiles": len(sketches),
    }


def simulate(job: Job, workers: int, kills: int, sample: int) -> dict[str, Any]:
    """Run the job with its kills; the figures."""
    job.write_shards()
    (job.folder / "passed").mkdir()
    chance = random.Random(job.seed)
    plan: list[list[int]] = [[] for _ in range(job.tasks)]
    for _ in range(kills):
        # A row that passes is a step, so that a task of so many rows does get that far.
        chance.choice(plan).append(chance.randint(1, job.rows))
    cluster = Cluster(job, workers, plan)
    started = time.monotonic()
    cluster.run()
    return {
        "tasks": job.tasks,
        "workers": workers,
        "launches": cluster.launches,
        "kills": cluster.killed,
        "seconds": round(time.monotonic() - started, 1),
        "rows_scored_again": sum(cluster.lost),
        "rows_scored_again_after_one_kill": max(cluster.lost, default=0),
        **check(job, sample),
    }


def is_right(figures: dict[str, Any], job: Job) -> bool:
    """Whether every row is there once, with its own score."""
    total = job.tasks * job.rows
    wrong = ("missing_rows", "rows_more_than_once", "unlike_scores")
    return (
        not any(figures[name] for name in wrong)
        and figures["rows"] == figures["scores_in_quantiles"] == total
        and figures["domains_in_quantiles"] == len(DOMAINS)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2, help="tasks that run at a time")
    parser.add_argument("--rows", type=int, default=60, help="documents of a task")
    parser.add_argument("--sample", type=int, default=1000, help="scores to compare")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), arguments.tasks, arguments.rows, arguments.seed)
        figures = simulate(job, arguments.workers, arguments.kills, arguments.sample)
    print(json.dumps(figures, indent=2))
    return 0 if is_right(figures, job) else 1


if __name__ == "__main__":
    sys.exit(main())
