"""How fast a model scores on this machine: document tokens a second, and what a corpus would take.

Random token ids are read as `score` reads documents, once with and once without masked heads, and
each token counts once. The time depends on the lengths of the documents and on the layer of the
first masked head, not on which tokens they are. Tokenising is not in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attninfluence.scoring.reader import CHUNK_TOKENS_PER_THREAD

if TYPE_CHECKING:
    from attninfluence._core import Model as Core
    from attninfluence.heads.pairs import Head
    from attninfluence.model.chosen_heads import Heads
    from attninfluence.model.model import Model

MEAN_LENGTH = 550
LENGTH_SPREAD = 0.6
RANDOM_SHARE = 0.05
WARM_UP_SHARE = 0.1
SHORTEST = 2
HOURS_A_YEAR = 8760

Ids = NDArray[np.int32]


class MaskedHeads(NamedTuple):
    """The heads that the second reading masks, and where they come from."""

    pairs: tuple[Head, ...]
    origin: str

    @property
    def first_layer(self) -> int:
        return min(layer for layer, _ in self.pairs)


@dataclass(frozen=True)
class Speed:
    """What was measured. A core is one of the CPUs that the threads ran on.

    lengths: tokens of each document read. seconds: of reading them, `calls` calls in all.
    flop: floating-point operations of that, by `count_flop`.
    """

    precision: str
    kernel: str
    threads: int
    lengths: tuple[int, ...]
    calls: int
    seconds: float
    flop: float

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def tokens_per_second_per_core(self) -> float:
        return self.tokens_per_second / self.threads

    @property
    def gflops(self) -> float:
        return self.flop / self.seconds / 1e9

    def as_dict(self) -> dict[str, Any]:
        """The measurement and its rates in JSON values."""
        return {
            "precision": self.precision,
            "kernel": self.kernel,
            "documents": len(self.lengths),
            "tokens": self.tokens,
            "mean_length": self.tokens / len(self.lengths),
            "longest": max(self.lengths),
            "calls": self.calls,
            "seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "tokens_per_second_per_core": self.tokens_per_second_per_core,
            "gflops": self.gflops,
            "gflops_per_core": self.gflops / self.threads,
        }


class Cost(NamedTuple):
    """What it takes to score a corpus: core-hours, years of one core, and a range in USD."""

    core_hours: float
    core_years: float
    usd: tuple[float, float]

    def days(self, cores: int) -> float:
        """Days that it takes so many cores, when all of them always have work."""
        return self.core_hours / cores / 24


def measure(
    model: Model,
    heads: MaskedHeads,
    *,
    seconds: float = 20.0,
    mean_length: int | None = None,
    seed: int = 0,
) -> Speed:
    """Read documents for about `seconds`, after a warm-up of about a tenth of that.

    mean_length: tokens of a document on average, before lengths are cut to the model's context;
    None is 550, or the context where that is shorter. Calls are as large as those of `score`,
    or as large as the time allows.

    ValueError for a number of seconds that is not positive or a mean length outside 2..context.
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError(f"seconds must be a positive number, got {seconds}")
    documents = random_documents(model.vocab_size, model.context, mean_length, seed)
    reader = _Reader(model, model.mask_matrix(heads.pairs)[np.newaxis])
    rate = _warm_up(reader, WARM_UP_SHARE * seconds, seed)
    chunk_tokens = min(CHUNK_TOKENS_PER_THREAD * model.threads, max(1, int(rate * seconds)))
    lengths: list[int] = []
    calls, spent, last = 0, 0.0, 0.0
    while not calls or spent + last / 2 < seconds:
        chunk = _chunk(documents, chunk_tokens)
        last = reader.time(chunk)
        spent += last
        calls += 1
        lengths += map(len, chunk)
    flop = count_flop(model.core, lengths, heads.first_layer)
    return Speed(model.precision, model.kernel, model.threads, tuple(lengths), calls, spent, flop)


def measure_quickly(model: Model, heads: MaskedHeads, seconds: float = 0.5, seed: int = 0) -> float:
    """Document tokens a second, about: of the last of calls that double in size, from 16 tokens a
    thread, until one takes half of `seconds`.
    """
    return _warm_up(_Reader(model, model.mask_matrix(heads.pairs)[np.newaxis]), seconds, seed)


def choose_heads(model: Model, heads: Heads | None, seed: int = 0) -> MaskedHeads:
    """The heads given, else the model's own, else 5 % of all heads at random.

    Random heads do where only the time matters: what counts is the layer of the first one.
    ModelError for heads of another model, ValueError for none.
    """
    from attninfluence.model.chosen_heads import as_head_list

    if heads is not None:
        pairs = as_head_list(heads, model)
        if not pairs:
            raise ValueError("at least one head must be masked for a second reading to time")
        return MaskedHeads(pairs, "given")
    if model.heads is not None:
        return MaskedHeads(as_head_list(None, model), "heads.json")
    total = model.n_layers * model.n_heads
    count = math.ceil(total * RANDOM_SHARE)
    drawn = np.random.default_rng(seed).choice(total, count, replace=False)
    pairs = tuple(divmod(int(index), model.n_heads) for index in np.sort(drawn))
    return MaskedHeads(pairs, "random")


def random_documents(
    vocab_size: int, context: int, mean_length: int | None = None, seed: int = 0
) -> Iterator[Ids]:
    """Documents of random ids without end; log-normal lengths within 2..context.

    ValueError for a mean length outside 2..context.
    """
    mean = min(MEAN_LENGTH, context) if mean_length is None else mean_length
    if not SHORTEST <= mean <= context:
        raise ValueError(
            f"the mean length must be {SHORTEST}..{context} tokens, up to the model's context, "
            f"got {mean}"
        )
    # The mean of a log-normal variable is exp(mu + sigma^2 / 2).
    mu = math.log(mean) - LENGTH_SPREAD**2 / 2
    return _documents(np.random.default_rng(seed), vocab_size, context, mu)


def _documents(
    generator: np.random.Generator, vocab_size: int, context: int, mu: float
) -> Iterator[Ids]:
    while True:
        length = round(float(np.exp(generator.normal(mu, LENGTH_SPREAD))))
        n_tokens = min(max(length, SHORTEST), context)
        yield generator.integers(0, vocab_size, n_tokens, dtype=np.int32)


def count_flop(core: Core, lengths: Sequence[int], first_masked_layer: int) -> float:
    """Floating-point operations of a base and a reference reading, a multiply-add being two.

    For a document of S tokens and a model of L layers, h query heads of dimension e, hidden size d,
    vocabulary V, and w weights of matrices that a token meets in a layer:

        layer   = 2 w S  +  4 h e (keys that the S rows see)
        reading = L * layer  +  (S - 1) * 2 d V

    The layers below the first masked head are computed once for both readings and count once.
    A row sees itself and what is before it, within the window in a layer that has one; the last
    token predicts nothing. Where layers differ, each counts as their mean.
    """
    tokens, layers = sum(lengths), core.n_layers
    windowed = core.n_windowed_layers / layers
    seen = (1 - windowed) * sum(_count_seen(n, n) for n in lengths)
    seen += windowed * sum(_count_seen(n, core.window or n) for n in lengths)
    layer = 2.0 * core.layer_weights / layers * tokens + 4.0 * core.n_heads * core.head_dim * seen
    head = 2.0 * core.hidden_size * core.vocab_size * (tokens - len(lengths))
    return (2 * layers - first_masked_layer) * layer + 2 * head


def _count_seen(n_tokens: int, window: int) -> int:
    """Keys that the rows of a document see, summed over its rows."""
    inside = min(n_tokens, window)
    return inside * (inside + 1) // 2 + (n_tokens - inside) * window


def estimate(tokens: int, speed: Speed, price: tuple[float, float]) -> Cost:
    """What `tokens` document tokens take at that speed; `price` is a range in USD a core-hour."""
    core_hours = tokens / speed.tokens_per_second_per_core / 3600
    return Cost(
        core_hours, core_hours / HOURS_A_YEAR, (core_hours * price[0], core_hours * price[1])
    )


class _Reader:
    """A model with the heads to mask, and a clock."""

    def __init__(self, model: Model, variants: NDArray[np.bool_]) -> None:
        self.model, self.variants = model, variants

    def time(self, documents: Sequence[Ids]) -> float:
        """Seconds that both readings of the documents take."""
        started = time.perf_counter()
        self.model.core.run(documents, variants=self.variants, n_threads=self.model.threads)
        return max(time.perf_counter() - started, 1e-9)


def _chunk(documents: Iterator[Ids], n_tokens: int) -> list[Ids]:
    """Documents until they have at least `n_tokens` tokens, as `score` gathers them."""
    chunk = [next(documents)]
    total = len(chunk[0])
    while total < n_tokens:
        chunk.append(next(documents))
        total += len(chunk[-1])
    return chunk


def _warm_up(reader: _Reader, seconds: float, seed: int) -> float:
    """Tokens a second of the last of calls that double in size until one is long enough.

    A first call of a few tokens, since a slow kernel may take a second for each of them.
    """
    model, generator = reader.model, np.random.default_rng(seed)
    longest, enough = min(MEAN_LENGTH, model.context), CHUNK_TOKENS_PER_THREAD * model.threads
    length, count = min(16, longest), model.threads
    while True:
        ids = generator.integers(0, model.vocab_size, (count, length), dtype=np.int32)
        taken = reader.time(list(ids))
        if taken >= seconds / 2 or count * length >= enough:
            return count * length / taken
        count *= 1 if length < longest else 2
        length = min(2 * length, longest)
