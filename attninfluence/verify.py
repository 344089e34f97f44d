"""What a model gives here beside what transformers gives for it, in fp32 and eager.

The same documents are read by both: as they are, and with the same heads masked. transformers'
side is `attninfluence.reference`, the only module of the package that needs torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence import _core
from attninfluence.losses import mean_loss, relative_rise
from attninfluence.model import Model, load

if TYPE_CHECKING:
    from attninfluence.reference import Reference

PRECISIONS = ("fp32", "bf16", "int8")
READINGS = ("base", "uniform", "zero")

# Nats: in fp32 what the loss of any token may differ by, else what losses may on average. bf16 and
# int8 round every factor of every product: single tokens then move by several times the mean, and
# in a mixture of experts by up to a nat, where rounding sends one to another expert.
BOUNDS = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.2}

MASKED_SHARE = 0.05
RANDOM_LENGTHS = (2, 33, 160, 600)

TEXTS = (
    "The lighthouse keeper wrote down the hour, the wind and the ships, as he had every evening "
    "for thirty years, and then he put out the lamp in the kitchen.",
    "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n"
    "    if len(ordered) % 2:\n        return ordered[middle]\n"
    "    return (ordered[middle - 1] + ordered[middle]) / 2\n",
    "If 3x + 7 = 22, then 3x = 15 and x = 5. Check: 3 * 5 + 7 = 15 + 7 = 22.",
    "Größe, naïveté, Ærø \u2014 東京は夜の七時。 Привет, мир! \N{SNOWMAN}",
    "\n".join(
        f"Entry {n}: {name} brought {n * 7 % 13 + 2} baskets of {fruit} and took {n % 4} home."
        for n, (name, fruit) in enumerate(
            zip(
                ["Ada", "Boris", "Chidi", "Dolores", "Emre", "Fatima", "Goran"] * 4,
                ["pears", "plums", "quinces", "figs", "cherries"] * 5,
                strict=False,
            )
        )
    ),
)


@dataclass(frozen=True)
class Difference:
    """Losses of one reading in one precision, against transformers' fp32.

    largest, mean: of |difference| over all tokens, in nats. logits: the largest |difference| of
    a logit. score: of a document's score, None in the base reading.
    """

    precision: str
    kernel: str
    reading: str
    largest: float
    mean: float
    logits: float
    score: float | None

    @property
    def bound(self) -> float:
        """What `largest` may be in fp32, `mean` otherwise, in nats."""
        return BOUNDS[self.precision]

    @property
    def is_within(self) -> bool:
        return (self.largest if self.precision == "fp32" else self.mean) <= self.bound


@dataclass(frozen=True)
class ErrorTable:
    """All differences, and what they were found on: documents, scored tokens, masked heads."""

    rows: tuple[Difference, ...]
    documents: int
    tokens: int
    heads: tuple[tuple[int, int], ...]

    @property
    def excess(self) -> str:
        """A sentence on the first row beyond its bound; empty where there is none."""
        for row in self.rows:
            if not row.is_within:
                exact = row.precision == "fp32"
                found = (
                    f"up to {row.largest:.3g} nat" if exact else f"{row.mean:.3g} nat on average"
                )
                return (
                    f"the {row.reading} losses in {row.precision} differ from transformers by "
                    f"{found}, expected at most {row.bound:g}"
                )
        return ""

    def as_dict(self) -> dict[str, Any]:
        """In JSON values; None for what is not finite."""
        rows = [asdict(row) | {"bound": row.bound, "within": row.is_within} for row in self.rows]
        finite = [{k: _finite(v) for k, v in row.items()} for row in rows]
        heads = [list(head) for head in self.heads]
        return {
            "documents": self.documents,
            "tokens": self.tokens,
            "heads": heads,
            "rows": finite,
        }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verify(
    model: Model | str | os.PathLike[str] | None,
    precisions: Sequence[str] = PRECISIONS,
    seed: int = 0,
    *,
    kernel: str | None = None,
) -> ErrorTable:
    """Compare a model with transformers (fp32, eager attention, one unpadded document at a time).

    model: opened, or what `load` takes. precisions: to open it in. kernel: as in `load`.
    Documents are built-in texts by the model's own tokenizer, or random ids where it has none,
    cut to its context; the masked heads are a random 5 % (at least one), masked either way
    (METHOD.md section 3).

    ImportError, saying what to install, without torch and transformers; ValueError for a
    precision that is none; otherwise as `load`, and whatever transformers raises for the folder.
    """
    wrong = [name for name in precisions if name not in PRECISIONS]
    if wrong or not precisions:
        raise ValueError(f"precisions must be of {', '.join(PRECISIONS)}, got {list(precisions)}")
    opened = model if isinstance(model, Model) else load(model, precision=precisions[0])
    reference = _open_reference(opened.path)
    documents = make_documents(opened)
    masked = choose_heads(opened.n_layers, opened.n_heads, seed)
    cores = [_core_of(opened, precision, kernel) for precision in precisions]
    rows = compare(cores, reference, documents, masked, opened.threads)
    heads = tuple((int(layer), int(head)) for layer, head in np.argwhere(masked))
    return ErrorTable(tuple(rows), len(documents), sum(len(ids) - 1 for ids in documents), heads)


def _core_of(opened: Model, precision: str, kernel: str | None) -> _core.Model:
    """The model in that precision: as it is opened, or opened anew beside it."""
    if opened.precision == precision and kernel in (None, opened.kernel):
        return opened.core
    return _core.Model(opened.path, precision, kernel)


def _open_reference(path: str) -> Reference:
    try:
        from attninfluence.reference import Reference
    except ImportError as error:
        raise ImportError(
            "comparing with transformers needs torch and transformers: "
            f'pip install "attninfluence[verify]" ({error})'
        ) from error
    return Reference(path)


def make_documents(model: Model) -> list[NDArray[np.int32]]:
    """Documents of 2 tokens or more and at most the model's context."""
    if model.has_tokenizer:
        found = [encoding.ids for encoding in model.tokenizer.encode(TEXTS, offsets=False)]
    else:
        draw = np.random.default_rng(0).integers
        found = [draw(0, model.vocab_size, n, dtype=np.int32) for n in RANDOM_LENGTHS]
    return [ids[: model.context] for ids in found if len(ids) >= 2]


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
class _Tally:
    """Differences of one core in one reading, and the documents' mean losses (ours, theirs)."""

    gaps: list[NDArray[np.float64]] = field(default_factory=list)
    logits: float = 0.0
    means: list[tuple[float, float]] = field(default_factory=list)

    def add(self, ours: _Read, theirs: _Read) -> None:
        self.gaps.append(_gap(ours.losses, theirs.losses))
        self.logits = max(self.logits, _largest_gap(ours.logits, theirs.logits))
        self.means.append((mean_loss(ours.losses), mean_loss(theirs.losses)))


def compare(
    cores: Sequence[_core.Model],
    reference: Reference,
    documents: Sequence[NDArray[np.int32]],
    masked: NDArray[np.bool_],
    threads: int = 1,
) -> list[Difference]:
    """A row for each core and reading; transformers reads every document once a reading.

    Two sets of one document's logits are in memory at a time. threads: of ours.
    """
    tallies = {(at, name): _Tally() for at in range(len(cores)) for name in READINGS}
    for ids in documents:
        for name in READINGS:
            theirs = _theirs(reference, ids, masked, name)
            for at, core in enumerate(cores):
                tallies[at, name].add(_ours(core, ids, masked, name, threads), theirs)
    return [
        _difference(core, name, tallies[at, name], tallies[at, "base"])
        for at, core in enumerate(cores)
        for name in READINGS
    ]


def _theirs(
    reference: Reference, ids: NDArray[np.int32], masked: NDArray[np.bool_], name: str
) -> _Read:
    read = reference.read(ids) if name == "base" else reference.read(ids, masked, name)
    return _Read(read.losses, read.logits)


def _ours(
    core: _core.Model, ids: NDArray[np.int32], masked: NDArray[np.bool_], name: str, threads: int
) -> _Read:
    if name == "base":
        return _Read(core.run([ids], n_threads=threads)[0][0], core.logits(ids, n_threads=threads))
    variants = masked[np.newaxis]
    losses = core.run([ids], variants=variants, mask=name, n_threads=threads)[0][1]
    return _Read(losses, core.logits(ids, masked, name, threads))


def _difference(core: _core.Model, name: str, tally: _Tally, base: _Tally) -> Difference:
    losses = np.concatenate(tally.gaps)
    score = None if name == "base" else _largest_score_gap(base.means, tally.means)
    largest, mean = float(losses.max()), float(losses.mean())
    return Difference(core.precision, core.kernel, name, largest, mean, tally.logits, score)


def _gap(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """|ours - theirs|; infinite where either is no number."""
    gap: NDArray[np.float64] = np.abs(ours.astype(np.float64) - theirs)
    return np.where(np.isnan(gap), np.inf, gap)


def _largest_gap(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest `_gap` of two matrices, row by row."""
    return max(float(_gap(a, b).max()) for a, b in zip(ours, theirs, strict=True))


def _largest_score_gap(
    base: Sequence[tuple[float, float]], changed: Sequence[tuple[float, float]]
) -> float:
    """Over the documents whose score is a number in both."""
    gaps = [
        abs(relative_rise(ours, our_rise) - relative_rise(theirs, their_rise))
        for (ours, theirs), (our_rise, their_rise) in zip(base, changed, strict=True)
    ]
    return max((gap for gap in gaps if not math.isnan(gap)), default=math.nan)
