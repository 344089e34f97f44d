"""A precision that would disturb the score is told of where the score is computed."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import attninfluence as ai
from attninfluence import cli
from attninfluence.heads.head_scores import HeadScores
from attninfluence.model.opening import bundled_folder
from attninfluence.scores.rounding import MOST_MOVED, RoundingWarning, warn_of_rounding

TEXTS = ["The keeper wrote down the hour, and the hour was late, and the keeper wrote it down."]


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """Heads of the bundled model, with a move in int8 as of a model with outliers."""
    stored = ai.load().heads
    assert stored is not None
    replace(stored, rounding={"bf16": 0.006, "int8": 0.19}).save(tmp_path / "heads.json")
    return tmp_path / "heads.json"


def test_int8_of_a_model_that_it_disturbs_warns_with_the_figure(heads: Path) -> None:
    for given in (heads, HeadScores.load(heads)):
        model = ai.load(precision="int8")
        with pytest.warns(RoundingWarning, match=r"in int8 a token's loss moves by 0\.19 nat .*"):
            ai.score(TEXTS, model=model, heads=given)


def test_other_precisions_and_heads_do_not_warn(heads: Path) -> None:
    """Nor does opening, nor the bundled model in any precision, nor pairs, of which none knows."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for precision in ("fp32", "bf16"):
            ai.score(TEXTS, model=ai.load(precision=precision), heads=heads)
        int8 = ai.load(precision="int8")
        ai.score(TEXTS, model=int8)
        ai.score(TEXTS, model=int8, heads=[(3, 0)])


def test_the_heads_of_the_models_folder_warn_too(heads: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundled_folder(), tmp_path / "model")
    shutil.copy(heads, folder / "heads.json")
    with pytest.warns(RoundingWarning):
        ai.score(TEXTS, model=ai.load(folder, precision="int8"))


def test_the_command_line_tells_it_in_a_line(
    heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": "a", "text": TEXTS[0]}) + "\n")
    command = ["score", str(tmp_path / "in.jsonl"), "--heads", str(heads), "--precision"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as where no test turns warnings into errors
        assert cli.main([*command, "int8", "-o", str(tmp_path / "int8")]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert line.startswith("attninfluence score: warning: in int8 a token's loss moves by 0.19 nat")
    assert cli.main([*command, "bf16", "-o", str(tmp_path / "bf16")]) == 0
    assert "warning" not in capsys.readouterr().err


def test_the_bound_is_that_of_a_selection() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_rounding(None, "int8")
        warn_of_rounding({}, "int8")
        warn_of_rounding({"int8": MOST_MOVED}, "int8")
        with pytest.raises(RoundingWarning, match="take bf16"):
            warn_of_rounding({"int8": MOST_MOVED + 0.001}, "int8")
        with pytest.raises(RoundingWarning, match="take fp32"):
            warn_of_rounding({"bf16": float("inf")}, "bf16")


def test_a_search_measures_it() -> None:
    found = ai.find_retrieval_heads(ai.load(), samples=4, max_length=600, progress=False)
    assert found.rounding is not None
    assert 0 < found.rounding["bf16"] < found.rounding["int8"] < MOST_MOVED
    stored = ai.load().heads
    assert stored is not None and stored.rounding == pytest.approx(found.rounding, rel=0.2)
