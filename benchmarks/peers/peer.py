"""What a peer is: it reads each document twice, at one precision.

A library's file holds classes with the methods of `Peer` and a tuple ENTRIES that names what it
has to offer; `registry.LIBRARIES` lists the files. Libraries are imported when a peer is opened,
in a process of the library's own, so none of them need be installed where the others are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import Head, Shape

# float32[2, n_tokens - 1] for each document: nats, base and reference reading.
Losses = NDArray[np.float32]
Documents = Sequence[NDArray[np.int32]]


@dataclass(frozen=True)
class Job:
    """What all peers of a run are given."""

    folder: Path  # the model
    scratch: Path  # where a peer may write its own form of it
    shape: Shape
    heads: tuple[Head, ...]
    threads: int

    def dump(self) -> str:
        """The job as JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def parse(cls, text: str) -> Job:
        """The job that `dump` wrote."""
        fields = json.loads(text)
        folder, scratch = Path(fields["folder"]), Path(fields["scratch"])
        own = _as_heads(fields["shape"].pop("own_heads"))
        shape = Shape(**fields["shape"], own_heads=own)
        return cls(folder, scratch, shape, _as_heads(fields["heads"]), fields["threads"])


def _as_heads(pairs: Sequence[Sequence[int]]) -> tuple[Head, ...]:
    return tuple((layer, head) for layer, head in pairs)


class Peer(Protocol):
    """Somebody who reads documents."""

    def losses(self, documents: Documents) -> list[Losses]:
        """The losses of every document; this is what is compared."""

    def work(self, documents: Documents) -> None:
        """What is timed: `losses`, or less where the library cannot do all of it."""


class SharingPeer(Peer, Protocol):
    """One that gains where the first masked head lies deep."""

    def work_with_own_heads(self, documents: Documents) -> None:
        """`work`, with the trained model's own heads masked."""


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    masks: the reference reading is one, not a second base reading.
    shares: layers below the first masked head are read once, so that the heads decide the speed.
    """

    name: str
    precision: str
    masks: bool
    open: Callable[[Job], Peer]
    shares: bool = False


class Unavailable(Exception):
    """The peer cannot run here; the message says why."""


def versions(*names: str) -> str:
    """Installed distributions with their versions."""
    return ", ".join(f"{name} {version(name)}" for name in names)
