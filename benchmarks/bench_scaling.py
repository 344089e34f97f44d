"""What the cost of scoring grows with: length, batch, threads, masked layers; and memory.

    python -m benchmarks.bench_scaling [--precision bf16] [--parts length,share] [--write]

attninfluence alone, random weights. A rate is in document tokens a second, base and reference
reading together unless said otherwise, the median of some rounds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks import limits, results, workload
from benchmarks.peers.peer import Documents
from benchmarks.workload import Head, Shape

if TYPE_CHECKING:
    from attninfluence import Model

ROOT = Path(__file__).resolve().parents[1]
MANY_TOKENS = 4096  # at least so many in a call where lengths are compared
BASE_ONLY = 16384  # from this length on a document is read once
SHARES = (0.0, 0.25, 0.5, 0.75)


class Bench:
    """A model of random weights and how it is measured."""

    def __init__(self, shape: Shape, folder: Path, options: argparse.Namespace) -> None:
        import attninfluence

        self.shape, self.folder, self.rounds = shape, folder, options.rounds
        self.precision, self.threads = options.precision, options.threads
        self.scale = 16 if options.tiny else 1  # by which all lengths are divided
        self.model: Model = attninfluence.load(
            str(folder), precision=options.precision, threads=options.threads
        )
        self.heads = workload.choose_heads(shape)
        self.peaks = limits.measure_peaks()

    def read(
        self, documents: Documents, heads: Iterable[Head] | None, threads: int | None = None
    ) -> float:
        """Seconds for the base reading and, with heads, the reference reading."""
        variants: NDArray[np.bool_] | None = None
        if heads is not None:
            variants = self.model.mask_matrix(heads)[np.newaxis]
        begin = time.perf_counter()
        self.model.core.run(
            list(documents), variants=variants, n_threads=threads or self.model.threads
        )
        return time.perf_counter() - begin

    def limit(self, documents: Documents, *, readings: int = 2) -> float:
        """Document tokens a second at peak rate."""
        lengths = [len(document) for document in documents]
        operations = limits.count_operations(
            self.shape, lengths, self.heads[0][0], readings=readings
        )
        return limits.limit(operations, sum(lengths), self.threads, self.precision, self.peaks)

    def documents(self, count: int) -> list[NDArray[np.int32]]:
        """Log-normal lengths of 64 to 1,024 tokens."""
        return workload.make_documents(self.shape, count, 64 // self.scale, 1024 // self.scale)


def by_length(bench: Bench) -> str:
    """One length at a time, as many documents as make MANY_TOKENS."""
    rows = []
    for nominal in (128, 256, 512, 1024, 2048, 4096, 8192, 32768):
        length = nominal // bench.scale
        count = max(1, MANY_TOKENS // nominal)
        documents = workload.make_documents_of(bench.shape, [length] * count)
        once = nominal >= BASE_ONLY
        heads, rounds = (None, 1) if once else (bench.heads, bench.rounds)
        seconds = median(bench.read(documents, heads) for _ in range(rounds))
        rate = length * count / seconds
        share = rate / bench.limit(documents, readings=1 if once else 2)
        said = f"{length} (base reading only, one round)" if once else str(length)
        rows.append([said, str(count), f"{rate:.0f}", f"{1e3 / rate:.2f}", _percent(share)])
    titles = ["tokens a document", "documents", "tokens/s", "ms a token", "of the limit"]
    return _table(titles, rows)


def by_batch(bench: Bench) -> str:
    """One call with more and more documents of mixed lengths."""
    rows = []
    for count in (1, 2, 4, 8, 16, 32, 64):
        documents = bench.documents(count)
        seconds = median(bench.read(documents, bench.heads) for _ in range(bench.rounds))
        tokens = sum(len(document) for document in documents)
        share = tokens / seconds / bench.limit(documents)
        rows.append([str(count), str(tokens), f"{tokens / seconds:.0f}", _percent(share)])
    return _table(["documents in a call", "tokens", "tokens/s", "of the limit"], rows)


def by_threads(bench: Bench) -> str:
    """40 documents on 1 thread and on 2, in turn."""
    documents = bench.documents(40)
    calls = [partial(bench.read, documents, bench.heads, n) for n in (1, 2)]
    taken = _in_turn(calls, bench.rounds)
    tokens = sum(len(document) for document in documents)
    rows = [
        [str(n), f"{tokens / seconds:.0f}", f"{taken[0] / seconds:.2f}x"]
        for n, seconds in zip((1, 2), taken, strict=True)
    ]
    return _table(["threads", "tokens/s", "of one thread"], rows)


def by_share(bench: Bench) -> str:
    """Both readings over the base reading alone, by the first layer with a masked head."""
    documents = bench.documents(16)
    lengths = [len(document) for document in documents]
    first = [round(share * bench.shape.layers) for share in SHARES]
    masks = [_heads_from(bench, layer) for layer in first]
    readings = [partial(bench.read, documents, heads) for heads in (None, *masks)]
    base, *both = _in_turn(readings, bench.rounds)
    alone = limits.count_operations(bench.shape, lengths, readings=1).total
    rows = []
    for layer, seconds in zip(first, both, strict=True):
        needed = limits.count_operations(bench.shape, lengths, layer).total / alone
        said = f"{layer} of {bench.shape.layers}"
        rows.append([said, f"{seconds / base:.3f}", f"{needed:.3f}"])
    return _table(
        ["first masked layer", "base + reference over base alone", "2 - shared fraction"], rows
    )


def by_memory(bench: Bench) -> str:
    """Peak memory of a process that opens the model and reads documents twice."""
    rows = []
    for nominal, count in ((512, 1), (512, 64), (2048, 1), (2048, 8), (8192, 1)):
        length = nominal // bench.scale
        arguments = [bench.folder, bench.precision, bench.threads, length, count]
        output = subprocess.run(
            [sys.executable, "-m", "benchmarks.peak_memory", *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        opened, peak = (int(text) / 1e6 for text in output.split())
        rows.append([str(length), str(count), f"{opened:.0f}", f"{peak:.0f}"])
    return _table(["tokens a document", "documents", "MB, model opened", "MB at most"], rows)


PARTS: dict[str, tuple[str, Callable[[Bench], str]]] = {
    "length": ("Length of documents", by_length),
    "batch": ("Documents in a call", by_batch),
    "threads": ("Threads", by_threads),
    "share": ("Layers below the first masked head, read once", by_share),
    "memory": ("Peak memory", by_memory),
}


def _heads_from(bench: Bench, layer: int) -> list[Head]:
    """As many heads as `bench.heads`, the first in `layer`."""
    span = bench.shape.layers - layer
    moved = {(layer + at % span, head) for at, head in bench.heads}
    return sorted(moved | {(layer, 0)})


def _in_turn(calls: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """The median of what each call returns, all of them called once a round."""
    taken = [[call() for call in calls] for _ in range(rounds)]
    return [median(column) for column in zip(*taken, strict=True)]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---:"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="bench_scaling", description="How scoring scales.")
    parser.add_argument("--shape", choices=("135m", "1b"), default="135m")
    parser.add_argument("--precision", choices=limits.PRECISIONS, default="bf16")
    parser.add_argument("--parts", help=f"only these, by comma: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a tiny model: tests that it runs")
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    options = parser.parse_args(argv)
    if options.tiny:
        options.shape, options.rounds = "tiny", 1
    options.parts = options.parts.split(",") if options.parts else list(PARTS)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"--parts: {part!r} is none of {', '.join(PARTS)}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Measures the parts asked for, each a section of its own."""
    options = parse(argv)
    shape = workload.SHAPES[options.shape]
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(shape, workload.write_model(Path(name), shape), options)
        about = (
            f"attninfluence {options.precision} ({bench.model.kernel}), {shape.name} shape, random "
            f"weights, {options.threads} threads, median of {options.rounds} rounds. "
            f"{results.machine()}."
        )
        for part in options.parts:
            title, measure = PARTS[part]
            heading = f"{title}, {shape.name} {options.precision}"
            flags = f"--shape {options.shape} --precision {options.precision} --parts {part}"
            command = f"python -m benchmarks.bench_scaling {flags} --rounds {options.rounds}"
            text = f"{about}\n\n{measure(bench)}"
            results.publish(heading, text, command, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
