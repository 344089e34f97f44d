"""What rounding does to losses and rankings, on numbers that can be checked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attninfluence import load
from attninfluence.scores import rounding
from attninfluence.scores.rounding import compare_scores, package_ids, read_both, rounding_of


def losses(*scores: float, base: float = 2.0) -> list[np.ndarray]:
    """Two tokens a document, whose masked readings give these scores."""
    return [np.float32([[base, base], [base * (1 + s), base * (1 + s)]]) for s in scores]


def test_the_same_losses_differ_by_nothing() -> None:
    found = rounding_of(losses(0.1, 0.2, 0.5), losses(0.1, 0.2, 0.5))
    assert (found.texts, found.tokens) == (3, 6)
    assert (found.moved, found.error, found.overlap) == (0, 0, 1)
    assert found.spearman == pytest.approx(1)


def test_moves_count_in_both_readings() -> None:
    exact = losses(0.1, 0.3)
    found = [rows.copy() for rows in exact]
    found[0][0, 0] += 0.4
    found[1][1, 1] -= 0.4
    assert rounding_of(exact, found).moved == pytest.approx(0.8 / 8)


def test_a_shift_of_all_scores_is_no_error() -> None:
    """It ranks nothing otherwise; what remains is measured by the spread of the scores."""
    exact = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    error, correlation, overlap = compare_scores(exact, exact + 0.7)
    assert error == pytest.approx(0) and correlation == pytest.approx(1) and overlap == 1
    moved = np.array([0.1, -0.1, 0.1, -0.1, 0.0])
    assert compare_scores(exact, exact + moved)[0] == pytest.approx(moved.std() / exact.std())


def test_scores_without_a_spread() -> None:
    """As of heads that matter to no text, or with none masked: no error, and no ranks."""
    for same in (np.full(5, 0.25), np.zeros(5)):
        error, *ranked = compare_scores(same, same)
        assert error == 0 and all(map(math.isnan, ranked))
        error, *ranked = compare_scores(same, same + np.arange(5))
        assert error == math.inf and all(map(math.isnan, ranked))
    assert rounding_of(losses(0, 0), losses(0, 0)).moved == 0


def test_the_top_fifth_is_compared() -> None:
    exact = np.arange(10.0)
    other = exact.copy()
    other[8], other[7] = exact[7], exact[8]
    assert compare_scores(exact, other)[2] == 0.5


def test_what_is_no_number_is_beyond_any_bound_or_left_out() -> None:
    exact = np.array([math.nan, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert compare_scores(exact, exact)[0] == 0
    broken = np.where(exact == 0.5, np.nan, exact)
    error, correlation, overlap = compare_scores(exact, broken)
    assert error == math.inf and correlation < 0.5 and overlap == 0
    found = losses(0.1, 0.2)
    found[0][0, 0] = np.nan
    assert rounding_of(losses(0.1, 0.2), found).moved == math.inf
    assert all(map(math.isnan, compare_scores(exact[:2], exact[:2])))


def test_the_error_that_a_selection_bears() -> None:
    """At that error a top fifth keeps 97 %, and ranks correlate by more than 0.998."""
    random = np.random.default_rng(0)
    scores = random.standard_normal(200_000)
    rounded = scores + rounding.MOST_ERROR * random.standard_normal(scores.size)
    error, correlation, overlap = compare_scores(scores, rounded)
    assert error == pytest.approx(rounding.MOST_ERROR, rel=0.01)
    assert correlation > 0.998 and 0.969 < overlap < 0.972


def test_the_bundled_model_on_texts_of_the_package() -> None:
    model = load(precision="fp32")
    ids = package_ids(model.tokenizer, model.vocab_size, 12, 128)
    assert len(ids) == 12 and max(map(len, ids)) == 128
    masked = model.mask_matrix(model.heads)  # type: ignore[arg-type]
    exact = read_both(model.core, ids, masked, model.threads)
    found = {
        precision: rounding_of(
            exact, read_both(load(precision=precision).core, ids, masked, model.threads)
        )
        for precision in ("bf16", "int8")
    }
    assert 0 < found["bf16"].moved < found["int8"].moved < rounding.MOST_MOVED
    assert 0 < found["bf16"].error < found["int8"].error < rounding.MOST_ERROR
