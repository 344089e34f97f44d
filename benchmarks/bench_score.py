"""Speed of scoring: attninfluence and every peer that is installed, on the same documents.

    python -m benchmarks.bench_score [--shape 1b] [--peers tuned] [--precision bf16] [--write]
        [--peer-python zentorch,ctranslate2,llama_cpp=/path/to/python]

Each library runs in a process of its own, with the Python that has it. Every peer first gives
its losses, which must agree; then all are timed in turn, round after round, so that a slow spell
of the machine meets all of them. The limit is what the processor could do at most: the
operations that have to be done (layers below the first masked head once) at its peak rate.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import contest, limits, results, workload
from benchmarks.children import Child, start_children
from benchmarks.contest import Contestant
from benchmarks.peers.peer import Documents, Entry, Job
from benchmarks.peers.registry import LIBRARIES
from benchmarks.peers.serve import save_arrays

DESCRIPTION = "Compare the speed of scoring with that of other libraries on the CPU."
CHECKED = 4  # documents whose losses are compared before anything is timed
DEFAULTS = {"135m": (16, "fp32,bf16,int8"), "1b": (4, "bf16"), "tiny": (3, "fp32,bf16,int8")}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, with what the shape decides filled in."""
    parser = argparse.ArgumentParser(prog="bench_score", description=DESCRIPTION)
    parser.add_argument("--shape", choices=("135m", "1b"), default="135m")
    parser.add_argument("--precision", help="only these, by comma (1b: bf16 unless given)")
    parser.add_argument("--peers", help="only those with one of these in their name, by comma")
    parser.add_argument("--documents", type=int, help="how many (135m: 16, 1b: 4)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--peer-python",
        action="append",
        default=[],
        metavar="LIBRARY[,...]=PYTHON",
        help=f"the Python that has a library: {', '.join(LIBRARIES)}",
    )
    parser.add_argument("--quick", action="store_true", help="3 documents, one round")
    parser.add_argument("--tiny", action="store_true", help="a tiny model: tests that it runs")
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    options = parser.parse_args(argv)
    if options.tiny:
        options.shape = "tiny"
    documents, precisions = DEFAULTS[options.shape]
    few = options.quick or options.tiny
    options.documents = options.documents or (3 if few else documents)
    options.rounds = options.rounds or (1 if few else 3)
    options.precision = options.precision or precisions
    options.peer_python = _pythons(parser, options.peer_python)
    return options


def _pythons(parser: argparse.ArgumentParser, given: Sequence[str]) -> dict[str, str]:
    pythons: dict[str, str] = {}
    for text in given:
        names, _, python = text.rpartition("=")
        for name in names.split(","):
            if name not in LIBRARIES:
                parser.error(f"--peer-python: {name!r} is none of {', '.join(LIBRARIES)}")
            pythons[name] = python
    return pythons


def choose(precisions: str, names: str | None) -> list[Entry]:
    """The peers of these precisions with one of these words in their names; ours always."""
    wanted = [word.lower() for word in (names or "").split(",")]
    return [
        entry
        for library, entries in LIBRARIES.items()
        for entry in entries
        if entry.precision in precisions.split(",")
        and (library == "ours" or any(word in entry.name.lower() for word in wanted))
    ]


def make_documents(shape: workload.Shape, count: int) -> Documents:
    """The documents of a run: 64 to 1,024 tokens, of a tiny model 16 to 96."""
    low, high = (16, 96) if shape is workload.TINY else (64, 1024)
    return workload.make_documents(shape, count, low, high)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and, when asked, writes the table; 1 when a peer's losses were wrong."""
    options = parse(argv)
    shape = workload.SHAPES[options.shape]
    documents = make_documents(shape, options.documents)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = workload.write_model(scratch / "model", shape)
        job = Job(folder, scratch, shape, workload.choose_heads(shape), options.threads)
        job_file, documents_file = scratch / "job.json", scratch / "documents.npz"
        job_file.write_text(job.dump(), encoding="utf-8")
        save_arrays(documents_file, documents)
        entries = choose(options.precision, options.peers)
        children, refusals = start_children(entries, options.peer_python, job_file, documents_file)
        missing = [f"{name}: {reason}" for name, reason in refusals.items()]
        try:
            text, status = measure(children, missing, entries, job, documents, options)
        finally:
            for child in children:
                child.close()
    command = f'make bench BENCH_FLAGS="{_flags(options)}"'
    results.publish(f"Speed of scoring, {shape.name}", text, command, write=options.write)
    return status


def measure(
    children: Sequence[Child],
    missing: Sequence[str],
    entries: Sequence[Entry],
    job: Job,
    documents: Documents,
    options: argparse.Namespace,
) -> tuple[str, int]:
    """The section's text, and 1 when somebody's losses were wrong."""
    contestants = [
        Contestant(entry, child)
        for child in children
        for entry in entries
        if entry in LIBRARIES[child.library] and entry.name not in child.refusals
    ]
    kept, wrong = contest.check(contestants, min(CHECKED, len(documents)))
    own = job.shape.own_heads
    failed = contest.time_rounds(kept, len(documents), options.rounds, has_own_heads=bool(own))
    lengths = [len(document) for document in documents]
    peaks = limits.measure_peaks()
    bounds = bound_rates(job, lengths, job.heads, peaks)
    own_bounds = bound_rates(job, lengths, own, peaks) if own else None
    parts = [
        describe(job, lengths, options),
        contest.table(kept, sum(lengths), bounds, own_bounds),
        describe_limits(bounds, peaks),
        _list(f"Losses of {min(CHECKED, len(documents))} documents, compared before:", kept),
        _bullets("Not run:", [*missing, *wrong, *failed]),
        "; ".join([results.machine(), *[child.software for child in children if child.software]])
        + ".",
    ]
    return "\n\n".join(part for part in parts if part), 1 if wrong else 0


def bound_rates(
    job: Job, lengths: Sequence[int], heads: Sequence[workload.Head], peaks: dict[str, float]
) -> dict[str, float]:
    """By precision, the document tokens a second that the processor allows with heads masked."""
    operations = limits.count_operations(job.shape, lengths, min(layer for layer, _ in heads))
    return {
        precision: limits.limit(operations, sum(lengths), job.threads, precision, peaks)
        for precision in peaks
    }


def describe(job: Job, lengths: Sequence[int], options: argparse.Namespace) -> str:
    """What was measured, in sentences."""
    return (
        f"{job.shape.name} shape, random weights; {len(lengths)} documents of {min(lengths)} to "
        f"{max(lengths)} tokens (mean {np.mean(lengths):.0f}); base and reference reading with "
        f"{len(job.heads)} heads masked, the first in layer {job.heads[0][0]}; {job.threads} "
        f"threads; {options.rounds} rounds. {describe_own_heads(job.shape)}Tokens are document "
        "tokens, counted once for both readings. zentorch, CTranslate2 and llama.cpp read twice "
        "without masking; llama.cpp computes logits and no losses."
    )


def describe_own_heads(shape: workload.Shape) -> str:
    """A sentence and a space; empty where they are not known."""
    layers = [layer for layer, _ in shape.own_heads]
    if not layers:
        return ""
    return (
        f"The trained model's own heads ({len(layers)}) lie in layers {min(layers)} to "
        f"{max(layers)} of {shape.layers}. "
    )


def describe_limits(bounds: dict[str, float], peaks: dict[str, float]) -> str:
    """The limits and the rates that they assume, in a sentence."""
    limit = ", ".join(f"{precision} {bound:.0f}" for precision, bound in bounds.items())
    peak = ", ".join(f"{precision} {rate:g}" for precision, rate in peaks.items())
    return (
        f"Limits in tokens/s: {limit}; at {peak} thousand million operations a second and core "
        "(int8: attention at the rate of bf16)."
    )


def _list(title: str, contestants: Sequence[Contestant]) -> str:
    return _bullets(title, [f"{one.entry.name}: {one.agreement}" for one in contestants])


def _bullets(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, "", *[f"- {line}" for line in lines]]) if lines else ""


def _flags(options: argparse.Namespace) -> str:
    """What makes the section again, but for where the libraries are installed."""
    flags = f"--shape {options.shape} --documents {options.documents} --rounds {options.rounds}"
    flags += f" --threads {options.threads} --precision {options.precision}"
    return flags + (f" --peers '{options.peers}'" if options.peers else "")


if __name__ == "__main__":
    sys.exit(main())
