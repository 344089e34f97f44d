"""Retrieval heads: equal to METHOD.md section 2 read off transformers' attention tensors."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence import ModelError, _core, load
from attninfluence.heads.errors import RetrievalError
from attninfluence.heads.stability import LEAST_COUNTED
from attninfluence.model.chosen_heads import as_head_list
from attninfluence.model.model import Model
from attninfluence.probe.samples import Sample, make_samples
from attninfluence.retrieval import readings as readings_module
from attninfluence.retrieval.bootstrap import bootstrap_interval
from attninfluence.retrieval.find import HeadScores, find_retrieval_heads
from attninfluence.retrieval.readings import SampleReading, read_samples, rouge1_recall
from tests.kit.copier import RETRIEVAL_HEAD, make_copier_folder
from tests.kit.made_heads import head_scores

LENGTH = 700


@dataclass(frozen=True)
class Subject:
    """One model, ours and transformers'."""

    model: Model
    reference: Any


def open_subject(folder: Path) -> Subject:
    from attninfluence.verify.reference import Reference

    return Subject(load(folder, precision="fp32", threads=2), Reference(folder))


@pytest.fixture(scope="module")
def random_subject(tiny_folder: Path) -> Subject:
    return open_subject(tiny_folder)


@pytest.fixture(scope="module")
def copier(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return open_subject(make_copier_folder(tmp_path_factory.mktemp("copier")))


@pytest.fixture(scope="module")
def tiny(random_subject: Subject) -> Model:
    return random_subject.model


@dataclass(frozen=True)
class Expected:
    """One sample by transformers: steps copied [layers, heads], and the argmax tokens."""

    copies: NDArray[np.int64]
    doubtful: NDArray[np.int64]  # steps that rounding could decide otherwise
    predicted: NDArray[np.int64]


def by_the_method(
    reading: Any, sample: Sample, ids: NDArray[np.int32], *, late: int = 0, anywhere: bool = False
) -> Expected:
    """Section 2 step by step; `late` and `anywhere` are the two traps, for comparison."""
    copies = np.zeros(reading.attention.shape[:2], dtype=np.int64)
    doubtful = copies.copy()
    start, stop = sample.needle
    for target in range(*sample.answer):
        row = reading.attention[:, :, target - 1 + late, : target + late]
        places = np.arange(target + late)
        inside = anywhere | ((start <= places) & (places < stop))
        hit = inside & (ids[places] == ids[target])
        copies += hit[row.argmax(axis=-1)]
        close = row >= row.max(axis=-1, keepdims=True) * (1 - 1e-4)
        doubtful += (close & hit).any(axis=-1) & (close & ~hit).any(axis=-1)
    first, last = sample.answer
    return Expected(copies, doubtful, reading.logits[first - 1 : last - 1].argmax(axis=-1))


def expected_scores(
    subject: Subject, samples: Sequence[Sample], *, require_success: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Scores, how far rounding may move them, and how many samples count."""
    ratios, slack = [], []
    for sample in samples:
        reading = subject.reference.read(sample.ids, attention=True)
        expected = by_the_method(reading, sample, sample.ids)
        length = sample.answer[1] - sample.answer[0]
        right = int((expected.predicted == sample.ids[slice(*sample.answer)]).sum())
        if 2 * right >= length or not require_success:
            ratios.append(expected.copies / length)
            slack.append(expected.doubtful / length)
    return np.mean(ratios, axis=0), np.mean(slack, axis=0), len(ratios)


def search(model: Model, **options: Any) -> HeadScores:
    defaults = {"max_length": LENGTH, "progress": False, "fraction": 0.1}
    return find_retrieval_heads(model, **(defaults | options))


def test_scores_of_a_random_model(random_subject: Subject) -> None:
    model = random_subject.model
    samples = make_samples(model.tokenizer, 24, LENGTH, seed=2)
    wanted, slack, counted = expected_scores(random_subject, samples, require_success=False)
    found = search(model, samples=24, seed=2, require_success=False)
    assert counted == found.n_counted == found.samples == 24
    assert wanted.max() > 0
    assert slack.max() == 0
    assert np.abs(found.scores - wanted).max() < 1e-15


def test_scores_of_a_model_that_copies(copier: Subject) -> None:
    model = copier.model
    samples = make_samples(model.tokenizer, 6, LENGTH, seed=3)
    wanted, slack, counted = expected_scores(copier, samples, require_success=True)
    found = search(model, samples=6, seed=3)
    assert found.n_counted == counted >= 5
    assert found.success_rate == counted / 6
    assert (np.abs(found.scores - wanted) <= slack + 1e-15).all()
    assert slack.max() < 0.02
    assert found.ranking()[0] == RETRIEVAL_HEAD
    assert found.scores[RETRIEVAL_HEAD] > 0.6
    assert sorted(found.scores.ravel())[-2] < 0.1


@pytest.mark.parametrize("name", ["random_subject", "copier"])
def test_the_traps_would_show(name: str, request: pytest.FixtureRequest) -> None:
    """The row of the token itself, and hits outside the needle, count other steps than ours."""
    subject = request.getfixturevalue(name)
    samples = make_samples(subject.model.tokenizer, 5, LENGTH, seed=3)
    counts = dict.fromkeys(("right", "late", "anywhere"), 0)
    wrong = dict.fromkeys(counts, 0)
    for sample in samples:
        # The last token has a row of its own only when one more token follows it.
        ids = np.append(sample.ids, 3)
        reading = subject.reference.read(ids, attention=True)
        ours = subject.model.core.copies([sample.ids], [sample.answer], [sample.needle])[0][0]
        doubtful = by_the_method(reading, sample, ids).doubtful
        for trap in counts:
            options = {} if trap == "right" else {trap: 1}
            read = by_the_method(reading, sample, ids, **options).copies
            wrong[trap] += int((np.abs(read - ours) > doubtful).sum())
            counts[trap] += int(read.sum())
    assert wrong["right"] == 0
    assert wrong["late"] >= 3
    assert wrong["anywhere"] >= 3
    assert counts["right"] > 0


def test_standard_errors_intervals_and_shares(tiny: Model) -> None:
    """Those of the samples' own scores, each found by itself."""
    samples = make_samples(tiny.tokenizer, 8, LENGTH, seed=2)
    counts, _ = tiny.core.copies(
        [s.ids for s in samples], [s.answer for s in samples], [s.needle for s in samples]
    )
    ratios = [c / (s.answer[1] - s.answer[0]) for c, s in zip(counts, samples, strict=True)]
    found = search(tiny, samples=8, seed=2, require_success=False)
    wanted = np.std(ratios, axis=0, ddof=1) / np.sqrt(8)
    assert wanted.max() > 0
    assert np.allclose(found.standard_error, wanted, rtol=1e-12, atol=0)
    stream = np.random.default_rng(np.random.SeedSequence(2, spawn_key=(2,)))
    assert found.interval is not None and found.sample_share is not None
    assert np.array_equal(found.interval, bootstrap_interval(np.array(ratios), stream))
    assert np.array_equal(found.sample_share, np.mean(counts > 0, axis=0))
    assert found.sample_share.max() > 0
    alone = search(tiny, samples=1, require_success=False)
    assert np.isnan(alone.standard_error).all() and np.isnan(alone.interval).all()


def greedy_ids(subject: Subject, sample: Sample) -> NDArray[np.int32]:
    """The prompt continued by its own argmax, token after token."""
    ids = sample.ids[: sample.answer[0]]
    while len(ids) < sample.answer[1]:
        ids = np.append(ids, subject.reference.read(ids).logits[-1].argmax().astype(np.int32))
    return ids


@pytest.mark.parametrize("name", ["random_subject", "copier"])
def test_greedy_is_greedy(name: str, request: pytest.FixtureRequest) -> None:
    """The text and the scores are those of a model that wrote token after token."""
    subject = request.getfixturevalue(name)
    options = {"samples": 2, "max_length": 420, "shots": 0, "seed": 4}
    samples = make_samples(subject.model.tokenizer, **options)
    texts, copies = readings_module._generate(subject.model, samples)
    ratios = []
    for sample, ids, counts in zip(samples, texts, copies, strict=True):
        written = greedy_ids(subject, sample)
        assert np.array_equal(ids, written)
        reading = subject.reference.read(written, attention=True)
        expected = by_the_method(reading, sample, written)
        assert (np.abs(counts - expected.copies) <= expected.doubtful).all()
        ratios.append(counts / (sample.answer[1] - sample.answer[0]))
    found = search(subject.model, decoding="greedy", require_success=False, **options)
    assert np.array_equal(found.scores, np.mean(ratios, axis=0))


class ScriptedCore:
    """Stands in for `_core.Model`: predicts what `write(gold)` gives, and copies everything."""

    def __init__(self, core: Any, write: Callable[[NDArray[np.int32]], NDArray[np.int32]]) -> None:
        self.core, self.write = core, write
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def copies(
        self, ids: Any, answers: Any, needles: Any, n_threads: int = 1
    ) -> tuple[NDArray[np.int32], list[NDArray[np.int32]]]:
        self.calls.append(len(ids))
        counts = np.array([np.full((3, 4), stop - start) for start, stop in answers], np.int32)
        needle_ids = [
            document[slice(*needle)] for document, needle in zip(ids, needles, strict=True)
        ]
        return counts, [self.write(gold) for gold in needle_ids]


def scripted(tiny: Model, write: Callable[[NDArray[np.int32]], NDArray[np.int32]]) -> Model:
    """A model of the same folder whose answers are scripted."""
    model = load(tiny.path, precision="fp32", threads=2)
    model.core = ScriptedCore(model.core, write)  # type: ignore[assignment]
    return model


def first_right(n_right: Callable[[int], int]) -> Callable[[NDArray[np.int32]], NDArray[np.int32]]:
    """Writes the first `n_right(length)` tokens of the value, then <s>."""

    def write(gold: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.where(np.arange(len(gold)) < n_right(len(gold)), gold, 0).astype(np.int32)

    return write


def test_half_of_the_tokens_is_success(tiny: Model) -> None:
    enough = search(scripted(tiny, first_right(lambda n: (n + 1) // 2)), samples=10)
    assert (enough.n_counted, enough.success_rate) == (10, 1.0)
    assert (enough.scores == 1).all()
    with pytest.raises(RetrievalError):
        search(scripted(tiny, first_right(lambda n: (n + 1) // 2 - 1)), samples=10)


def test_only_samples_that_succeed_are_averaged(tiny: Model) -> None:
    """Values of an even number of tokens are answered, the others are not."""
    write = first_right(lambda n: n if n % 2 == 0 else 0)
    samples = make_samples(tiny.tokenizer, 20, LENGTH)
    even = sum((sample.answer[1] - sample.answer[0]) % 2 == 0 for sample in samples)
    assert 0 < even < 20
    found = search(scripted(tiny, write), samples=20)
    assert (found.samples, found.n_counted, found.success_rate) == (20, even, even / 20)
    every = search(scripted(tiny, write), samples=20, require_success=False)
    assert (every.n_counted, every.success_rate) == (20, even / 20)


def test_greedy_needs_more_than_half_of_the_words(tiny: Model) -> None:
    right = search(scripted(tiny, first_right(lambda n: n)), samples=6, decoding="greedy")
    assert right.success_rate == 1
    with pytest.raises(RetrievalError, match="half of the answer's words.*teacher_forced"):
        search(scripted(tiny, first_right(lambda n: n // 4)), samples=6, decoding="greedy")


def test_no_sample_counts(tiny: Model) -> None:
    with pytest.raises(RetrievalError) as caught:
        search(scripted(tiny, first_right(lambda n: n // 3)), samples=5)
    message = str(caught.value)
    assert "in none of 5 samples of up to 700 tokens" in message
    assert re.search(r"\(3\d\.\d% on average\)", message)
    assert "require_success=False" in message
    result = caught.value.result
    assert np.isnan(result.scores).all()
    assert result.scores.shape == (3, 4)
    assert (result.selected, result.n_counted, result.success_rate) == ((), 0, 0.0)
    with pytest.raises(ValueError, match="none of the 5 samples counted"):
        result.select(count=1)


@pytest.mark.parametrize(
    ("wanted", "written", "recall"),
    [
        ("The cat sat on the mat.", "the CAT sat on the mat", 1.0),
        ("The cat sat on the mat.", "the cat", 2 / 6),
        ("The cat sat on the mat.", "the the the", 2 / 6),
        ("The cat sat on the mat.", "mat the on sat cat the and more", 1.0),
        ("One two.", "one_two", 1.0),
        ("Schnee fällt.", "schnee FÄLLT", 1.0),
        ("One two.", "", 0.0),
        ("...", "...", 0.0),
    ],
)
def test_rouge(wanted: str, written: str, recall: float) -> None:
    assert rouge1_recall(written, wanted) == recall


def test_batches_and_threads_change_nothing(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    base = search(tiny, samples=9, require_success=False)
    monkeypatch.setattr(readings_module, "TOKENS_A_THREAD", 1)
    for threads in (1, 2):
        model = load(tiny.path, precision="fp32", threads=threads)
        other = search(model, samples=9, require_success=False)
        assert np.array_equal(other.scores, base.scores)
        assert np.array_equal(other.standard_error, base.standard_error)
        assert np.array_equal(other.interval, base.interval)
        assert other.selected == base.selected


def test_batches_are_bounded(tiny: Model) -> None:
    model = scripted(tiny, first_right(lambda n: n))
    search(model, samples=50)
    calls = model.core.calls
    assert max(calls) * LENGTH <= 2 * readings_module.TOKENS_A_THREAD
    assert sum(calls) == 50


def test_a_length_beyond_the_context_is_cut_to_it(llama_folder: Callable[..., Path]) -> None:
    model = load(llama_folder(max_position_embeddings=720), precision="fp32", threads=2)
    found = search(model, samples=1, max_length=4096, require_success=False)
    assert found.options["max_length"] == 720


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_every_precision_finds_the_heads_of_fp32(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """The folder is opened once in fp32 for it, with as many threads, and let go again."""
    made: list[weakref.ref[Model]] = []
    in_precision = Model.in_precision

    def watched(model: Model, wanted: str) -> Model:
        opened = in_precision(model, wanted)
        assert (opened.precision, opened.threads) == ("fp32", 2)
        if opened is not model:
            made.append(weakref.ref(opened))
        return opened

    options = {"samples": 12, "seed": 4, "require_success": False}
    search(load(tiny.path, precision="fp32"), **options).save(tmp_path / "fp32.json")
    monkeypatch.setattr(Model, "in_precision", watched)
    model = load(tiny.path, precision=precision, threads=2)
    search(model, **options).save(tmp_path / "other.json")
    assert model.precision == precision
    assert [one() for one in made] == [None]
    assert (tmp_path / "other.json").read_bytes() == (tmp_path / "fp32.json").read_bytes()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_another_precision_is_read_in_and_kept(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    read: list[str] = []

    def watched(model: Model, *arguments: Any) -> list[SampleReading]:
        read.append(model.precision)
        return read_samples(model, *arguments)

    monkeypatch.setattr("attninfluence.retrieval.find.read_samples", watched)
    options: dict[str, Any] = {"samples": 2, "require_success": False, "precision": precision}
    for model in (tiny, tiny.path, load(tiny.path, precision=precision)):
        assert search(model, **options).options["precision"] == precision  # type: ignore[arg-type]
    assert read == [precision] * 3


def test_auto_reads_until_it_is_settled(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many samples however many are read at a time; the first of those that a number gives."""
    monkeypatch.setattr(readings_module, "TOKENS_A_THREAD", 5 * LENGTH)
    monkeypatch.setattr("attninfluence.retrieval.find.MOST_SAMPLES", 150)
    options: dict[str, Any] = {"require_success": False, "fraction": 0.05, "threshold": 0.9}
    found = [
        search(load(tiny.path, precision="fp32", threads=n), samples="auto", **options)
        for n in (1, 3)
    ]
    assert LEAST_COUNTED <= found[0].samples < 150
    assert found[0].samples == found[1].samples == found[0].n_counted
    assert found[0].options["samples"] == "auto"
    asked = search(tiny, samples=found[0].samples, **options)
    for one in found:
        assert np.array_equal(one.scores, asked.scores) and one.selected == asked.selected


def test_auto_reads_all_where_nothing_is_settled(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attninfluence.retrieval.find.MOST_SAMPLES", 44)
    model = scripted(tiny, first_right(lambda n: n))
    assert search(model, samples="auto", fraction=0.05, count=3).samples == 44


def test_a_path_is_opened_in_fp32_alone(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = _core.Model

    def watched(folder: str, precision: str, kernel: str | None) -> Any:
        opened.append(precision)
        return real(folder, precision, kernel)

    monkeypatch.setattr("attninfluence.model.model.Core", watched)
    search(tiny.path, samples=1, require_success=False)  # type: ignore[arg-type]
    assert opened == ["fp32"]


def test_options_are_kept(tiny: Model) -> None:
    found = search(tiny, samples=2, seed=7, shots=2, require_success=False, fraction=0.05, count=3)
    assert found.options == {
        "samples": 2,
        "max_length": LENGTH,
        "shots": 2,
        "decoding": "teacher_forced",
        "corpus": "bundled",
        "seed": 7,
        "require_success": False,
        "precision": "fp32",
        "fraction": None,
        "count": 3,
        "threshold": None,
    }
    assert found.model_fingerprint == tiny.fingerprint
    assert found.selected == tuple(found.ranking()[:3])


def test_progress_is_on_stderr_or_nowhere(tiny: Model, capsys: pytest.CaptureFixture[str]) -> None:
    model = scripted(tiny, first_right(lambda n: n))
    search(model, samples=4, progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "4 counted, best (0, 0) 1.00" in output.err
    search(model, samples=4)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("stream", [None, object()])
def test_the_default_progress_needs_no_stderr(
    tiny: Model, monkeypatch: pytest.MonkeyPatch, stream: Any
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    find_retrieval_heads(tiny, samples=1, max_length=LENGTH, require_success=False)


def test_an_interrupt_passes(tiny: Model) -> None:
    def interrupt(gold: NDArray[np.int32]) -> NDArray[np.int32]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(scripted(tiny, interrupt), samples=2, progress=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"decoding": "beam"}, "decoding must be one of teacher_forced, greedy, not 'beam'"),
        ({"precision": "fp16"}, "precision must be one of fp32, bf16, int8, not 'fp16'"),
        ({"samples": "some"}, "samples must be an integer, got 'some'"),
        ({"count": 0}, "count must be 1..12"),
        ({"count": 13}, "count must be 1..12"),
        ({"fraction": 0.0}, "fraction must be above 0"),
        ({"fraction": float("nan")}, "fraction must be above 0"),
        ({"fraction": 1.5}, "fraction must be above 0 and at most 1, not 1.5"),
        ({"threshold": -0.1}, "threshold must be above 0"),
        ({"fraction": 0.1, "count": 3}, "not fraction and count"),
        ({"count": 3, "threshold": 0.1}, "not count and threshold"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"max_length": 100}, "max_length=100 is too small"),
        ({"seed": "x"}, "seed must be an integer, got 'x'"),
    ],
)
def test_wrong_arguments_cost_no_reading(tiny: Model, wrong: dict[str, Any], message: str) -> None:
    model = scripted(tiny, first_right(lambda n: n))
    arguments = {"samples": 4, "max_length": LENGTH, "progress": False, "fraction": 0.05} | wrong
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        find_retrieval_heads(model, **arguments)
    assert model.core.calls == []


def test_a_model_without_tokenizer(plain_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        search(load(plain_folder), samples=1)


def found_in(model: Model, **other: Any) -> HeadScores:
    scores = np.arange(model.n_layers * model.n_heads).reshape(model.n_layers, model.n_heads) / 99
    return head_scores(scores, **({"model_fingerprint": model.fingerprint} | other))


def test_a_tokenizer_of_more_ids_than_the_model(misfit_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"of 270 ids, and the tokenizer in .* has 277"):
        find_retrieval_heads(misfit_folder, samples=2, progress=False)


def test_heads_in_every_form(tiny: Model, tmp_path: Path) -> None:
    found = found_in(tiny).select(count=2)
    found.save(tmp_path / "h.json")
    wanted = ((2, 3), (2, 2))
    assert as_head_list(found, tiny) == wanted
    assert as_head_list(tmp_path / "h.json", tiny) == wanted
    assert as_head_list(str(tmp_path / "h.json"), tiny) == wanted
    assert as_head_list([[2, 3], (2, 2)], tiny) == wanted
    assert as_head_list(np.array(wanted), tiny) == wanted
    assert as_head_list(iter(wanted), tiny) == wanted
    assert as_head_list([], tiny) == ()


def test_the_heads_of_the_models_folder(
    tiny: Model, tmp_path: Path, llama_folder: Callable[..., Path]
) -> None:
    import shutil

    shutil.copytree(tiny.path, tmp_path / "model")
    model = load(tmp_path / "model")
    with pytest.raises(ModelError, match=r"has no heads\.json.*find_retrieval_heads"):
        as_head_list(None, model)
    found_in(model).select(count=1).save(tmp_path / "model" / "heads.json")
    assert as_head_list(None, load(tmp_path / "model")) == ((2, 3),)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ([(3, 0)], "head (3, 0) is out of range: the model has 3 layers of 4 heads"),
        ([(0, 4)], "head (0, 4) is out of range"),
        ([(0, -1)], "head (0, -1) is out of range"),
        ([(0, 1), (0, 1)], "head (0, 1) is given twice"),
        ([(0, 1.0)], "a head is a pair (layer, head) of integers, not (0, 1.0)"),
        ([(0, True)], "a head is a pair"),
        ([(0,)], "a head is a pair"),
        ([3], "a head is a pair (layer, head) of integers, not 3"),
        (["01"], "a head is a pair"),
    ],
)
def test_wrong_pairs_are_named(tiny: Model, heads: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        as_head_list(heads, tiny)


def test_heads_of_another_model_are_refused(tiny: Model, copier: Subject) -> None:
    found = found_in(tiny).select(count=1)
    both = f"{tiny.fingerprint[:12]} of 3 layers of 4 heads.*{copier.model.fingerprint[:12]}"
    with pytest.raises(ModelError, match=f"heads of another model.*{both}"):
        as_head_list(found, copier.model)
    same_shape = found_in(tiny, model_fingerprint="0123456789abcdef").select(count=1)
    with pytest.raises(ModelError, match="heads of another model.*0123456789ab"):
        as_head_list(same_shape, tiny)


def test_an_empty_selection_is_not_scored_with(tiny: Model) -> None:
    with pytest.raises(ValueError, match="no head is selected"):
        as_head_list(found_in(tiny).select(threshold=1.0), tiny)
