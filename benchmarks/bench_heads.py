"""How long heads take to find, and what a lower precision changes of them.

    python -m benchmarks.bench_heads MODEL [--samples 8] [--length 4096] [--write]

The same probe samples in each precision, some at a time and in turns; fp32 is what the others are
compared with.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks import results

if TYPE_CHECKING:
    from attninfluence import Model
    from attninfluence.probe.samples import Sample

PRECISIONS = ("fp32", "bf16", "int8")
ALL_SAMPLES = 800  # of a search, by default
SELECTED = 0.05  # of the heads, by default


@dataclass
class Reader:
    """A model in one precision, and what it made of the samples so far."""

    model: Model
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    shares: list[NDArray[np.float64]] = field(default_factory=list)

    def read(self, samples: list[Sample]) -> None:
        """Reads some samples by the method's section 2, the answers fed."""
        spans = [one.answer for one in samples], [one.needle for one in samples]
        begin, used = time.perf_counter(), time.process_time()
        counts, _ = self.model.core.copies(
            [one.ids for one in samples], *spans, n_threads=self.model.threads
        )
        self.seconds += time.perf_counter() - begin
        self.cpu_seconds += time.process_time() - used
        lengths = [stop - start for start, stop in spans[0]]
        self.shares += [one / length for one, length in zip(counts, lengths, strict=True)]

    def scores(self) -> NDArray[np.float64]:
        """float64[heads]: the mean shares of copied steps."""
        scores: NDArray[np.float64] = np.mean(self.shares, axis=0).ravel()
        return scores


def choose(scores: NDArray[np.float64]) -> list[int]:
    """The heads selected by default."""
    order = np.argsort(-scores, kind="stable")
    return [int(head) for head in order[: int(np.ceil(SELECTED * len(scores)))]]


def row(reader: Reader, exact: Reader) -> list[str]:
    """What is said of one precision."""
    n, chosen = len(reader.shares), choose(exact.scores())
    minutes = reader.cpu_seconds / reader.model.threads / n * ALL_SAMPLES / 60
    said = [reader.model.precision, f"{reader.seconds / n:.2f}", f"{reader.cpu_seconds / n:.2f}"]
    said.append(f"{minutes:.1f}")
    if reader is exact:
        return [*said, "", "", ""]
    changed = np.array(reader.shares) != np.array(exact.shares)
    changed = changed.reshape(n, -1)[:, chosen]
    moved = np.abs(reader.scores() - exact.scores()).max()
    common = len(set(chosen) & set(choose(reader.scores())))
    return [*said, f"{changed.mean():.1%}", f"{moved:.4f}", f"{common} of {len(chosen)}"]


def report(readers: Sequence[Reader], samples: Sequence[Sample], name: str) -> str:
    """The section: what was read, the table, the machine."""
    titles = ["precision", "seconds a sample", "CPU seconds", f"minutes for {ALL_SAMPLES}"]
    titles += ["shares changed", "a score moved at most", "selected alike"]
    rows = [titles, ["---", *["---:"] * 6], *(row(reader, readers[0]) for reader in readers)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in rows)
    tokens = np.mean([len(one.ids) for one in samples])
    about = (
        f"{name}: {len(samples)} probe samples of {tokens:,.0f} tokens in the mean, "
        f"{readers[0].model.threads} threads. Minutes if each thread has a core of its own: CPU "
        "seconds by threads, so that other work on the machine counts little. Shares of copied "
        "steps of a sample and a selected head, scores and selection beside those of fp32."
    )
    return f"{about}\n\n{table}\n\n{results.machine()}."


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the samples in every precision."""
    import attninfluence
    from attninfluence.probe.samples import make_samples

    parser = argparse.ArgumentParser(prog="bench_heads", description="How long heads take.")
    parser.add_argument("model", help="a model folder")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--length", type=int, default=4096, help="tokens of a sample, at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    options = parser.parse_args(argv)
    name = Path(options.model).name
    readers = [
        Reader(attninfluence.load(options.model, precision=precision, threads=options.threads))
        for precision in PRECISIONS
    ]
    model = readers[0].model
    samples = make_samples(model.tokenizer, options.samples, min(options.length, model.context))
    for start in range(0, len(samples), options.threads):
        for reader in readers:
            reader.read(samples[start : start + options.threads])
    flags = f"--samples {options.samples} --length {options.length} --threads {options.threads}"
    command = f"python -m benchmarks.bench_heads {name} {flags}"
    text = report(readers, samples, name)
    results.publish(f"Time to find heads, {name}", text, command, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
