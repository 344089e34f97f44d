"""attninfluence verify: the error table, what it notices, and what it needs."""

from __future__ import annotations

import json
import math
import shutil
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attninfluence import ModelError, _core, cli, load
from attninfluence.scores.rounding import Rounding, package_ids, read_both, rounding_of
from attninfluence.verify import compare as compare_module
from attninfluence.verify import reference as reference_module
from attninfluence.verify.compare import choose_heads, verify
from attninfluence.verify.documents import make_documents
from attninfluence.verify.noise import SEEDS
from attninfluence.verify.ranking import LONGEST, TEXTS, Ranking
from attninfluence.verify.table import BOUNDS, READINGS, Difference, ErrorTable
from tests.kit.family_models import make_family_folder, read_folder, write_folder
from tests.kit.made_heads import head_scores


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small gemma2 with a tokenizer and weights of an ordinary spread."""
    path = tmp_path_factory.mktemp("gemma2")
    return make_family_folder(path, "gemma2", "capped", tokenizer=True, ordinary=True)


def test_a_model_is_within_its_bounds(ordinary: Path) -> None:
    table = verify(ordinary)
    assert [(row.precision, row.reading) for row in table.rows] == [
        (precision, reading) for precision in BOUNDS for reading in READINGS
    ]
    assert table.excess == "" and all(row.is_within for row in table.rows)
    assert table.documents == 5 and table.tokens > 500 and len(table.heads) == 1
    fp32, bf16, int8 = (table.rows[i] for i in (0, 3, 6))
    assert 0 < fp32.mean <= fp32.largest <= 1e-4 < bf16.largest
    assert fp32.mean < bf16.mean < int8.mean and fp32.logits < bf16.logits
    assert [row.score is None for row in table.rows[:3]] == [True, False, False]


def test_no_stderr_is_needed(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert len(verify(ordinary, ["fp32"], length=8, progress=True).rows) == 3


def test_in_fp32_the_noise_of_the_reference_is_told(ordinary: Path) -> None:
    table = verify(ordinary, ("fp32", "bf16"))
    for row in table.rows:
        assert (row.noise is None) == (row.precision != "fp32")
    noise = [row.noise for row in table.rows[:3]]
    assert all(0 < floor < 1e-4 for floor in noise if floor is not None)
    assert [row.bound for row in table.rows[:3]] == [1e-4] * 3


def difference(largest: float, noise: float | None, precision: str = "fp32") -> Difference:
    return Difference(precision, "portable", "base", largest, largest / 9, 1e-3, None, noise)


def test_a_model_is_judged_by_its_own_noise() -> None:
    assert difference(1.7e-4, 5e-5).is_within and difference(1.7e-4, 5e-5).bound == 2e-4
    assert not difference(2.1e-4, 5e-5).is_within
    assert not difference(1.7e-4, 4e-5).is_within
    assert not difference(1.1e-4, 0.0).is_within and difference(9e-5, 0.0).is_within
    assert difference(1.0, None, "int8").bound == BOUNDS["int8"]
    for broken in (math.inf, math.nan):  # a reference that gives no numbers allows nothing
        assert difference(0.0, broken).bound == 1e-4


def test_the_noise_is_that_of_the_model_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peaked attention amplifies rounding; each reading has a floor of its own."""
    peaked = make_family_folder(tmp_path, "gemma2", "capped", tokenizer=True)
    table = verify(peaked, ("fp32",))
    floors = [row.noise for row in table.rows]
    assert len(set(floors)) == 3
    monkeypatch.setattr(reference_module.Reference, "_move_weights", lambda *_: None)
    assert [row.noise for row in verify(peaked, ("fp32",)).rows] == [0, 0, 0]


def test_lower_precisions_rank_texts_by_the_models_own_heads(
    ordinary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(ordinary, tmp_path / "with-heads")
    model = load(path)
    scores = np.full((model.n_layers, model.n_heads), 0.1)
    own = ((1, 2), (0, 1))
    head_scores(scores, own, model_fingerprint=model.fingerprint).save(path / "heads.json")
    table = verify(path, ("fp32", "bf16", "int8"))
    assert [(r.precision, r.own_heads) for r in table.rankings] == [("bf16", True), ("int8", True)]
    bf16, int8 = (ranking.rounding for ranking in table.rankings)
    assert 0 < bf16.moved < int8.moved and 0 < bf16.error < int8.error
    assert bf16.spearman > int8.spearman > 0 and bf16.overlap >= int8.overlap
    # The heads of heads.json, not those that transformers is compared with.
    ids = package_ids(model.tokenizer, model.vocab_size, TEXTS, LONGEST)
    exact = read_both(load(path, precision="fp32").core, ids, model.mask_matrix(own), 1)
    rounded = read_both(load(path, precision="int8").core, ids, model.mask_matrix(own), 1)
    assert rounding_of(exact, rounded) == int8
    cli.main(["verify", str(path), "--precision", "int8"])
    output = capsys.readouterr()
    assert "scores of 60 texts with the model's own heads, against fp32" in output.err
    assert json.loads(output.out)["rankings"][0]["moved"] == int8.moved


def test_heads_of_another_model_are_told_before_minutes_are_spent(
    ordinary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shutil.copytree(ordinary, tmp_path / "other")
    head_scores(np.full((3, 4), 0.1), ((0, 1),)).save(path / "heads.json")
    monkeypatch.setattr(compare_module, "compare", None)
    with pytest.raises(ModelError, match="these are heads of another model"):
        verify(path, ("int8",))


def test_a_precision_that_moves_losses_too_far_is_told() -> None:
    def table(moved: float, error: float, own_heads: bool) -> ErrorTable:
        rounding = Rounding(60, 9000, moved, error, 0.9, 0.5)
        rankings = (Ranking("int8", "portable", own_heads, rounding),)
        return ErrorTable((), rankings, 5, 900, 640, 0, ((0, 1),), {})

    assert table(0.04, 0.05, True).excess == ""
    assert table(0.16, 0.05, True).excess == (
        "the losses of 60 texts in int8 differ from those in fp32 by 0.16 nat on average,"
        " expected at most 0.045"
    )
    assert table(0.04, 0.2, True).excess == (
        "the scores of 60 texts in int8 differ from those in fp32 by 0.2 of their spread,"
        " expected at most 0.053"
    )
    assert table(0.04, 0.2, False).excess == ""  # nobody selects by random heads
    assert table(math.nan, 0.0, True).excess and table(0.04, math.inf, True).excess
    json.dumps(table(math.nan, math.inf, True).as_dict(), allow_nan=False)


def test_masked_readings_are_of_masked_heads(ordinary: Path) -> None:
    """The three readings differ by far more than any bound, so that none can stand in."""
    model = load(ordinary, precision="fp32")
    masked = choose_heads(model.n_layers, model.n_heads, seed=0)
    ids = make_documents(model)[4]
    base, uniform = model.core.run([ids], variants=masked[np.newaxis])[0]
    zero = model.core.run([ids], variants=masked[np.newaxis], mask="zero")[0][1]
    for a, b in ((base, uniform), (base, zero), (uniform, zero)):
        assert np.abs(a - b).max() > 10 * BOUNDS["fp32"]


def test_a_tokenizer_of_more_ids_than_the_model(misfit_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"of 270 ids, and the tokenizer in .* has 277"):
        verify(misfit_folder)


@pytest.fixture
def perturbed(ordinary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that verify opens; its reference has one tensor a thousandth larger."""
    config, tensors = read_folder(ordinary)
    name = "model.layers.1.mlp.down_proj.weight"
    write_folder(tmp_path / "other", config, tensors | {name: tensors[name] * np.float32(1.001)})

    class Other(reference_module.Reference):
        def __init__(self, folder: str | Path) -> None:
            assert Path(folder) == ordinary
            super().__init__(tmp_path / "other")

    monkeypatch.setattr(reference_module, "Reference", Other)
    return ordinary


def test_a_wrong_number_is_noticed(perturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", str(perturbed), "--precision", "fp32"]) == 1
    output = capsys.readouterr()
    assert "the base losses in fp32 differ from transformers by up to" in output.err
    assert "nat, expected at most 0.0001" in output.err
    found = json.loads(output.out)
    assert [row["within"] for row in found["rows"]] == [False] * 3


def test_the_command(ordinary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["verify", str(ordinary), "--precision", "bf16", "--kernel", "portable"])
    output = capsys.readouterr()
    assert status == 0 and "differences from transformers over" in output.err
    found = json.loads(output.out)
    assert set(found) == {
        *("model", "commit", "documents", "tokens", "longest", "window", "window_passed"),
        *("heads", "versions", "rows", "rankings"),
    }
    assert set(found["versions"]) == {"transformers", "torch"}
    assert f"versions: transformers {found['versions']['transformers']}, torch" in output.err
    assert "kernels: bf16 portable\n" in output.err
    assert output.err.endswith("every difference is within what is allowed\n")
    assert max(map(len, output.err.splitlines())) <= 80
    assert [row["kernel"] for row in found["rows"]] == ["portable"] * 3
    assert set(found["rows"][0]) == {
        *("precision", "kernel", "reading", "largest", "mean", "logits", "score", "noise"),
        *("bound", "within"),
    }
    assert found["rows"][0]["score"] is None and found["rows"][1]["score"] > 0
    assert found["rows"][0]["noise"] is None
    (ranking,) = found["rankings"]
    assert set(ranking) == {
        *("precision", "kernel", "own_heads", "texts", "tokens", "moved", "error", "spearman"),
        *("overlap", "bound", "error_bound", "within"),
    }
    assert ranking["precision"] == "bf16" and ranking["texts"] == 60
    assert "scores of 60 texts with random heads, against fp32" in output.err


def test_random_ids_where_there_is_no_tokenizer(ordinary: Path, tmp_path: Path) -> None:
    path = shutil.copytree(ordinary, tmp_path / "bare")
    for file in path.glob("*token*"):
        file.unlink()
    table = verify(path, ("fp32",))
    assert table.excess == "" and table.documents == 4 and table.tokens == 1 + 32 + 159 + 511


def test_documents_are_cut_to_the_context(tmp_path: Path) -> None:
    """A model that learned its positions reads no more than those."""
    settings = {"max_position_embeddings": 64}
    path = make_family_folder(tmp_path, "gpt2", "plain", settings=settings, ordinary=True)
    table = verify(path, ("fp32",))
    assert table.excess == "" and table.tokens == 1 + 32 + 63 + 63


def test_what_is_not_a_number_is_beyond_any_bound(
    ordinary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, core: _core.Model) -> None:
            self.core = core

        def __getattr__(self, name: str) -> Any:
            return getattr(self.core, name)

        def run(self, *arguments: Any, **options: Any) -> Any:
            found = self.core.run(*arguments, **options)
            return [losses * np.float32(np.nan) for losses in found]

    model = load(ordinary, precision="fp32")
    monkeypatch.setattr(model, "core", Broken(model.core))
    table = verify(model, ("fp32",))
    assert "by up to inf nat" in table.excess
    json.dumps(table.as_dict(), allow_nan=False)


def test_the_logits_of_one_document_are_in_memory_at_a_time(
    ordinary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a vocabulary of 256,000 would fill a machine that holds the models."""
    held: list[weakref.ref[Any]] = []
    read = reference_module.Reference.read

    def watched(self: Any, *arguments: Any) -> Any:
        assert sum(reference() is not None for reference in held) <= 1
        reading = read(self, *arguments)
        held.append(weakref.ref(reading.logits))
        return reading

    monkeypatch.setattr(reference_module.Reference, "read", watched)
    assert verify(ordinary, ("fp32", "int8")).excess == ""
    assert len(held) == 5 * len(READINGS) * (1 + SEEDS)


def test_the_weights_are_opened_once_in_each_precision(
    ordinary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, opened = load(ordinary, precision="bf16"), []

    def counted(*arguments: Any) -> _core.Model:
        opened.append(arguments[1:])
        return _core.Model(*arguments)

    monkeypatch.setattr(compare_module, "Core", counted)
    verify(model, ("fp32", "bf16"))
    assert opened == [("fp32", None)]
    rows = verify(model, ("bf16",), kernel="portable").rows
    assert opened[1:] == [("bf16", "portable")] and rows[0].kernel == "portable"


@pytest.fixture(scope="module")
def wide_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mistral whose window is wider than the texts that are read unasked."""
    settings = {"sliding_window": 1100, "max_position_embeddings": 1300}
    path = tmp_path_factory.mktemp("mistral")
    return make_family_folder(
        path, "mistral", "window", tokenizer=True, ordinary=True, settings=settings
    )


def test_a_wide_window_is_passed_when_asked_for(
    wide_window: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """One key more in the window of one side is seen past it, and only there."""
    config, tensors = read_folder(wide_window)
    other = {**config, "sliding_window": config["sliding_window"] + 1}
    write_folder(tmp_path / "other", other, tensors)
    opener = reference_module.Reference
    monkeypatch.setattr(reference_module, "Reference", lambda _: opener(tmp_path / "other"))
    command = ["verify", str(wide_window), "--precision", "fp32"]
    assert cli.main(command) == 0
    output = capsys.readouterr()
    assert "no text was longer than the window of 1,100 tokens, which --length 1228" in output.err
    assert json.loads(output.out)["window_passed"] is False
    assert cli.main([*command, "--length", "1228"]) == 1
    output = capsys.readouterr()
    assert "no text was longer" not in output.err
    assert json.loads(output.out)["longest"] == 1228


@pytest.mark.parametrize(
    ("window", "context", "longest"),
    [(0, 4096, 640), (0, 64, 64), (40, 512, 512), (128, 8192, 640), (700, 8192, 828)]
    + [(1024, 8192, 1152), (1024, 1100, 1100), (4096, 8192, 640)],
)
def test_the_longest_document(ordinary: Path, window: int, context: int, longest: int) -> None:
    model: Any = SimpleNamespace(
        core=SimpleNamespace(window=window),
        context=context,
        has_tokenizer=True,
        tokenizer=load(ordinary).tokenizer,
        vocab_size=load(ordinary).vocab_size,
    )
    assert max(map(len, make_documents(model))) == longest


@pytest.mark.parametrize("length", [1, 513, 0])
def test_lengths_that_cannot_be(ordinary: Path, length: int) -> None:
    with pytest.raises(ValueError, match=r"length must be 2\.\.512 tokens"):
        verify(ordinary, ("fp32",), length=length)


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_it_says_what_to_install(
    ordinary: Path,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delitem(sys.modules, "attninfluence.verify.reference")
    monkeypatch.setitem(sys.modules, missing, None)
    assert cli.main(["verify", str(ordinary)]) == 2
    assert 'pip install "attninfluence[verify]"' in capsys.readouterr().err


def test_what_cannot_be_compared_is_one_sentence(
    ordinary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    assert cli.main(["verify", str(tmp_path)]) == 2
    assert "mamba" in capsys.readouterr().err.splitlines()[-1]

    def fail(folder: str) -> None:
        raise RuntimeError("size mismatch for\n  lm_head.weight")

    monkeypatch.setattr(reference_module, "Reference", fail)
    assert cli.main(["verify", str(ordinary)]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("attninfluence verify: error: transformers cannot open '")
    assert told.endswith("': size mismatch for lm_head.weight")


def test_precisions_that_are_none(ordinary: Path) -> None:
    for wrong in ((), ("fp16",), ("auto",)):
        with pytest.raises(ValueError, match="precisions must be of fp32, bf16, int8"):
            verify(ordinary, wrong)
