"""Sums without rounding, against Python's fractions; and the spread of scores made of them."""

from __future__ import annotations

import statistics
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.output.score_runs import open_scores
from attninfluence.select.exact_sums import SCALE, ExactSums, square
from attninfluence.select.order import Order
from attninfluence.select.rows import RowReader
from tests.kit.score_tables import score_row, write_scores

finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 3), finite), max_size=20),
    cut=st.integers(0, 20),
)
def test_sums_are_exact_over_all_of_the_range(numbers, cut):
    sums = ExactSums()
    for piece in (numbers[cut:], numbers[:cut]):
        groups = np.array([group for group, _ in piece], np.int64)
        sums.add(groups, np.array([value for _, value in piece], np.float64))
    for group in range(5):
        exact = sum((Fraction(value) for own, value in numbers if own == group), Fraction(0))
        assert Fraction(sums[group], 1 << SCALE) == exact


@settings(max_examples=200, deadline=None)
@given(value=st.floats(2.0**-400, 2.0**500) | st.floats(-(2.0**500), -(2.0**-400)) | st.just(0.0))
def test_a_square_is_two_numbers(value):
    rounded, rest = square(np.array([value]))
    assert Fraction(float(rounded[0])) + Fraction(float(rest[0])) == Fraction(value) ** 2


SCORES = {
    "normal": lambda generator: generator.normal(size=1500),
    "far from zero": lambda generator: 1e6 + generator.normal(size=1500),
    "heavy tail": lambda generator: generator.pareto(0.5, 1500),
    "equal": lambda generator: np.full(1500, 0.1),
}


@pytest.mark.parametrize("shape", SCORES)
@pytest.mark.parametrize("bottom", [False, True])
def test_the_spread_does_not_depend_on_how_rows_are_divided(tmp_path, shape, bottom):
    """To the last bit, which decides the order of keys that are close."""
    scores = SCORES[shape](np.random.default_rng(0)).tolist()
    rows = [score_row("a", i, domain="xyy"[i % 3], score=score) for i, score in enumerate(scores)]
    found = []
    for cuts in ([], [1, 2], list(range(100, 1500, 100)), [1499]):
        parts = [rows[start:stop] for start, stop in pairwise([0, *cuts, len(rows)])]
        runs = open_scores(write_scores(tmp_path / f"{len(found)}", parts))
        order = Order("score", bottom, 0, 1.0).with_spread(RowReader(runs))
        found.append(order.spread.tolist())
    assert all(spread == found[0] for spread in found)
    exact = [statistics.pstdev(scores[0::3]), statistics.pstdev(np.delete(scores, np.s_[::3]))]
    assert found[0] == pytest.approx(exact, rel=1e-15, abs=0)
