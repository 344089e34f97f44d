"""What a model gives here beside what transformers gives for it, in fp32 and eager.

The same documents are read by both: as they are, and with the same heads masked. transformers'
side is `attninfluence.reference`, the only module of the package that needs torch.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence import _core
from attninfluence.base.progress import ProgressBar
from attninfluence.base.whole_number import as_whole_number
from attninfluence.model.model import Model
from attninfluence.model.opening import load
from attninfluence.scores.losses import mean_loss, relative_rise

if TYPE_CHECKING:
    from attninfluence.reference import Reference

PRECISIONS = ("fp32", "bf16", "int8")
READINGS = ("base", "uniform", "zero")

# Nats: in fp32 what the loss of any token may differ by, else what losses may on average. bf16 and
# int8 round every factor of every product: single tokens then move by several times the mean, and
# in a mixture of experts by up to a nat, where rounding sends one to another expert.
BOUNDS = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.2}

MASKED_SHARE = 0.05

# Tokens of the longest document: past any window of up to WIDEST_WINDOW keys by PAST_WINDOW rows.
LONGEST = 640
WIDEST_WINDOW = 1024
PAST_WINDOW = 128
RANDOM_LENGTHS = (2, 33, 160)

TEXTS = (
    "The lighthouse keeper wrote down the hour, the wind and the ships, as he had every evening "
    "for thirty years, and then he put out the lamp in the kitchen.",
    "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n"
    "    if len(ordered) % 2:\n        return ordered[middle]\n"
    "    return (ordered[middle - 1] + ordered[middle]) / 2\n",
    "If 3x + 7 = 22, then 3x = 15 and x = 5. Check: 3 * 5 + 7 = 15 + 7 = 22.",
    "Größe, naïveté, Ærø \u2014 東京は夜の七時。 Привет, мир! \N{SNOWMAN}",
)
NAMES = ("Ada", "Boris", "Chidi", "Dolores", "Emre", "Fatima", "Goran")
FRUITS = ("pears", "plums", "quinces", "figs", "cherries")
TOKENS_OF_AN_ENTRY = 8  # at least, of any tokenizer


def long_text(n_tokens: int) -> str:
    """Entries of a list, much alike, of at least that many tokens."""
    entries = [
        f"Entry {n}: {NAMES[n % len(NAMES)]} brought {n * 7 % 13 + 2} baskets of "
        f"{FRUITS[n % len(FRUITS)]} and took {n % 4} home."
        for n in range(-(-n_tokens // TOKENS_OF_AN_ENTRY))
    ]
    return "\n".join(entries)


@dataclass(frozen=True)
class Difference:
    """Losses of one reading in one precision, against transformers' fp32.

    Attributes:
        largest: the largest difference of a token's loss, without its sign, in nats.
        mean: the mean of these differences over all tokens, in nats.
        logits: the largest difference of a logit.
        score: the largest difference of a document's score; None in the base reading.
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
    """All differences, and what they were found on.

    Attributes:
        documents: how many were read.
        tokens: how many were scored.
        longest: tokens of the longest document.
        window: keys that a row of a windowed layer sees; 0 where that is no fewer than the context
            has.
        heads: those masked.
        versions: of transformers and torch.
    """

    rows: tuple[Difference, ...]
    documents: int
    tokens: int
    longest: int
    window: int
    heads: tuple[tuple[int, int], ...]
    versions: dict[str, str]

    @property
    def is_window_passed(self) -> bool:
        """Whether some row had more before it than its window, so that the window mattered."""
        return not self.window or self.longest > self.window

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
        return {
            "documents": self.documents,
            "tokens": self.tokens,
            "longest": self.longest,
            "window": self.window,
            "window_passed": self.is_window_passed,
            "heads": [list(head) for head in self.heads],
            "versions": self.versions,
            "rows": [{k: _finite(v) for k, v in row.items()} for row in rows],
        }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verify(
    model: Model | str | os.PathLike[str] | None,
    precisions: Sequence[str] = PRECISIONS,
    seed: int = 0,
    *,
    length: int | None = None,
    kernel: str | None = None,
    progress: bool = False,
) -> ErrorTable:
    """Compare a model with transformers (fp32, eager attention, one unpadded document at a time).

    Documents are built-in texts by the model's own tokenizer, or random ids where it has none;
    the masked heads are a random 5 % (at least one), masked either way (METHOD.md section 3).

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
            open the folder. `load` raises the rest.
    """
    wrong = [name for name in precisions if name not in PRECISIONS]
    if wrong or not precisions:
        raise ValueError(f"precisions must be of {', '.join(PRECISIONS)}, got {list(precisions)}")
    opened = model if isinstance(model, Model) else load(model, precision=precisions[0])
    documents = make_documents(opened, length)
    reference = _open_reference(opened.path)
    masked = choose_heads(opened.n_layers, opened.n_heads, seed)
    cores = [_core_of(opened, precision, kernel) for precision in precisions]
    rows = compare(cores, reference, documents, masked, opened.threads, progress)
    heads = tuple((int(layer), int(head)) for layer, head in np.argwhere(masked))
    lengths = [len(ids) for ids in documents]
    scored = sum(lengths) - len(lengths)
    window = opened.core.window if opened.core.window < opened.context else 0
    return ErrorTable(tuple(rows), len(lengths), scored, max(lengths), window, heads, _versions())


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("transformers", "torch")}


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
    try:
        return Reference(path)
    except (RuntimeError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"transformers cannot open {path!r}: {error}") from error


def make_documents(model: Model, length: int | None = None) -> list[NDArray[np.int32]]:
    """Documents of 2 tokens or more, the longest of `length` (`verify`)."""
    length = _check_length(model, length)
    if model.has_tokenizer:
        texts = (*TEXTS, long_text(length))
        found = [encoding.ids for encoding in model.tokenizer.encode(texts, offsets=False)]
    else:
        draw, lengths = np.random.default_rng(0).integers, (*RANDOM_LENGTHS, length)
        found = [draw(0, model.vocab_size, n, dtype=np.int32) for n in lengths]
    return [ids[:length] for ids in found if len(ids) >= 2]


def _check_length(model: Model, length: int | None) -> int:
    """`length`, or what None stands for; ValueError outside 2..context."""
    if length is None:
        window = model.core.window
        past = window + PAST_WINDOW if window <= WIDEST_WINDOW else 0
        return min(max(LONGEST, past), model.context)
    length = as_whole_number("length", length)
    if not 2 <= length <= model.context:
        raise ValueError(
            f"length must be 2..{model.context} tokens, up to the model's context, got {length}"
        )
    return length


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
    progress: bool = False,
) -> list[Difference]:
    """A row for each core and reading; transformers reads every document once a reading.

    Two sets of one document's logits are in memory at a time. threads: of ours. progress: show
    a bar on stderr.
    """
    tallies = {(at, name): _Tally() for at in range(len(cores)) for name in READINGS}
    total = len(documents) * len(READINGS)
    with ProgressBar("verify", total=total, unit="reading", enabled=progress) as bar:
        for ids, name in product(documents, READINGS):
            theirs = _theirs(reference, ids, masked, name)
            for at, core in enumerate(cores):
                tallies[at, name].add(_ours(core, ids, masked, name, threads), theirs)
            bar.update(1)
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
