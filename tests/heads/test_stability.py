"""Bootstrap intervals, and what they say of a selection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence.retrieval.bootstrap import RESAMPLES, bootstrap_interval
from attninfluence.retrieval.find import HeadScores
from tests.kit.made_heads import head_scores


def one_at_a_time(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The same intervals, each resample drawn and averaged by itself."""
    n = len(values)
    draws = [rng.integers(n, size=n) for _ in range(RESAMPLES)]
    means = np.array([values[draw].mean(axis=0) for draw in draws])
    return np.quantile(means, (0.025, 0.975), axis=0)


def test_intervals_are_those_of_a_plain_loop() -> None:
    values = np.random.default_rng(0).integers(0, 8, (9, 2, 3)) / 7
    found = bootstrap_interval(values, np.random.default_rng(5))
    wanted = one_at_a_time(values, np.random.default_rng(5))
    assert np.abs(found - wanted).max() < 1e-9
    assert (found[1] - found[0]).min() > 0.1


def test_intervals_hold_their_means_and_stay_in_range() -> None:
    drawn = np.random.default_rng(1).random((40, 4)) < [0, 0.1, 1, 1]
    values = drawn * np.array([1, 1, 1 / 3, 2 / 3])  # thirds are no multiples of 2**-32
    low, high = bootstrap_interval(values, np.random.default_rng(0))
    mean = values.mean(axis=0)
    assert ((low <= mean) & (mean <= high)).all()
    assert low[0] == high[0] == 0
    assert high[2] - low[2] < 1e-9


def test_many_heads_are_as_good_as_one() -> None:
    """The blocks in which quantiles are taken change nothing."""
    values = np.random.default_rng(0).random((20, 1100))
    whole = bootstrap_interval(values, np.random.default_rng(2))
    for column in (0, 511, 512, 1099):
        alone = bootstrap_interval(values[:, column : column + 1], np.random.default_rng(2))
        assert np.array_equal(alone[:, 0], whole[:, column])


@pytest.mark.parametrize("n", [0, 1])
def test_no_interval_below_two_samples(n: int) -> None:
    assert np.isnan(bootstrap_interval(np.ones((n, 2, 2)), np.random.default_rng(0))).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    truth = np.full(300, 0.3)
    held = [
        ((low <= truth) & (truth <= high)).mean()
        for low, high in (
            bootstrap_interval(rng.binomial(10, truth, (30, 300)) / 10, rng) for _ in range(4)
        )
    ]
    assert 0.92 < np.mean(held) < 0.965


# -------------------------------------------------------------------------------------- enough?


def made(scores: Any, reach: Any, **other: Any) -> HeadScores:
    """Scores with intervals that reach so far to either side."""
    scores = np.array(scores, dtype=np.float64)
    interval = np.clip(np.stack([scores - reach, scores + reach]), 0, 1)
    values = {"samples": 100, "n_counted": 50, "standard_error": np.full(scores.shape, 0.02)}
    return head_scores(scores, interval=interval, **(values | other))


def test_heads_beyond_chance_are_enough() -> None:
    found = made([[0.5, 0.1, 0.9]], 0.15).select(count=2).stability()
    assert found.enough is True
    assert found.border == pytest.approx(0.3)
    assert found.doubtful == found.rivals == () and found.samples_needed is None
    assert str(found) == found.sentence
    assert found.sentence.startswith("Yes: no head's 95 % interval reaches the border of 0.300")


def test_an_interval_that_reaches_the_border_is_within_chance() -> None:
    heads = made([[0.5, 0.4, 0.9, 0.1]], [[0.06, 0.02, 0.01, 0.01]]).select(count=2)
    found = heads.stability()
    assert found.enough is False
    assert (found.doubtful, found.rivals) == (((0, 0),), ())
    assert "Not quite: 1 of 2 selected heads are within chance of" in found.sentence
    # 50 counted of 100, standard error 0.02 against a gap of 0.05: 1.96 of them are 0.0392 < 0.05,
    # so the interval is wider than its standard error says, and one more counted is asked for.
    assert found.samples_needed == 110
    wider = made([[0.5, 0.4, 0.9, 0.1]], 0.06, standard_error=np.full((1, 4), 0.05))
    found = wider.select(count=2).stability()
    assert (found.doubtful, found.rivals) == (((0, 0),), ((0, 1),))
    assert "1 of 2 selected and 1 of 2 other heads are within chance" in found.sentence
    assert pytest.approx(384.16) == 100 * (1.96 * 0.05 / 0.05) ** 2
    assert found.samples_needed == 390
    assert "about 390 samples would part them" in found.sentence


def test_the_estimate_is_about_right() -> None:
    """As many samples as it names bring the intervals of most such searches off the border."""
    truth = np.array([[0.5, 0.4]])

    def search(n: int, seed: int) -> HeadScores:
        rng = np.random.default_rng(seed)
        ratios = rng.binomial(4, truth, (n, 1, 2)) / 4
        return head_scores(
            ratios.mean(axis=0),
            standard_error=ratios.std(axis=0, ddof=1) / np.sqrt(n),
            interval=bootstrap_interval(ratios, rng),
            samples=n,
            n_counted=n,
        ).select(count=1)

    needed = []
    for seed in range(20):
        found = search(60, seed).stability()
        if found.enough is False and found.samples_needed:
            needed.append(found.samples_needed)
    typical = int(np.median(needed))
    assert 60 < typical < 2000
    assert sum(search(60, seed).stability().enough is True for seed in range(20, 40)) < 10
    assert sum(search(2 * typical, seed).stability().enough is True for seed in range(20)) > 10


def test_equal_scores_are_parted_by_no_number_of_samples() -> None:
    found = made([[0.0, 0.0, 0.9]], 0.0).select(count=2).stability()
    assert found.enough is False
    assert (found.doubtful, found.rivals) == (((0, 0),), ((0, 1),))
    assert found.samples_needed is None
    assert "no number of samples can be named" in found.sentence


def test_a_threshold_is_the_border() -> None:
    heads = made([[0.5, 0.11, 0.01]], 0.05)
    found = heads.select(threshold=0.1).stability()
    assert (found.border, found.doubtful, found.rivals) == (0.1, ((0, 1),), ())
    assert "within chance of the threshold of 0.100" in found.sentence
    nothing = heads.select(threshold=0.8).stability()
    assert nothing.enough is True and "the threshold of 0.800" in nothing.sentence
    everything = made([[0.5, 0.4]], 0.05).select(threshold=0.1).stability()
    assert everything.enough is True


def test_selections_that_no_sample_decides() -> None:
    heads = made([[0.5, 0.1]], 0.05)
    assert heads.stability().enough is None
    assert str(heads.stability()) == "No head is selected."
    assert heads.select(count=2).stability().enough is True
    found = made([[0.5, 0.1]], 0.05, selected=[(0, 1)]).stability()
    assert found.enough is None and "does not follow the scores" in found.sentence


def test_too_few_samples_say_nothing() -> None:
    found = made([[0.9, 0.1]], 0.01, n_counted=29, samples=58).select(count=1).stability()
    assert found.enough is None and found.samples_needed == 60
    assert "29 of 58 samples counted" in found.sentence
    nothing = np.full((1, 2), np.nan)
    found = made(nothing, 0, n_counted=0).stability()
    assert found.enough is None and "none of 100 samples counted" in found.sentence


def test_it_can_be_said_of_standard_errors_alone() -> None:
    old = head_scores([[0.9, 0.1]], standard_error=np.full((1, 2), 0.3), n_counted=50, samples=50)
    assert old.select(count=1).stability().doubtful == ((0, 0),)


@pytest.mark.parametrize("value", [True, "0.1", -1, 10**400, [0.1], None])
def test_strange_options_of_a_file_do_no_harm(value: Any) -> None:
    options = {"threshold": value, "fraction": value}
    heads = made([[0.5, 0.1]], 0.05, selected=[(0, 0)], options=options)
    assert heads.stability().border == pytest.approx(0.3)
    assert repr(heads).startswith("HeadScores: 1 of 2 heads selected;")
