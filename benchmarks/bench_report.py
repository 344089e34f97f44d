"""What the report of a million rows takes: time, memory, and the size of the page.

    python -m benchmarks.bench_report [--rows 1000000] [--domains 50,20000] [--write]

The scores are made of random numbers, with a control, and examples of 64 domains as a run keeps
them. Each report is written by a process of its own, after one of a single row, so that what Python
and its libraries take is told apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from tests.kit.child import ROOT
from tests.kit.made_examples import examples_of, keep
from tests.kit.made_scores import make_columns, write_made

HEADING = "The report of a million rows"
CHILD = """
import json, sys, time
from attninfluence.report import write_report
from benchmarks.peak_memory import peak

small, scores, page = sys.argv[1:]
write_report(small, page)
before, wall, processor = peak(), time.monotonic(), time.process_time()
write_report(scores, page)
took = {"wall": time.monotonic() - wall, "processor": time.process_time() - processor}
print(json.dumps({**took, "before": before, "peak": peak()}))
"""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_report", description="Cost of a report.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--domains", default="50,20000", help="numbers of domains, with commas")
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    return parser.parse_args(argv)


def measure(folder: Path, rows: int, domains: int) -> dict[str, Any]:
    """Seconds, bytes and the page's bytes of one report."""
    made = make_columns(rows, domains)
    scores = keep(write_made(folder / "scores", made), examples_of(made))
    small = write_made(folder / "small", make_columns(1, 1))
    page = folder / "report.html"
    child = [sys.executable, "-c", CHILD, str(small), str(scores), str(page)]
    run = subprocess.run(child, capture_output=True, text=True, check=True, cwd=ROOT)
    return {**json.loads(run.stdout), "page": page.stat().st_size}


def describe(rows: int, measured: dict[int, dict[str, Any]]) -> str:
    lines = [
        f"{rows:,} rows with a control; examples of 64 domains. Seconds are by the clock, with what"
        f" else the machine had to do, and of the processor. {results.machine()}.",
        "",
        "| domains | seconds | of the processor | memory, MB | before, MB | page, MB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for domains, one in measured.items():
        megabytes = (one["peak"] / 1e6, one["before"] / 1e6)
        lines.append(
            f"| {domains:,} | {one['wall']:.1f} | {one['processor']:.1f} | {megabytes[0]:.0f} |"
            f" {megabytes[1]:.0f} | {one['page'] / 1e6:.2f} |"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and, when asked, writes the section."""
    options = parse(argv)
    measured = {}
    for domains in map(int, options.domains.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            measured[domains] = measure(Path(folder), options.rows, domains)
    command = "python -m benchmarks.bench_report"
    text = describe(options.rows, measured)
    results.publish(HEADING, text, command, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
