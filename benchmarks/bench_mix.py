"""What a mix of many small files takes, beside `cp -r` of the corpus in the same run.

    python -m benchmarks.bench_mix [--files 5000] [--rounds 3] [--write]

Each file is one line of JSON of 20 bytes; a fifth of them is selected. A mix is on disk when it is
done, which `cp` is after `sync`. Rounds take turns; medians are shown. Processes are started and
libraries imported within the time, for both.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from benchmarks import results
from tests.kit.child import ROOT
from tests.kit.score_tables import score_row, write_scores

HEADING = "The mix of many small files"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_mix", description="Cost of a mix.")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    return parser.parse_args(argv)


def make(folder: Path, files: int) -> None:
    """A corpus, its scores and a selection of a fifth of it."""
    (folder / "corpus").mkdir()
    names = [f"{index:06d}.jsonl" for index in range(files)]
    for name in names:
        (folder / "corpus" / name).write_text(f'{{"text": "{name[:6]}"}} \n')
    rows = [score_row(name, 0, score=index * 7919 % files / 9) for index, name in enumerate(names)]
    write_scores(folder / "scores", [rows], folder / "corpus")
    select(folder / "scores", folder / "selected", Rule(Fraction(1, 5)))


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Seconds of each, medians over the rounds."""
    mix = [sys.executable, "-m", "attninfluence.cli", "mix", str(folder / "selected"), "-o"]

    def run(command: list[str]) -> None:
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)

    def copy(target: str) -> None:
        run(["cp", "-r", str(folder / "corpus"), target])

    def copy_and_sync(target: str) -> None:
        copy(target)
        os.sync()

    contestants: dict[str, Callable[[str], None]] = {
        "`attninfluence mix`": lambda target: run([*mix, target]),
        "`attninfluence mix --recipe`": lambda target: run([*mix, target, "--recipe"]),
        "`cp -r` of the corpus": copy,
        "the same and `sync`": copy_and_sync,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            target = folder / f"target{number}"
            os.sync()
            start = time.monotonic()
            contestant(str(target))
            seconds[name].append(time.monotonic() - start)
            shutil.rmtree(target)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def describe(files: int, rounds: int, seconds: dict[str, float]) -> str:
    lines = [
        f"{files:,} files of 20 bytes, of which a fifth is selected. Seconds by the clock, with"
        f" what else the machine had to do; medians of {rounds}. {results.machine()}.",
        "",
        "| | seconds |",
        "| --- | ---: |",
        *(f"| {name} | {taken:.2f} |" for name, taken in seconds.items()),
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and, when asked, writes the section."""
    options = parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), options.files)
        seconds = measure(Path(folder), options.rounds)
    text = describe(options.files, options.rounds, seconds)
    results.publish(HEADING, text, "python -m benchmarks.bench_mix", write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
