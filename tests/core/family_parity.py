"""Comparing one model with transformers, for test_families.py and tools/check_deltas.py.

The tolerance is 1e-4 nat a token, or four times what noise of one unit in the last place of every
weight does to transformers' own losses, where that is more: deeper or more peaked models amplify
rounding, and two exact programs may not be asked to agree better than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence import _core
from attninfluence.verify.reference import Reference
from tests.kit.family_models import LENGTHS, make_family_folder
from tests.kit.parity import difference, head_sets
from tests.kit.tiny_models import random_ids

TOLERANCE = 1e-4  # nats a token, against transformers in fp32
NOISE_SEEDS = 4
NOISE_FACTOR = 4

Heads = NDArray[np.bool_]


@dataclass
class Opened:
    """One variant's folder, opened by us and by transformers."""

    family: str
    variant: str
    folder: Path
    core: _core.Model
    _losses: dict[tuple[int, str, str], NDArray[np.float32]] = field(default_factory=dict)

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.folder)

    @cached_property
    def documents(self) -> list[NDArray[np.int32]]:
        return [random_ids(n, n, self.core.vocab_size) for n in LENGTHS]

    @cached_property
    def sets(self) -> dict[str, Heads]:
        core = self.core
        return head_sets(core.n_layers, core.n_heads, core.n_heads // core.n_kv_heads)

    def expected(self, document: int, name: str, mask: str) -> NDArray[np.float32]:
        """transformers' losses of a document with the set `name` masked, "" for none."""
        key = (document, name, mask if name else "")
        if key not in self._losses:
            ids, heads = self.documents[document], self.sets.get(name)
            self._losses[key] = self.reference.read(ids, heads, mask).losses
        return self._losses[key]


def open_variant(path: Path, family: str, variant: str, **options: Any) -> Opened:
    """Writes a variant's folder, with `options` of make_family_folder, and opens it in fp32."""
    folder = make_family_folder(path, family, variant, **options)
    return Opened(family, variant, folder, _core.Model(str(folder), "fp32"))


@dataclass(frozen=True)
class Worst:
    """The reading that lies furthest outside its tolerance, or nearest to it."""

    difference: float
    allowed: float
    what: str

    @property
    def passes(self) -> bool:
        return self.difference <= self.allowed  # not a number fails

    def __str__(self) -> str:
        return f"{self.difference:.1e} nat a token, allowed {self.allowed:.1e}: {self.what}"


def worst_loss(opened: Opened, masks: tuple[str, ...] = ("uniform", "zero")) -> Worst:
    """Base and masked readings of a batch of mixed lengths against transformers."""
    found = [
        compare_losses(opened, losses[row], document, name, mask)
        for mask in masks
        for document, losses in enumerate(run_all_sets(opened, mask))
        for row, name in enumerate(["", *opened.sets])
    ]
    return max(found, key=lambda worst: (not worst.passes, worst.difference / worst.allowed))


def run_all_sets(opened: Opened, mask: str) -> list[NDArray[np.float32]]:
    """Our losses: the base reading, then one row a set of heads."""
    variants = np.stack(list(opened.sets.values()))
    return opened.core.run(opened.documents, variants=variants, mask=mask)


def compare_losses(
    opened: Opened, ours: NDArray[np.float32], document: int, name: str, mask: str
) -> Worst:
    largest = difference(ours, opened.expected(document, name, mask))
    allowed = TOLERANCE
    if not largest <= allowed:
        noise = weight_noise(opened, document, name, mask)
        allowed = max(allowed, NOISE_FACTOR * noise)
    what = f"{len(opened.documents[document])} tokens, {name or 'no'} heads masked, {mask}"
    return Worst(largest, allowed, what)


def weight_noise(opened: Opened, document: int, name: str, mask: str) -> float:
    """The most that one unit in the last place of every weight, up or down, moves a loss."""
    exact = opened.expected(document, name, mask)
    ids, heads = opened.documents[document], opened.sets.get(name)
    moved = 0.0
    for seed in range(NOISE_SEEDS):
        with opened.reference.perturbed(seed):
            moved = max(moved, difference(opened.reference.read(ids, heads, mask).losses, exact))
    return moved
