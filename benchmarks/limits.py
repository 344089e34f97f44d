"""What the processor allows at most: operations that must be done, at its peak rate."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.workload import Shape

PRECISIONS = ("fp32", "bf16", "int8")
CSRC = Path(__file__).resolve().parents[1] / "csrc"


def measure_peaks() -> dict[str, float]:
    """By precision, what one core of this processor can do, in 1e9 operations a second."""
    command = ["make", "--silent", "--no-print-directory", "-C", str(CSRC), "bench-peak"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {precision: float(rate) for precision, rate in map(str.split, found.splitlines())}


class Operations(NamedTuple):
    """Operations of the base and the reference reading, a multiply-add being two."""

    linear: float  # products with weights, the output projection among them
    attention: float

    @property
    def total(self) -> float:
        return self.linear + self.attention


def count_operations(
    shape: Shape, lengths: Sequence[int], first_masked_layer: int = 0, readings: int = 2
) -> Operations:
    """What one (base only) or two readings of documents of these lengths need.

    Layers below the first masked one are counted once: their hidden states are the same in
    both readings. Causal attention counts only the keys a row may see.
    """
    wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    weights = shape.hidden * (2 * wide + 2 * narrow + 3 * shape.ffn)
    tokens = sum(lengths)
    pairs = sum(n * (n + 1) for n in lengths)  # twice the visible (row, key) pairs
    layers = readings * shape.layers - (readings - 1) * first_masked_layer
    head = 2.0 * shape.hidden * shape.vocab * (tokens - len(lengths))
    return Operations(
        linear=layers * 2.0 * weights * tokens + readings * head,
        attention=layers * 2.0 * wide * pairs,
    )


def limit(
    operations: Operations, tokens: int, threads: int, precision: str, peaks: Mapping[str, float]
) -> float:
    """Document tokens a second at peak rate; with int8, attention is at the rate of bf16."""
    attention = "bf16" if precision == "int8" else precision
    seconds = operations.linear / peaks[precision] + operations.attention / peaks[attention]
    return tokens * threads * 1e9 / seconds
