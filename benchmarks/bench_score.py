"""Speed of scoring: attninfluence against transformers, both fp32 on the CPU.

    python -m benchmarks.bench_score [--quick] [--write]

Every peer first gives its losses, which must agree; then all are timed in turn, round after
round, so that a slow spell of the machine meets all of them. The limit is what the processor
could do at most: the operations that have to be done (layers below the first masked head once)
at its peak rate.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import workload
from benchmarks.peers import Documents, Losses, Peer, open_peers
from benchmarks.workload import Head

TOLERANCE = 1e-3  # nats a token between two fp32 implementations of a model of 30 layers
RESULTS = Path(__file__).with_name("RESULTS.md")
DESCRIPTION = "Compare the speed of scoring with transformers in fp32 on the CPU."


@dataclass(frozen=True)
class Timing:
    """What one peer took."""

    name: str
    seconds: list[float]
    tokens: int

    @property
    def rate(self) -> float:
        """Document tokens a second, base and reference reading together, in the median round."""
        return self.tokens / median(self.seconds)


def check_equal(peers: Sequence[Peer], documents: Documents) -> float:
    """The largest difference of a loss to the first peer's, in nats; SystemExit if too large."""
    expected = peers[0].losses(documents)
    worst = 0.0
    for peer in peers[1:]:
        difference = _largest_difference(expected, peer.losses(documents))
        if not difference <= TOLERANCE:
            raise SystemExit(
                f"{peer.name} and {peers[0].name} differ by {difference:.3g} nat a token; "
                f"at most {TOLERANCE:g} was expected, so their speeds cannot be compared."
            )
        worst = max(worst, difference)
    return worst


def _largest_difference(a: Sequence[Losses], b: Sequence[Losses]) -> float:
    pairs = [
        (x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)
    ]
    return float(max(np.abs(x - y).max() for x, y in pairs))


def time_peers(peers: Sequence[Peer], documents: Documents, rounds: int) -> list[Timing]:
    """Times each peer once a round, starting with another one each round."""
    seconds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        start = number % len(peers)
        for peer in [*peers[start:], *peers[:start]]:
            begin = time.perf_counter()
            peer.losses(documents)
            seconds[peer.name].append(time.perf_counter() - begin)
    tokens = sum(len(document) for document in documents)
    return [Timing(name, taken, tokens) for name, taken in seconds.items()]


def table(timings: Sequence[Timing], limit: float) -> str:
    """A Markdown table; `limit` in document tokens a second."""
    ours = timings[0].rate
    lines = [
        "| who | tokens/s, median | fastest to slowest round | ours is faster by | of the limit |",
        "|---|---:|---:|---:|---:|",
    ]
    for timing in timings:
        fast, slow = (timing.tokens / pick(timing.seconds) for pick in (min, max))
        lines.append(
            f"| {timing.name} | {timing.rate:.0f} | {fast:.0f} to {slow:.0f} "
            f"| {ours / timing.rate:.2f}x | {100 * timing.rate / limit:.0f} % |"
        )
    return "\n".join(lines)


def describe(
    shape: workload.Shape, documents: Documents, heads: Sequence[Head], options: argparse.Namespace
) -> str:
    """What was measured, in sentences."""
    lengths = [len(document) for document in documents]
    return (
        f"{shape.name} shape, random weights, fp32; {len(lengths)} documents of {min(lengths)} to "
        f"{max(lengths)} tokens (mean {np.mean(lengths):.0f}); base and reference reading with "
        f"{len(heads)} heads masked, the first in layer {heads[0][0]}; {options.threads} threads; "
        f"{options.rounds} rounds. Tokens are document tokens, counted once for both readings. "
        f"The limit assumes {options.peak_gflops:g} GFLOP/s a core. "
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"{_versions()}."
    )


def _versions() -> str:
    import torch
    import transformers

    import attninfluence

    modules = (attninfluence, torch, transformers)
    return ", ".join(f"{module.__name__} {module.__version__}" for module in modules)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options; --quick only changes how much is measured."""
    parser = argparse.ArgumentParser(prog="bench_score", description=DESCRIPTION)
    parser.add_argument("--quick", action="store_true", help="3 documents, one round")
    parser.add_argument("--tiny", action="store_true", help="a tiny model: tests that it runs")
    parser.add_argument("--write", action="store_true", help=f"also write {RESULTS.name}")
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--peak-gflops",
        type=float,
        default=115.0,
        help="fp32 peak of one core for the limit (default: 115, Zen 4 at 3.6 GHz)",
    )
    options = parser.parse_args(argv)
    if options.quick or options.tiny:
        options.documents, options.rounds = 3, 1
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, prints and, when asked, writes the table."""
    options = parse(argv)
    shape = workload.TINY if options.tiny else workload.SMOLLM2_135M
    documents = workload.make_documents(
        shape, options.documents, 16 if options.tiny else 64, 96 if options.tiny else 1024
    )
    heads = workload.choose_heads(shape)
    with tempfile.TemporaryDirectory() as folder:
        peers = open_peers(workload.write_model(Path(folder), shape), heads, options.threads)
        worst = check_equal(peers, documents)
        timings = time_peers(peers, documents, options.rounds)
    operations = workload.flops(shape, [len(document) for document in documents], heads[0][0])
    limit = timings[0].tokens * options.threads * options.peak_gflops * 1e9 / operations
    text = "\n\n".join(
        [
            describe(shape, documents, heads, options),
            table(timings, limit),
            f"The limit is {limit:.0f} tokens/s. All losses agree within {worst:.1g} nat a token.",
        ]
    )
    print(text)
    if options.write:
        RESULTS.write_text(
            f"# Speed of scoring\n\nWritten by `make bench BENCH_FLAGS=--write`.\n\n{text}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
