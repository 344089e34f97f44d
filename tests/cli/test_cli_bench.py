"""`attninfluence bench`: what it reads, what it counts, and what it says a corpus takes."""

from __future__ import annotations

import argparse
import json
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from attninfluence import bench, cli, load
from attninfluence.bench import MaskedHeads, Speed
from attninfluence.cli import numbers, options
from attninfluence.model.model import Model
from attninfluence.scoring.reader import CHUNK_TOKENS_PER_THREAD
from tests.kit.family_models import make_family_folder
from tests.kit.made_heads import head_scores

HEADS = MaskedHeads(((1, 2), (2, 0)), "given")
QUICK = ("--seconds", "0.05", "--threads", "1")


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return load(tiny_folder, precision="fp32", threads=2)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """(exit status, JSON on stdout or None, stderr) of one command."""
    status = cli.main(["bench", *arguments])
    captured = capsys.readouterr()
    return status, json.loads(captured.out) if captured.out.strip() else None, captured.err


# --------------------------------------------------------------------------------- the command


def test_a_model_in_every_precision(capsys: pytest.CaptureFixture[str], tiny_folder: Path) -> None:
    status, summary, told = run(
        capsys, str(tiny_folder), "--precision", "all", "--estimate", "241B", *QUICK
    )
    assert status == 0
    names = ["fp32", "bf16", "int8"]
    assert [speed["precision"] for speed in summary["speeds"]] == names
    kernels = [load(tiny_folder, precision=name).kernel for name in names]
    assert [speed["kernel"] for speed in summary["speeds"]] == kernels
    assert summary["threads"] == 1
    assert summary["heads"] == {"origin": "random", "count": 1, "first_layer": 2}
    assert "; 1 thread\n" in told
    assert "1 head masked, in layer 2: random, as there is no heads.json" in told
    assert all(speed["kernel"] in told for speed in summary["speeds"])
    assert max(map(len, told.splitlines())) <= 80
    assert "241B tokens at that speed" in told
    for speed, cost in zip(summary["speeds"], summary["estimate"]["costs"], strict=True):
        rate = speed["tokens"] / speed["seconds"]
        assert speed["tokens_per_second"] == pytest.approx(rate)
        assert speed["gflops_per_core"] == pytest.approx(speed["gflops"])
        assert cost["core_hours"] == pytest.approx(241e9 / rate / 3600)


def test_one_model_is_in_memory_at_a_time(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[weakref.ref[Model]] = []
    load_model = options.load_model

    def watched(arguments: argparse.Namespace, **fixed: Any) -> Model:
        assert [reference() for reference in opened] == [None] * len(opened)
        model = load_model(arguments, **fixed)
        opened.append(weakref.ref(model))
        return model

    monkeypatch.setattr(options, "load_model", watched)
    assert run(capsys, str(tiny_folder), "--precision", "all", *QUICK)[0] == 0
    assert len(opened) == 3


def test_without_options_it_is_the_precision_that_score_takes(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path
) -> None:
    status, summary, told = run(capsys, str(tiny_folder), *QUICK)
    assert status == 0
    (speed,) = summary["speeds"]
    opened = load(tiny_folder)
    assert (speed["precision"], speed["kernel"]) == (opened.precision, opened.kernel)
    assert "estimate" not in summary and "USD" not in told


def test_the_kernel_named_is_the_kernel_measured(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path
) -> None:
    arguments = ("--precision", "bf16", "--kernel", "portable", *QUICK)
    _, summary, _ = run(capsys, str(tiny_folder), *arguments)
    assert summary["speeds"][0]["kernel"] == "portable"


def test_heads_given_and_heads_of_the_folder(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path, model: Model, tmp_path: Path
) -> None:
    scores = np.zeros((3, 4))
    found = head_scores(scores, [(1, 1), (2, 3)], model_fingerprint=model.fingerprint)
    found.save(tmp_path / "h.json")
    _, summary, told = run(capsys, str(tiny_folder), "--heads", str(tmp_path / "h.json"), *QUICK)
    assert summary["heads"] == {"origin": "given", "count": 2, "first_layer": 1}
    assert told.splitlines()[-1] == "2 heads masked, the first in layer 1"
    _, summary, _ = run(capsys, *QUICK)  # the model of the package
    assert summary["heads"]["origin"] == "heads.json"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--price", "0.01,0.05"], "--price needs --estimate"),
        (["--machines", "3"], "--machines needs --estimate"),
        (["--tasks", "3"], "--tasks needs --estimate"),
        (["--tasks", "0", "--estimate", "1B"], "'0' must be at least 1"),
        (["--price", "0.05,0.01", "--estimate", "1B"], "'0.05,0.01' is no range of prices"),
        (["--seconds", "0"], "'0' is no number of seconds above 0"),
        (["--estimate", "241b"], "'241b' is no whole number like 1200, 50B"),
        (["--mean-length", "4096"], "the mean length must be 2..2048 tokens, up to the model"),
        (["--heads", "no.json"], "no.json: No such file"),
        (["--kernel", "abacus"], "kernel 'abacus'"),
    ],
)
def test_errors_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path, arguments: list[str], sentence: str
) -> None:
    status, summary, told = run(capsys, str(tiny_folder), *arguments)
    assert (status, summary) == (2, None)
    assert sentence in told.splitlines()[-1]
    assert "Traceback" not in told


# --------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("text", ["0.02", "0.01,", ",1", "a,b", "0.1,inf", "-1,1", "1,2,3", ""])
def test_prices_are_strict(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no range of prices"):
        numbers.price_range(text)


@pytest.mark.parametrize("text", ["-1", "0", "nan", "inf", "", "1s"])
def test_seconds_are_strict(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no number of seconds"):
        numbers.seconds(text)


def test_a_corpus_by_hand() -> None:
    assert numbers.price_range("0,0.5") == (0.0, 0.5)
    speed = Speed("bf16", "avx2", 4, (600, 400), 1, seconds=2.0, flop=3e9)
    assert speed.tokens_per_second == 500
    assert speed.tokens_per_second_per_core == 125
    assert speed.gflops == 1.5
    cost = bench.estimate(125 * 3600 * 8760, speed, (0.01, 0.05))
    assert cost.core_hours == pytest.approx(8760)
    assert cost.core_years == pytest.approx(1)
    assert cost.usd == pytest.approx((87.6, 438))
    assert cost.days(365) == pytest.approx(1)


def test_a_corpus_on_machines_and_in_tasks(
    capsys: pytest.CaptureFixture[str], tiny_folder: Path
) -> None:
    split = ("--estimate", "241B", "--machines", "50", "--tasks", "20K")
    _, summary, told = run(
        capsys,
        str(tiny_folder),
        "--precision",
        "all",
        *split,
        "--seconds",
        "0.05",
        "--threads",
        "2",
    )
    for cost in summary["estimate"]["costs"]:
        assert (cost["machines"], cost["cores"], cost["tasks"]) == (50, 100, 20_000)
        assert cost["days"] == pytest.approx(cost["core_hours"] / 100 / 24)
        assert cost["tokens_per_task"] == 12_050_000
        assert cost["hours_per_task"] == pytest.approx(cost["core_hours"] / 20_000)
    assert told.count(" days of 100 cores") == 3
    assert told.count(" hours a task") == 3
    assert max(map(len, told.splitlines())) <= 80


def multiply_adds(core: Any, length: int, layers: int) -> int:
    """Counted row by row, as the equations of a Llama have them."""
    d, e, count = core.hidden_size, core.head_dim, 0
    for row in range(length):
        for _ in range(layers):
            count += d * core.n_heads * e + 2 * d * core.n_kv_heads * e  # q, k, v
            for _ in range(core.n_heads):
                count += (row + 1) * e  # q k^T
                count += (row + 1) * e  # weights times values
            count += core.n_heads * e * d  # o
            count += 3 * d * core.intermediate_size  # gate, up, down
    return count


def test_operations_are_those_counted_one_by_one(model: Model) -> None:
    core, lengths, first = model.core, [3, 11], 2
    wanted = sum(multiply_adds(core, n, core.n_layers) for n in lengths)
    wanted += sum(multiply_adds(core, n, core.n_layers - first) for n in lengths)
    wanted += 2 * sum((n - 1) * core.hidden_size * core.vocab_size for n in lengths)
    assert bench.count_flop(core, lengths, first) == 2 * wanted


def test_operations_under_windows_and_with_experts(tmp_path: Path) -> None:
    """A row sees its window at most, and meets the experts that it takes alone."""
    mixtral = load(make_family_folder(tmp_path, "mixtral", "window"), precision="fp32").core
    length, window, d = 60, mixtral.window, mixtral.hidden_size
    assert 0 < window < length and mixtral.n_windowed_layers == mixtral.n_layers
    wide, narrow = (n * mixtral.head_dim for n in (mixtral.n_heads, mixtral.n_kv_heads))
    experts = 3 * mixtral.intermediate_size * mixtral.experts_per_token + mixtral.n_experts
    weights = length * d * (2 * wide + 2 * narrow + experts)
    seen = sum(min(row + 1, window) for row in range(length))
    layer = weights + 2 * wide * seen
    wanted = 2 * mixtral.n_layers * layer + 2 * (length - 1) * d * mixtral.vocab_size
    assert bench.count_flop(mixtral, [length], 0) == 2 * wanted


# --------------------------------------------------------------------------------- what is read


def test_lengths_have_the_mean_that_is_asked_for() -> None:
    for mean, context in ((550, 100_000), (40, 8192)):
        documents = bench.random_documents(320, context, mean)
        lengths = [len(ids) for ids in islice(documents, 4000)]
        # The standard error of the mean is 0.66 mean / sqrt(4000), that is 1 %.
        assert np.mean(lengths) == pytest.approx(mean, rel=0.04)
        spread = np.std(np.log(lengths))
        assert spread == pytest.approx(bench.LENGTH_SPREAD, rel=0.06)


def test_documents_fit_the_context_and_the_vocabulary() -> None:
    documents = list(islice(bench.random_documents(7, 16), 300))
    assert {len(ids) for ids in documents} <= set(range(2, 17))
    assert max(len(ids) for ids in documents) == 16
    assert set(np.concatenate(documents).tolist()) == set(range(7))
    assert documents[0].dtype == np.int32
    assert min(len(ids) for ids in islice(bench.random_documents(7, 16, 2), 300)) == 2
    again = list(islice(bench.random_documents(7, 16), 300))
    assert all(np.array_equal(a, b) for a, b in zip(documents, again, strict=True))


class Clocked:
    """Stands in for a model that reads `rate` tokens a second, and for the clock."""

    def __init__(self, model: Model, rate: float) -> None:
        self.now, self.rate = 0.0, rate
        self.calls: list[tuple[int, ...]] = []
        self.variants: list[NDArray[np.bool_]] = []
        self.core = SimpleNamespace(
            run=self.read,
            **{
                name: getattr(model.core, name)
                for name in ("n_layers", "n_heads", "head_dim", "hidden_size", "vocab_size")
                + ("layer_weights", "window", "n_windowed_layers")
            },
        )
        self.threads, self.vocab_size, self.context = 2, 320, 2048
        self.precision, self.kernel, self.mask_matrix = "bf16", "abacus", model.mask_matrix

    def read(
        self, ids: Sequence[NDArray[np.int32]], variants: NDArray[np.bool_], n_threads: int
    ) -> None:
        assert n_threads == self.threads
        self.calls.append(tuple(map(len, ids)))
        self.variants.append(variants)
        self.now += sum(map(len, ids)) / self.rate

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clocked(model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def make(rate: float) -> Clocked:
        stand_in = Clocked(model, rate)
        monkeypatch.setattr(bench, "time", stand_in)
        return stand_in

    return make


@pytest.mark.parametrize("rate", [10_000.0, 700.0, 40.0])
def test_the_time_is_kept_and_the_warm_up_not_counted(clocked: Any, rate: float) -> None:
    stand_in = clocked(rate)
    speed = bench.measure(stand_in, HEADS, seconds=20.0)
    measured = stand_in.calls[-speed.calls :]
    assert speed.lengths == tuple(length for call in measured for length in call)
    assert speed.seconds == pytest.approx(speed.tokens / rate)
    assert speed.tokens_per_second == pytest.approx(rate)
    # A call is a chunk, or as much as fits, and the document at its end.
    chunk = min(CHUNK_TOKENS_PER_THREAD * 2, 20 * rate)
    assert abs(speed.seconds - 20) <= (chunk / 2 + 2048) / rate
    assert all(sum(call) >= chunk - 1 for call in measured)
    assert stand_in.now - speed.seconds <= 0.2 * 20
    assert (speed.precision, speed.kernel, speed.threads) == ("bf16", "abacus", 2)
    assert speed.flop == bench.count_flop(stand_in.core, speed.lengths, 1)
    for variants in stand_in.variants:
        assert [tuple(at) for at in np.argwhere(variants)] == [(0, 1, 2), (0, 2, 0)]


def test_a_very_slow_kernel_is_not_waited_for(clocked: Any) -> None:
    stand_in = clocked(4.0)
    bench.measure(stand_in, HEADS, seconds=20.0, mean_length=10)
    assert stand_in.now < 40


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_seconds_that_cannot_be(model: Model, seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds must be a positive number"):
        bench.measure(model, HEADS, seconds=seconds)


def test_random_heads_are_a_twentieth_rounded_up(llama_folder: Any) -> None:
    model = load(llama_folder(n_layers=7, n_heads=3, hidden_size=24), threads=1)
    heads = bench.choose_heads(model, None)
    assert (heads.origin, len(heads.pairs)) == ("random", 2)
    assert heads == bench.choose_heads(model, None)
    assert heads.first_layer == min(heads.pairs)[0]
    with pytest.raises(ValueError, match="at least one head"):
        bench.choose_heads(model, [])
