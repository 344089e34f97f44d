"""Whether samples settle a selection: wrongly no more often than stated, however often looked."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence.heads.choice import Choice
from attninfluence.retrieval import settling
from attninfluence.retrieval.readings import SampleReading
from attninfluence.retrieval.settling import Settling, is_settled

N_ALL = 120
TWO = Choice("count", 2)

Values = NDArray[np.float64]


def made(rng: np.random.Generator, means: list[float], n: int = N_ALL) -> Values:
    """float64[n, heads]: shares of ten steps, a copied step as likely as its head's mean."""
    return rng.binomial(10, means, size=(n, len(means))) / 10


def as_readings(values: Values, counted: NDArray[np.bool_]) -> list[SampleReading]:
    rows = zip(values, counted, strict=True)
    return [SampleReading(ratio[None], float(one), bool(one)) for ratio, one in rows]


def settled_at(
    values: Values, choice: Choice = TWO, counted: NDArray[np.bool_] | None = None, batch: int = 1
) -> int | None:
    """After how many samples a search would stop that reads `batch` at a time."""
    counted = np.ones(len(values), dtype=bool) if counted is None else counted
    readings, one = as_readings(values, counted), Settling(len(values), choice, True)
    for n in range(batch, len(values) + batch, batch):
        if (found := one.find(readings[:n])) is not None:
            return found
    return None


def selected(values: Values, choice: Choice) -> set[int]:
    score = values.mean(axis=0)
    if choice.name == "threshold":
        return set(np.flatnonzero(score >= choice.value).tolist())
    n = choice.number_of_heads(score)
    return set(np.argsort(-score, kind="stable")[:n].tolist())


def tied(rng: np.random.Generator, means: list[float]) -> Values:
    """Made values of which head 2 is ahead of head 1 by one copied step of all samples together,
    and 0.3, the threshold, is as near behind head 2."""
    values = made(rng, means)
    values[:, 1] = rng.permutation(np.repeat([0.1, 0.3, 0.5], N_ALL // 3))
    values[:, 2] = rng.permutation(values[:, 1])
    values[rng.integers(N_ALL), 2] += 0.1
    return values


def wrong_share(choice: Choice, means: list[float], trials: int = 400) -> float:
    """Of made searches the share that stopped at another selection than that of all samples."""
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(trials):
        values = tied(rng, means)
        n = settled_at(values, choice)
        wrong += n is not None and selected(values[:n], choice) != selected(values, choice)
    return wrong / trials


CASES = [
    (TWO, [0.6, 0.3, 0.3, 0.05, 0.0]),
    (TWO, [0.32, 0.3, 0.3, 0.28, 0.28]),
    (Choice("threshold", 0.3005), [0.6, 0.3, 0.3, 0.1, 0.0]),
]


@pytest.mark.parametrize(("choice", "means"), CASES)
def test_it_is_wrong_at_most_as_often_as_it_says(
    monkeypatch: pytest.MonkeyPatch, choice: Choice, means: list[float]
) -> None:
    """With a confidence of 80 %, so that many could be wrong and too many would show."""
    monkeypatch.setattr(settling, "CONFIDENCE", 0.8)
    assert wrong_share(choice, means) <= 0.2


def test_looks_without_a_bound_would_be_wrong_more_often() -> None:
    """The control: stopping once head 1 is ahead of head 2 by a standard error, or behind."""
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(400):
        values = tied(rng, CASES[0][1])
        for n in range(settling.FIRST_LOOK, N_ALL):
            ahead = values[:n, 1] - values[:n, 2]
            if abs(ahead.mean()) > ahead.std() / np.sqrt(n):
                wrong += ahead.mean() > 0
                break
    assert wrong / 400 > 0.2


def test_clear_heads_are_settled_soon_and_equal_ones_never() -> None:
    rng = np.random.default_rng(3)
    clear = settled_at(made(rng, [0.8, 0.7, 0.1, 0.1, 0.0], 800))
    near = settled_at(made(rng, [0.8, 0.30, 0.24, 0.1, 0.0], 800))
    assert clear is not None and near is not None
    assert clear < 80 < near < 800
    same = made(rng, [0.8, 0.3, 0.0, 0.0, 0.0], 800)
    same[:, 2] = same[:, 1]
    assert settled_at(same) is None


def test_a_head_that_never_copied_may_still_begin_to() -> None:
    """Forty samples without one copy say little of 760 others: no variance is no certainty."""
    values = np.zeros((800, 40))
    values[:, 0], values[:, 1] = 1.0, 0.02
    n = settled_at(values)
    assert n is not None and n > 300


def test_what_cannot_be_made_up_for_is_settled() -> None:
    values = np.zeros((100, 3))
    values[:, 0] = 1.0
    values[:60, 1] = 0.9
    assert is_settled(values[:60], np.ones(60, dtype=bool), 100, TWO)
    assert not is_settled(values[:33], np.ones(33, dtype=bool), 100, TWO)


@pytest.mark.parametrize("choice", [TWO, Choice("threshold", 0.5)])
def test_samples_that_do_not_count_are_no_evidence(choice: Choice) -> None:
    """Whatever is in them: here the opposite."""
    values = made(np.random.default_rng(4), [0.8, 0.7, 0.1, 0.1, 0.0], 800)
    counted = np.arange(800) % 4 == 0
    found = settled_at(values, choice, counted)
    every = settled_at(values, choice)
    assert found is not None and every is not None and found > 1.5 * every
    values[~counted] = 1 - values[~counted]
    assert settled_at(values, choice, counted) == found
    assert settled_at(values, choice, np.zeros(800, dtype=bool)) is None


@pytest.mark.parametrize("choice", [TWO, Choice("fraction", 1.0), Choice("threshold", 0.5)])
def test_it_stops_at_the_same_sample_however_many_are_read_at_a_time(choice: Choice) -> None:
    values = made(np.random.default_rng(5), [0.8, 0.7, 0.1, 0.1, 0.0], 200)
    found = {settled_at(values, choice, batch=batch) for batch in (1, 4, 7, 150)}
    assert len(found) == 1 and found != {None}


def test_many_heads_are_looked_at_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = made(np.random.default_rng(6), [0.8, 0.7] + [0.1] * 30, 200)
    whole = settled_at(values)
    monkeypatch.setattr(settling, "COLUMNS_AT_ONCE", 4)
    assert settled_at(values) == whole is not None
