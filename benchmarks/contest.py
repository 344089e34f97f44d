"""Peers compared: first their losses, which must agree, then their times, round after round."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.children import PeerError
from benchmarks.peers.peer import Entry, Losses

FP32_TOLERANCE = 1e-3  # nats, the largest difference of a token between two fp32 implementations
# Nats, the mean difference of a token where the narrower of two is of this precision. Measured on
# SmolLM2-135M's shape: bf16 0.006 to 0.01; int8 0.03 (llama.cpp) to 0.05 (ours, CTranslate2).
COARSE_TOLERANCES = {"bf16": 0.05, "int8": 0.2}


OWN_TITLES = ["tokens/s with the model's own heads", "of its limit"]


class Reader(Protocol):
    """What runs a peer by its name; `children.Child` is one."""

    def losses(self, name: str, documents: int) -> list[Losses]: ...

    def work(self, name: str, documents: int, *, own_heads: bool = False) -> float: ...


@dataclass
class Contestant:
    """One peer that could be opened, and what it took in each round."""

    entry: Entry
    reader: Reader
    seconds: list[float] = field(default_factory=list)
    own_seconds: list[float] = field(default_factory=list)  # with the model's own heads
    agreement: str = ""

    def rates(self, tokens: int) -> tuple[float, float, float]:
        """Document tokens a second: median round, fastest, slowest."""
        taken = self.seconds
        return tokens / median(taken), tokens / min(taken), tokens / max(taken)

    def time_once(self, documents: int, *, has_own_heads: bool) -> None:
        """One more round."""
        self.seconds.append(self.reader.work(self.entry.name, documents))
        say(f"{self.entry.name} took {self.seconds[-1]:.1f} s")
        if has_own_heads and self.entry.shares:
            taken = self.reader.work(self.entry.name, documents, own_heads=True)
            self.own_seconds.append(taken)
            say(f"{self.entry.name} took {taken:.1f} s with the model's own heads")


def check(contestants: Sequence[Contestant], documents: int) -> tuple[list[Contestant], list[str]]:
    """Who gives the losses of the first fp32 peer (else of the first), and why others do not.

    A peer that cannot mask heads is compared by its base losses alone.
    """
    kept: list[Contestant] = []
    refused: list[str] = []
    expected: list[Losses] | None = None
    for one in sorted(contestants, key=lambda one: one.entry.precision != "fp32"):
        try:
            say(f"comparing the losses of {one.entry.name}")
            found = one.reader.losses(one.entry.name, documents)
            if expected is None:
                expected, reference = found, one.entry
                one.agreement = "the others are compared with it"
            else:
                one.agreement = compare(reference, expected, one.entry, found)
            kept.append(one)
        except PeerError as error:
            refused.append(f"{one.entry.name}: {error}")
    return [one for one in contestants if one in kept], refused


def compare(
    reference: Entry, expected: Sequence[Losses], entry: Entry, found: Sequence[Losses]
) -> str:
    """How far apart two peers' losses are, in words; PeerError when too far."""
    readings = 2 if entry.masks and reference.masks else 1
    differences = _differences(expected, found, readings)
    largest, mean = float(differences.max()), float(differences.mean())
    which = "both readings" if readings == 2 else "base reading"
    said = f"at most {largest:.1g}, mean {mean:.1g} nat a token, {which}"
    narrow = [COARSE_TOLERANCES.get(one.precision, 0.0) for one in (entry, reference)]
    if any(narrow):
        agrees, wanted = mean <= max(narrow), f"a mean of at most {max(narrow):g}"
    else:
        agrees, wanted = largest <= FP32_TOLERANCE, f"at most {FP32_TOLERANCE:g}"
    if not agrees:
        raise PeerError(
            f"its losses differ from {reference.name}'s by {said}; {wanted} was expected, so their "
            "speeds cannot be compared"
        )
    return said


def _differences(a: Sequence[Losses], b: Sequence[Losses], readings: int) -> NDArray[np.float32]:
    pairs = zip(a, b, strict=True)
    return np.concatenate([np.abs(x[:readings] - y[:readings]).ravel() for x, y in pairs])


def time_rounds(
    contestants: Sequence[Contestant], documents: int, rounds: int, *, has_own_heads: bool = False
) -> list[str]:
    """Times each once a round, another first each time; names those who failed, and why."""
    running = list(contestants)
    failed: list[str] = []
    for number in range(rounds):
        start = number % max(1, len(contestants))
        for one in [*contestants[start:], *contestants[:start]]:
            if one not in running:
                continue
            try:
                one.time_once(documents, has_own_heads=has_own_heads)
            except PeerError as error:
                running.remove(one)
                failed.append(f"{one.entry.name}: {error}")
    return failed


def table(
    contestants: Sequence[Contestant],
    tokens: int,
    limits: dict[str, float],
    own_limits: dict[str, float] | None = None,
) -> str:
    """A Markdown table; `limits` in document tokens a second by precision.

    own_limits: those with the model's own heads masked; None where they are not known.
    """
    timed = [one for one in contestants if one.seconds]
    ours = [one for one in timed if one.entry.name.startswith("attninfluence")]
    heads = [f"{one.entry.name.replace('attninfluence', 'ours')} is" for one in ours]
    titles = ["who", "tokens/s, median", "fastest to slowest round", *heads, "of its limit"]
    titles += OWN_TITLES if own_limits else []
    lines = [_row(titles), _row(["---", *["---:"] * (len(titles) - 1)])]
    for one in timed:
        rate, fast, slow = one.rates(tokens)
        ratios = [f"{mine.rates(tokens)[0] / rate:.2f}x" for mine in ours]
        share = f"{100 * rate / limits[one.entry.precision]:.0f} %"
        cells = [one.entry.name, f"{rate:.0f}", f"{fast:.0f} to {slow:.0f}", *ratios, share]
        cells += _own_cells(one, tokens, own_limits) if own_limits else []
        lines.append(_row(cells))
    return "\n".join(lines)


def _own_cells(one: Contestant, tokens: int, limits: dict[str, float]) -> list[str]:
    if not one.own_seconds:
        return ["", ""]
    rate = tokens / median(one.own_seconds)
    return [f"{rate:.0f}", f"{100 * rate / limits[one.entry.precision]:.0f} %"]


def say(what: str) -> None:
    """A line on standard error: how far a long run is."""
    print(what, file=sys.stderr, flush=True)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
