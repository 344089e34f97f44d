"""Heads that come with the package are found by the model's fingerprint, and by nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import attninfluence as ai
from attninfluence.heads import stored
from attninfluence.heads.head_scores import HeadScores
from attninfluence.heads.stored import stored_heads_file
from attninfluence.model import lines
from attninfluence.model.lines import lines_of
from tests.kit.made_heads import head_scores


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in place of the package's."""
    folder = tmp_path / "stored"
    folder.mkdir()
    monkeypatch.setattr(stored, "FOLDER", folder)
    monkeypatch.setattr(lines, "FOLDER", folder)
    yield folder
    stored._stored.cache_clear()


def test_a_model_without_a_heads_json_has_those_of_the_package(
    tiny_folder: Path, shelf: Path, tmp_path: Path
) -> None:
    model = ai.load(tiny_folder)
    made = head_scores(np.full((3, 4), 0.2), ((1, 2),), model_fingerprint=model.fingerprint)
    made.save(shelf / "Tiny.json")
    assert model.heads_file == shelf / "Tiny.json"
    assert model.heads is not None and model.heads.selected == ((1, 2),)
    assert len(ai.score(["A text and a text."], model=model).score) == 1
    told = dict(lines_of(model.describe()))
    assert told["retrieval heads"] == "(1,\N{NO-BREAK SPACE}2)"
    assert "as the package has them stored" in str(lines_of(model.describe()))
    # A file beside the model is taken before it.
    folder = shutil.copytree(tiny_folder, tmp_path / "own")
    head_scores(np.full((3, 4), 0.2), ((0, 0),), model_fingerprint=model.fingerprint).save(
        folder / "heads.json"
    )
    own = ai.load(folder)
    assert own.heads_file == folder / "heads.json"
    assert own.heads is not None and own.heads.selected == ((0, 0),)
    assert "as the package has them stored" not in str(lines_of(own.describe()))


def test_another_model_of_that_shape_has_none(tiny_folder: Path, shelf: Path) -> None:
    head_scores(np.full((3, 4), 0.2), ((1, 2),)).save(shelf / "Other.json")
    model = ai.load(tiny_folder)
    assert model.heads_file is None and model.heads is None
    assert model.describe()["heads_file"] is None
    with pytest.raises(ai.ModelError, match=r"has no heads\.json"):
        ai.score(["A text."], model=model)


def test_no_fingerprint_is_computed_for_a_shape_that_is_not_stored(shelf: Path) -> None:
    """It may take reading many gigabytes."""

    def fingerprint() -> str:
        raise AssertionError

    head_scores(np.full((3, 4), 0.2), ((1, 2),)).save(shelf / "Other.json")
    assert stored_heads_file((3, 5), fingerprint) is None
    with pytest.raises(AssertionError):
        stored_heads_file((3, 4), fingerprint)


@pytest.mark.parametrize("path", sorted(stored.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_stored_file_says_how_it_was_found(path: Path) -> None:
    heads = HeadScores.load(path)
    assert len(heads.model_fingerprint) == 64
    assert heads.options["seed"] == 0 and heads.options["samples"] == heads.samples
    assert heads.samples >= 48 and heads.n_counted / heads.samples > 0.9
    assert heads.selected and heads.scores[heads.selected[0]] > 0.5
    assert heads.rounding is not None and 0 < heads.rounding["bf16"] < heads.rounding["int8"]
