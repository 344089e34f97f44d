"""The quantile sketch: its stated error, that it merges, stores and repeats, and its size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.base.quantiles import K, QuantileSketch

BOUND = 0.001
Floats = np.ndarray


def largest_error(sketch: QuantileSketch, values: Floats, weights: Floats) -> float:
    """The largest error of a rank over all values, by sorting them all."""
    order = np.argsort(values)
    distinct, last = np.unique(values[order][::-1], return_index=True)
    upto = np.cumsum(weights[order])[len(values) - 1 - last]
    found = np.array([sketch.rank(value) for value in distinct[:: max(1, len(distinct) // 4000)]])
    return float(np.abs(upto[:: max(1, len(distinct) // 4000)] / upto[-1] - found).max())


def zigzag(generator: np.random.Generator, n: int) -> Floats:
    """Each value outside all those before it, above and below in turn."""
    return np.where(np.arange(n) % 2, 1.0, -1.0) * np.arange(n)


STREAMS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "random": lambda generator, n: generator.normal(size=n),
    "sorted": lambda generator, n: np.sort(generator.normal(size=n)),
    "reversed": lambda generator, n: -np.sort(generator.normal(size=n)),
    "constant": lambda generator, n: np.zeros(n),
    "ties": lambda generator, n: generator.integers(0, 20, n).astype(float),
    "half tied": lambda generator, n: np.maximum(generator.normal(size=n), 0),
    "zigzag": zigzag,
}
WEIGHTS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "one each": lambda generator, n: np.ones(n, np.int64),
    "lognormal": lambda generator, n: generator.lognormal(6, 1.5, n).astype(np.int64) + 1,
    "pareto": lambda generator, n: np.minimum(10 * generator.pareto(1, n) + 1, 1e12).astype(int),
    "one giant": lambda generator, n: np.where(np.arange(n) == n // 2, 2**30, 1),
}


@pytest.mark.parametrize("n", [10_000, 300_000])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("stream", STREAMS)
def test_ranks_keep_within_the_stated_error(stream, weight, n):
    generator = np.random.default_rng(n)
    values, weights = STREAMS[stream](generator, n), WEIGHTS[weight](generator, n)
    sketch = QuantileSketch()
    for start in range(0, n, 7000):
        sketch.update(values[start : start + 7000], weights[start : start + 7000])
    assert (sketch.count, sketch.weight) == (n, weights.sum())
    error = largest_error(sketch, values, weights)
    assert error <= (sketch.error and BOUND) <= BOUND
    assert (sketch.error == 0) == (n <= K)


@pytest.mark.parametrize("stream", STREAMS)
def test_two_million_values_keep_within_the_error_whole_and_in_200_pieces(stream):
    n = 2_000_000
    values = STREAMS[stream](np.random.default_rng(1), n)
    sketch, merged = QuantileSketch(), QuantileSketch()
    sketch.update(values)
    for piece in np.array_split(values, 200):
        task = QuantileSketch()  # of the same seed, as tasks are
        task.update(piece)
        merged.merge(task)
    ones = np.ones(n, np.int64)
    assert largest_error(sketch, values, ones) < BOUND / 3
    assert largest_error(merged, values, ones) < BOUND / 3
    assert (merged.count, merged.weight) == (n, n)


def adversarial_pieces(n: int) -> list[Floats]:
    """Pieces as unlike as can be: shifted, of one value, tiny, huge, alternating far apart."""
    generator = np.random.default_rng(2)
    pieces = [generator.normal(loc=(-1) ** i * i, size=1 + 37 * i) for i in range(120)]
    pieces += [np.full(5 + 31 * i, float(i)) for i in range(60)]
    pieces += [np.sort(generator.pareto(0.5, n)), -np.sort(generator.pareto(0.5, n))]
    return [*pieces, *(np.array([1e300 * (-1) ** i]) for i in range(18))]


@pytest.mark.parametrize("shape", ["chain", "tree", "backwards"])
def test_merges_of_unlike_pieces_in_any_shape(shape):
    pieces = adversarial_pieces(200_000)
    sketches = []
    for piece in pieces:
        sketches.append(QuantileSketch())
        sketches[-1].update(piece)
    if shape == "backwards":
        sketches.reverse()
    while len(sketches) > 1:
        if shape == "tree":
            for one, other in zip(sketches[::2], sketches[1::2], strict=False):
                one.merge(other)
            sketches = sketches[::2]
        else:
            sketches[0].merge(sketches.pop(1))
    values = np.concatenate(pieces)
    assert sketches[0].count == len(values) and len(pieces) == 200
    assert largest_error(sketches[0], values, np.ones(len(values), np.int64)) < BOUND


def test_places_are_chosen_anew_so_that_errors_cancel(monkeypatch):
    """The mean error over many streams is near 0, and is not where one place is always taken."""

    def mean_error() -> float:
        errors = []
        for seed in range(60):
            sketch = QuantileSketch(k=64, seed=seed)
            sketch.update(np.random.default_rng(seed).permutation(20_000))
            errors.append(sketch.rank(9999.5) - 0.5)
        return abs(float(np.mean(errors)))

    fair = mean_error()
    monkeypatch.setattr(QuantileSketch, "_offset", lambda self, values: 0)
    assert fair < 0.005 < 0.03 < mean_error()


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([-1.5, 0.0, 2.0, math.inf]) | st.floats(-9, 9), st.integers(0, 9)
        ),
        max_size=40,
    ),
    share=st.fractions(0, 1, max_denominator=40),
)
def test_it_is_exact_while_it_holds_everything(rows, share):
    sketch = QuantileSketch(k=40)
    for value, weight in rows:
        sketch.update([value], np.array([weight]))
    held = sorted(value for value, weight in rows for _ in range(weight))
    assert (sketch.weight, sketch.error) == (len(held), 0.0)
    if not held:
        return
    wanted = next(v for i, v in enumerate(held) if i + 1 >= float(share) * len(held))
    assert sketch.quantile(float(share)) == wanted
    for value, _ in rows:
        assert sketch.rank(value) == sum(v <= value for v in held) / len(held)


def fed(n: int, seed: int = 0, batch: int = 999) -> QuantileSketch:
    generator = np.random.default_rng(n)
    values, weights = generator.normal(size=n), generator.integers(1, 99, n)
    sketch = QuantileSketch(k=256, seed=seed)
    for start in range(0, n, batch):
        sketch.update(values[start : start + batch], weights[start : start + batch])
    return sketch


def test_the_same_values_and_seed_give_the_same_sketch():
    assert fed(20_000).to_bytes() == fed(20_000).to_bytes()
    assert fed(20_000).to_bytes() != fed(20_000, seed=1).to_bytes()


@pytest.mark.parametrize("n", [0, 1, 200, 20_000])
def test_bytes_give_the_sketch_back_and_it_goes_on_the_same(n):
    sketch = fed(n)
    again = QuantileSketch.from_bytes(sketch.to_bytes())
    assert again.to_bytes() == sketch.to_bytes()
    for one in (sketch, again):
        one.update(np.linspace(-1, 1, 5000))
        one.merge(fed(3000))
    assert again.to_bytes() == sketch.to_bytes()
    assert again.quantile(0.3) == sketch.quantile(0.3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b"x" + b,
        lambda b: b[:-8],
        lambda b: b[:-3],
        lambda b: b + b"\0" * 8,
        lambda b: b"",
        lambda b: b[:40],
    ],
)
def test_damaged_bytes_are_refused(spoil):
    with pytest.raises(ValueError, match="quantile sketch"):
        QuantileSketch.from_bytes(spoil(fed(2000).to_bytes()))


def head_and_body(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    magic, text, body = data.split(b"\n", 2)
    return json.loads(text), magic, body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", 1 << 60),
        ("k", 0),
        ("k", "16384"),
        ("seed", 1 << 63),
        ("count", -1),
        ("weight", 1 << 63),
        ("weight", None),
        ("compactions", 0.5),
        ("sizes", []),
        ("sizes", {}),
        ("sizes", [-1, 2001]),
        ("sizes", [1 << 32] * 70),
        ("sizes", [0] * 63 + [2000]),
    ],
)
def test_a_head_that_cannot_be_is_refused(name: str, value: Any) -> None:
    head, magic, body = head_and_body(fed(2000).to_bytes())
    head[name] = value
    spoilt = b"\n".join([magic, json.dumps(head).encode(), body])
    with pytest.raises(ValueError, match="a damaged quantile sketch"):
        QuantileSketch.from_bytes(spoilt)


@pytest.mark.parametrize(("at", "value"), [(0, float("nan")), (-1, -1), (-1, 0), (-1, 1 << 62)])
def test_values_that_cannot_be_are_refused(at: int, value: float) -> None:
    head, magic, body = head_and_body(fed(2000).to_bytes())
    numbers = np.frombuffer(body, np.float64 if at == 0 else np.int64).copy()
    numbers[at] = value
    head.pop("crc32", None)  # which tells before the values do
    spoilt = b"\n".join([magic, json.dumps(head).encode(), numbers.tobytes()])
    with pytest.raises(ValueError, match="a damaged quantile sketch"):
        QuantileSketch.from_bytes(spoilt)


@pytest.mark.parametrize("n", [2000, 40_000])
def test_a_changed_bit_is_no_other_value(n: int) -> None:
    head, magic, body = head_and_body(fed(n).to_bytes())
    text = json.dumps(head).encode()
    for at in range(0, len(body), len(body) // 50):
        spoilt = bytearray(body)
        spoilt[at] ^= 1
        with pytest.raises(ValueError, match="a damaged quantile sketch: its values are not"):
            QuantileSketch.from_bytes(b"\n".join([magic, text, spoilt]))


def test_a_sketch_of_before_is_read() -> None:
    sketch = fed(2000)
    head, magic, body = head_and_body(sketch.to_bytes())
    head.pop("crc32", None)
    again = QuantileSketch.from_bytes(b"\n".join([magic, json.dumps(head).encode(), body]))
    assert again.to_bytes() == sketch.to_bytes()


def test_more_weight_than_can_be_counted_is_not_merged() -> None:
    heavy = [QuantileSketch() for _ in range(2)]
    for sketch in heavy:
        sketch.update([0.5], [(1 << 61) + 1])
    with pytest.raises(ValueError, match="more weight than"):
        heavy[0].merge(heavy[1])


def test_merging_leaves_the_other_as_it_is_even_itself():
    one, other = fed(20_000), fed(10_000)
    before = other.to_bytes()
    one.merge(other)
    assert other.to_bytes() == before
    other.merge(other)
    assert (other.count, other.weight) == (20_000, 2 * QuantileSketch.from_bytes(before).weight)


@pytest.mark.parametrize("weight", WEIGHTS)
def test_memory_has_a_bound(weight):
    sketch, generator = QuantileSketch(), np.random.default_rng(0)
    largest = 0
    for _ in range(40):
        sketch.update(generator.normal(size=25_000), WEIGHTS[weight](generator, 25_000))
        largest = max(largest, len(sketch.to_bytes()))
    assert largest < (5 * K + 8 * 64) * 8 + 1000


def test_what_cannot_be_ranked_is_refused_and_changes_nothing():
    sketch = fed(500)
    before = sketch.to_bytes()
    for values, weights, message in (
        ([1.0, math.nan], None, "value 1 is NaN"),
        ([1.0], [-1], "must not be negative, got -1"),
        ([1.0], [1.5], "weights must be integers, got float64"),
        ([1.0, 2.0], [1], r"got \(2,\) and \(1,\)"),
        (1.0, None, r"expected values \[n\]"),
    ):
        with pytest.raises(ValueError, match=message):
            sketch.update(values, weights)
    assert sketch.to_bytes() == before
    with pytest.raises(ValueError, match="unlike k: 256 and 16384"):
        sketch.merge(QuantileSketch())
    for call in (lambda: QuantileSketch().quantile(0.5), lambda: QuantileSketch().rank(0.5)):
        with pytest.raises(ValueError, match="the sketch is empty"):
            call()
    with pytest.raises(ValueError, match=r"a share in \[0, 1\], got 1.5"):
        sketch.quantile(1.5)
    with pytest.raises(ValueError, match="k must be at least 8"):
        QuantileSketch(k=1)
