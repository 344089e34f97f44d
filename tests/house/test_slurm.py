"""The Slurm script of examples/, with an sbatch that runs every job at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attninfluence as ai
from tests.kit.child import ROOT
from tests.kit.mixed_rows import mixed_rows, string_array

SCRIPT = ROOT / "examples" / "slurm_array.sh"

SBATCH = """
import os, subprocess, sys
options = [word for word in sys.argv[1:] if word.startswith("--")]
command = [word for word in sys.argv[1:] if not word.startswith("--")]
with open("sbatch.log", "a") as log:
    print(*options, *command[1:], file=log)
tasks = [None]
for option in options:
    if option.startswith("--array="):
        first, _, last = option.removeprefix("--array=").partition("-")
        tasks = range(int(first), int(last or first) + 1)
for task in tasks:
    array = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(len(tasks))}
    job = {"SLURM_JOB_ID": "41", "SLURM_CPUS_PER_TASK": "1", **({} if task is None else array)}
    subprocess.run(command, env={**os.environ, **job}, stdout=sys.stderr, check=True)
print(41)
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with `sbatch` and with the `attninfluence` of this tree."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch.py").write_text(SBATCH)
    for name, arguments in (
        ("sbatch", folder / "sbatch.py"),
        ("attninfluence", "-m attninfluence.cli"),
    ):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def run(programs: Path, *command: object) -> str:
    """Runs a command in the folder of `programs` and returns all that it prints."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(word) for word in command],
        cwd=programs.parent,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_an_array_scores_every_row_once_then_selects_and_mixes(
    programs: Path, tmp_path: Path
) -> None:
    rows = mixed_rows(60)
    texts = [row["text"] for row in rows]
    table = pa.table({"text": string_array(texts), "domain": [row["domain"] for row in rows]})
    (tmp_path / "corpus").mkdir()
    for number in range(3):
        pq.write_table(table[20 * number : 20 * number + 20], tmp_path / f"corpus/{number}.parquet")

    run(programs, SCRIPT, "submit", "corpus", "work", 2)
    submitted = (tmp_path / "sbatch.log").read_text().splitlines()
    assert submitted == [
        "--parsable --array=0-1 score corpus work 2",
        "--dependency=afterok:41 select corpus work 2",
    ]

    def scored() -> pa.Table:
        parts = [
            sorted((tmp_path / f"work/scores/{shard}").glob("part-*.parquet")) for shard in (0, 1)
        ]
        shards = [pa.concat_tables(map(pq.read_table, paths)) for paths in parts]
        assert all(shard.num_rows for shard in shards)
        return pa.concat_tables(shards).sort_by([("file", "ascending"), ("row", "ascending")])

    before = scored()
    assert before["row"].to_pylist() == list(range(20)) * 3
    model = ai.load(precision="bf16", kernel="avx2")
    expected = ai.score(texts, model=model).to_arrow()
    for name in ("score", "base_loss", "n_tokens", "status"):
        assert before[name].to_pylist() == expected[name].to_pylist(), name

    # A finished task that is run again, by itself: its shard is the same one, and stays.
    run(programs, "sbatch", "--array=1", SCRIPT, "score", "corpus", "work", 2)
    assert scored().equals(before)

    for folder in ("selected", "mix"):
        assert (tmp_path / "work" / folder / "_SUCCESS").is_file()
