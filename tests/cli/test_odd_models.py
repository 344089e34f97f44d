"""Model folders that are not quite what a model folder is: each command ends in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from attninfluence import cli, load
from tests.kit.made_heads import head_scores
from tests.kit.tiny_models import make_llama_folder

BEYOND = "of 270 ids, and the tokenizer in"


@pytest.mark.parametrize("command", ["heads MODEL -o heads.json --samples 2", "verify MODEL"])
def test_a_tokenizer_of_more_ids_is_named(
    misfit_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [str(misfit_folder) if word == "MODEL" else word for word in command.split()]
    assert cli.main(words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert BEYOND in error and "has 277" in error


def test_inspect_says_both_sizes(misfit_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(misfit_folder)]) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert (found["vocabulary"], found["tokenizer"]["vocabulary"]) == (270, 277)
    assert "the model has 270; a text with another token is not scored" in output.err


def test_score_says_why_the_tokenizer_failed(
    misfit_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    fingerprint = load(misfit_folder).fingerprint
    head_scores(np.eye(3, 4), [(0, 0)], model_fingerprint=fingerprint).save("heads.json")
    Path("a.jsonl").write_text('{"text": "b c"}\n{"text": "on is"}\n')
    command = "score a.jsonl -o scores --heads heads.json --model"
    assert cli.main([*command.split(), str(misfit_folder)]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["statuses"] == {"ok": 1, "tokenizer_error": 1}
    assert "the tokenizer has 277 ids and the model's vocabulary 270: a text with" in output.err


def test_a_shard_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_llama_folder(tmp_path / "model", shards=3)
    next(folder.glob("model-00002*")).unlink()
    assert cli.main(["inspect", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "the model is not complete, as it has no model-00002-of-00003.safetensors" in error
    assert "which its model.safetensors.index.json names; download that file" in error
