"""What a model gives here beside what transformers gives for it, in fp32 and eager.

The same documents are read by both: as they are, and with the same heads masked. transformers'
side is `attninfluence.verify.reference`, the only module of the package that needs torch.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import Model as Core
from attninfluence.base.progress import ProgressBar
from attninfluence.base.stderr import for_libraries
from attninfluence.model.chosen_heads import as_head_list
from attninfluence.model.model import EXPLICIT_PRECISIONS, Model
from attninfluence.model.opening import load
from attninfluence.scores.losses import mean_loss, relative_rise
from attninfluence.scores.rounding import gap
from attninfluence.verify.documents import make_documents
from attninfluence.verify.noise import SEEDS, noise_floors
from attninfluence.verify.ranking import rank_texts
from attninfluence.verify.table import READINGS, Difference, ErrorTable

if TYPE_CHECKING:
    from attninfluence.verify.reference import Reference

MASKED_SHARE = 0.05


def verify(
    model: Model | str | os.PathLike[str] | None,
    precisions: Sequence[str] = EXPLICIT_PRECISIONS,
    seed: int = 0,
    *,
    length: int | None = None,
    kernel: str | None = None,
    progress: bool = False,
) -> ErrorTable:
    """Compare a model with transformers (fp32, eager attention, one unpadded document at a time).

    Documents are built-in texts by the model's own tokenizer, or random ids where it has none;
    the masked heads are a random 5 % (at least one), masked either way (METHOD.md section 3).
    In fp32 a loss may differ by as much as four times what the smallest change of its weights does
    to transformers' own. The lower precisions are also compared with fp32 here in how they rank 60
    texts by the score, with the model's own heads where it has any.

    Args:
        model: opened, or what `load` takes.
        precisions: to open it in.
        seed: of the heads.
        length: tokens of the longest document; None is 640, or more where that takes it past a
            window of up to 1,024 keys, and at most the context.
        kernel: as in `load`.
        progress: show a bar on stderr.

    Raises:
        ImportError: torch or transformers is not installed.
        ValueError: a precision is none, the length is outside 2..context, or transformers cannot
            open the folder.
        ModelError: the model lacks ids that its tokenizer gives. `load` raises the rest.
    """
    wrong = [name for name in precisions if name not in EXPLICIT_PRECISIONS]
    if wrong or not precisions:
        raise ValueError(
            f"precisions must be of {', '.join(EXPLICIT_PRECISIONS)}, got {list(precisions)}"
        )
    opened = model if isinstance(model, Model) else load(model, precision=precisions[0])
    own = None if opened.heads is None else opened.mask_matrix(as_head_list(None, opened))
    documents = make_documents(opened, length)
    reference = _open_reference(opened.path)
    masked = choose_heads(opened.n_layers, opened.n_heads, seed)
    cores = [_core_of(opened, precision, kernel) for precision in precisions]
    rows = compare(cores, reference, documents, masked, opened.threads, progress)
    rankings = rank_texts(opened, cores, masked if own is None else own, own is not None)
    heads = tuple((int(layer), int(head)) for layer, head in np.argwhere(masked))
    lengths = [len(ids) for ids in documents]
    scored = sum(lengths) - len(lengths)
    window = opened.core.window if opened.core.window < opened.context else 0
    return ErrorTable(
        tuple(rows),
        tuple(rankings),
        len(lengths),
        scored,
        max(lengths),
        window,
        heads,
        _versions(),
    )


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("transformers", "torch")}


def _core_of(opened: Model, precision: str, kernel: str | None) -> Core:
    """The model in that precision: as it is opened, or opened anew beside it."""
    if opened.precision == precision and kernel in (None, opened.kernel):
        return opened.core
    return Core(opened.path, precision, kernel)


def _open_reference(path: str) -> Reference:
    try:
        from attninfluence.verify.reference import Reference
    except ImportError as error:
        raise ImportError(
            "comparing with transformers needs torch and transformers: "
            f'pip install "attninfluence[verify]" ({error})'
        ) from error
    try:
        with for_libraries():
            return Reference(path)
    except (RuntimeError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"transformers cannot open {path!r}: {error}") from error


def choose_heads(n_layers: int, n_heads: int, seed: int) -> NDArray[np.bool_]:
    """bool[n_layers, n_heads], True for a random 5 % of the heads, at least one."""
    count = math.ceil(n_layers * n_heads * MASKED_SHARE)
    chosen = np.random.default_rng(seed).permutation(n_layers * n_heads)[:count]
    masked = np.zeros(n_layers * n_heads, dtype=np.bool_)
    masked[chosen] = True
    return masked.reshape(n_layers, n_heads)


@dataclass(frozen=True)
class _Read:
    """One document in one reading: its losses [T - 1] and logits [T, vocab]."""

    losses: NDArray[np.float32]
    logits: NDArray[np.float32]


@dataclass
class _Gaps:
    """Differences of one core in one reading, and the documents' mean losses (ours, theirs)."""

    losses: list[NDArray[np.float64]] = field(default_factory=list)
    logits: float = 0.0
    means: list[tuple[float, float]] = field(default_factory=list)

    def add(self, ours: _Read, theirs: _Read) -> None:
        self.losses.append(gap(ours.losses, theirs.losses))
        self.logits = max(self.logits, _largest_gap(ours.logits, theirs.logits))
        self.means.append((mean_loss(ours.losses), mean_loss(theirs.losses)))


def compare(
    cores: Sequence[Core],
    reference: Reference,
    documents: Sequence[NDArray[np.int32]],
    masked: NDArray[np.bool_],
    threads: int = 1,
    progress: bool = False,
) -> list[Difference]:
    """A row for each core and reading; those of fp32 have the reference's noise floor.

    transformers reads every document once a reading, and for fp32 again with each draw of noise in
    its weights. Two sets of one document's logits are in memory at a time. threads: of ours.
    progress: show a bar on stderr.
    """
    gaps = {(at, name): _Gaps() for at in range(len(cores)) for name in READINGS}
    exact: dict[str, list[NDArray[np.float32]]] = {name: [] for name in READINGS}
    draws = SEEDS if any(core.precision == "fp32" for core in cores) else 0
    total = len(documents) * len(READINGS) * (1 + draws)
    with ProgressBar("verify", total=total, unit="reading", enabled=progress) as bar:
        for ids, name in product(documents, READINGS):
            theirs = _theirs(reference, ids, masked, name)
            exact[name].append(theirs.losses)
            for at, core in enumerate(cores):
                gaps[at, name].add(_ours(core, ids, masked, name, threads), theirs)
            bar.update(1)

        def read(name: str, at: int) -> NDArray[np.float32]:
            bar.update(1)
            return _theirs(reference, documents[at], masked, name).losses

        floors = noise_floors(reference, exact, read) if draws else {}
    return [
        _difference(core, name, gaps[at, name], gaps[at, "base"], floors.get(name))
        for at, core in enumerate(cores)
        for name in READINGS
    ]


def _theirs(
    reference: Reference, ids: NDArray[np.int32], masked: NDArray[np.bool_], name: str
) -> _Read:
    read = reference.read(ids) if name == "base" else reference.read(ids, masked, name)
    return _Read(read.losses, read.logits)


def _ours(
    core: Core, ids: NDArray[np.int32], masked: NDArray[np.bool_], name: str, threads: int
) -> _Read:
    if name == "base":
        return _Read(core.run([ids], n_threads=threads)[0][0], core.logits(ids, n_threads=threads))
    variants = masked[np.newaxis]
    losses = core.run([ids], variants=variants, mask=name, n_threads=threads)[0][1]
    return _Read(losses, core.logits(ids, masked, name, threads))


def _difference(core: Core, name: str, gaps: _Gaps, base: _Gaps, floor: float | None) -> Difference:
    losses = np.concatenate(gaps.losses)
    score = None if name == "base" else _largest_score_gap(base.means, gaps.means)
    largest, mean = float(losses.max()), float(losses.mean())
    noise = floor if core.precision == "fp32" else None
    return Difference(core.precision, core.kernel, name, largest, mean, gaps.logits, score, noise)


def _largest_gap(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest `gap` of two matrices, row by row."""
    return max(float(gap(a, b).max()) for a, b in zip(ours, theirs, strict=True))


def _largest_score_gap(
    base: Sequence[tuple[float, float]], changed: Sequence[tuple[float, float]]
) -> float:
    """Over the documents whose score is a number in both."""
    gaps = [
        abs(relative_rise(ours, our_rise) - relative_rise(theirs, their_rise))
        for (ours, theirs), (our_rise, their_rise) in zip(base, changed, strict=True)
    ]
    return max((gap for gap in gaps if not math.isnan(gap)), default=math.nan)
