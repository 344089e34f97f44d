"""The scores of heads as a value: selection, controls, and heads.json."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attninfluence import ModelError
from attninfluence.model.opening import bundled_folder
from attninfluence.retrieval.find import HeadScores
from tests.kit.made_heads import head_scores


@pytest.mark.parametrize(
    ("shape", "fraction", "n"),
    [
        ((28, 20), 0.05, 28),
        ((16, 20), 0.05, 16),
        ((10, 10), 0.07, 7),  # 100 * 0.07 is more than 7 in floating point
        ((10, 10), 0.29, 29),
        ((30, 9), 0.05, 14),  # 13.5
        ((1, 1), 0.05, 1),
        ((3, 4), 1, 12),
        ((3, 4), np.float64(0.25), 3),
    ],
)
def test_the_number_of_heads_is_exact(shape: tuple[int, int], fraction: float, n: int) -> None:
    scores = np.random.default_rng(0).random(shape)
    assert len(head_scores(scores).select(fraction=fraction).selected) == n


def test_ranking_and_ties() -> None:
    scores = head_scores([[0.1, 0.5, 0.5], [0.5, 0.9, 0.1]])
    assert scores.ranking() == [(1, 1), (0, 1), (0, 2), (1, 0), (0, 0), (1, 2)]
    assert scores.select(count=3).selected == ((1, 1), (0, 1), (0, 2))
    assert scores.select(threshold=0.5).selected == ((1, 1), (0, 1), (0, 2), (1, 0))
    assert scores.select(threshold=0.95).selected == ()
    assert scores.select(fraction=0.5).options == {
        "seed": 3,
        "fraction": 0.5,
        "count": None,
        "threshold": None,
    }
    with pytest.raises(ValueError, match="give one of fraction, count and threshold, not none"):
        scores.select()


@given(
    st.integers(1, 6),
    st.integers(1, 8),
    st.integers(0, 2**32),
    st.data(),
)
def test_controls_avoid_the_selected(layers: int, width: int, seed: int, data: Any) -> None:
    scores = np.random.default_rng(seed).integers(0, 4, (layers, width)) / 3
    count = data.draw(st.integers(1, layers * width))
    chosen = head_scores(scores).select(count=count)
    if 2 * count > layers * width:
        with pytest.raises(ValueError, match=f"a control of {count} heads cannot be drawn"):
            chosen.random_control(seed)
        return
    control = chosen.random_control(seed)
    assert control == chosen.random_control(seed) == sorted(set(control))
    assert len(control) == count
    assert not set(control) & set(chosen.selected)
    assert all(0 <= layer < layers and 0 <= head < width for layer, head in control)
    assert all(type(number) is int for pair in control for number in pair)


def test_controls_are_drawn_from_all_other_heads() -> None:
    chosen = head_scores(np.eye(4)).select(count=4)
    drawn = {head for seed in range(100) for head in chosen.random_control(seed)}
    assert len(drawn) == 12


def test_saved_and_loaded(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((3, 5))
    saved = head_scores(scores, options={"seed": 1, "corpus": "Bücher.txt"}).select(count=2)
    path = tmp_path / "heads.json"
    path.write_text("older", encoding="utf-8")
    saved.save(path)
    assert os.listdir(tmp_path) == ["heads.json"]
    loaded = HeadScores.load(str(path))
    assert np.array_equal(loaded.scores, saved.scores)
    assert np.array_equal(loaded.standard_error, saved.standard_error)
    for name in "selected samples n_counted success_rate model_fingerprint options".split():
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.interval is None and loaded.sample_share is None


def test_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    head_scores([[0.5, 0.25]], [(0, 0)]).save("~/heads.json")
    assert HeadScores.load("~/heads.json").selected == ((0, 0),)
    assert (tmp_path / "heads.json").is_file()


def test_intervals_are_kept(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).random((3, 5))
    interval = np.stack([scores * 0.9, scores + 0.1 * (1 - scores)])
    saved = head_scores(scores, interval=interval, sample_share=scores**2)
    saved.save(tmp_path / "h.json")
    loaded = HeadScores.load(tmp_path / "h.json")
    assert loaded.interval is not None and np.array_equal(loaded.interval, interval)
    assert loaded.sample_share is not None and np.array_equal(loaded.sample_share, scores**2)
    assert np.array_equal(loaded.bounds(), interval)
    assert json.loads((tmp_path / "h.json").read_text())["version"] == 3


def test_a_file_of_version_1_has_standard_errors_only(tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(json.dumps(GOOD), encoding="utf-8")
    old = HeadScores.load(tmp_path / "h.json")
    assert old.interval is None and old.sample_share is None
    low, high = old.bounds()
    assert low == pytest.approx(np.array([[0.0804, 0.1608], [0.3, 0.204]]))
    assert high == pytest.approx(np.array([[0.1196, 0.2392], [0.3, 0.596]]))
    clipped = head_scores([[0.01, 0.99]], standard_error=np.array([[0.1, 0.1]])).bounds()
    assert clipped.min() == 0 and clipped.max() == 1


def test_the_bundled_file_is_of_the_newest_version() -> None:
    heads = HeadScores.load(Path(bundled_folder(), "heads.json"))
    assert heads.interval is not None and heads.sample_share is not None
    assert heads.stability().enough
    assert heads.sample_share[3, 0] == heads.sample_share[3, 1] == 1


def test_tables_have_a_row_a_head() -> None:
    scores = np.array([[0.1, 0.5], [0.25, 0.0]])
    interval = np.stack([scores * 0.9, scores * 1.1])
    heads = head_scores(scores, interval=interval, sample_share=scores * 2).select(count=2)
    frame, table = heads.to_pandas(), heads.to_arrow()
    assert table.to_pylist() == frame.to_dict("records")
    assert table.to_pylist()[2] == {
        "layer": 1,
        "head": 0,
        "score": 0.25,
        "standard_error": 0.25 / 7,
        "interval_low": 0.25 * 0.9,
        "interval_high": 0.25 * 1.1,
        "sample_share": 0.5,
        "selected": True,
        "rank": 2,
    }
    assert frame["rank"].tolist() == [3, 1, 2, 4]
    assert frame["selected"].tolist() == [False, True, True, False]


def test_tables_have_null_where_there_is_no_number() -> None:
    nothing = np.full((1, 2), np.nan)
    table = head_scores(nothing, standard_error=nothing, n_counted=0).to_arrow()
    names = ("score", "standard_error", "interval_low", "interval_high", "sample_share")
    assert all(table[name].null_count == 2 for name in names)
    assert table["rank"].to_pylist() == [1, 2]


def test_no_pandas_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_pandas\\(\\) needs pandas: pip install pandas"):
        head_scores([[0.5]]).to_pandas()


def test_a_name_that_ends_in_html_gets_the_page(tmp_path: Path) -> None:
    heads = head_scores([[0.5]]).select(count=1)
    heads.save(tmp_path / "heads.html")
    assert (tmp_path / "heads.html").read_text(encoding="utf-8") == heads.view().to_html()
    heads.save(tmp_path / "heads.htm")
    assert HeadScores.load(tmp_path / "heads.htm").selected == ((0, 0),)


def test_scores_without_numbers_are_saved_as_null(tmp_path: Path) -> None:
    nothing = np.full((2, 2), np.nan)
    head_scores(nothing, standard_error=nothing, n_counted=0).save(tmp_path / "h.json")
    loaded = HeadScores.load(tmp_path / "h.json")
    assert np.isnan(loaded.scores).all()
    assert repr(loaded).splitlines()[0] == "HeadScores: 0 of 4 heads selected; 2 layers of 2 heads"
    assert json.loads((tmp_path / "h.json").read_text())["scores"] == [[None, None]] * 2


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "heads.json"
    head_scores([[0.5]]).save(path)
    before = path.read_bytes()

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("attninfluence.base.replacing.sync", full)
    with pytest.raises(OSError, match="No space left"):
        head_scores([[0.9]]).save(path)
    assert os.listdir(tmp_path) == ["heads.json"]
    assert path.read_bytes() == before


GOOD = {
    "format": "attninfluence-heads",
    "version": 1,
    "model": "0123456789abcdef",
    "options": {},
    "samples": 10,
    "counted": 9,
    "success_rate": 0.9,
    "scores": [[0.1, 0.2], [0.3, 0.4]],
    "standard_error": [[0.01, 0.02], [0.0, 0.1]],
    "selected": [[1, 1]],
}


def test_the_good_file_is_good(tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(json.dumps(GOOD), encoding="utf-8")
    assert HeadScores.load(tmp_path / "h.json").selected == ((1, 1),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "attninfluence-scores"),
        ("version", 0),
        ("version", 3),
        ("version", True),
        ("model", ""),
        ("model", None),
        ("options", []),
        ("samples", 0),
        ("samples", 10.0),
        ("counted", 11),
        ("counted", -1),
        ("counted", 0),  # with scores
        ("success_rate", 1.1),
        ("success_rate", "0.9"),
        ("scores", []),
        ("scores", [[]]),
        ("scores", [[0.1, 0.2], [0.3]]),
        ("scores", [[0.1, 0.2], [0.3, 1.4]]),
        ("scores", [[0.1, 0.2], [0.3, -0.4]]),
        ("scores", [[0.1, 0.2], [0.3, None]]),
        ("scores", [[0.1, 0.2], [0.3, True]]),
        ("scores", [[0.1, 0.2], [0.3, [0.4]]]),
        ("scores", [[0.1, 0.2], [0.3, 10**400]]),
        ("scores", {"0": [0.1]}),
        ("standard_error", [[0.1, 0.2]]),
        ("standard_error", [[0.1, 0.2], [0.3, None]]),
        ("selected", [[2, 0]]),
        ("selected", [[0, -1]]),
        ("selected", [[0, 1], [0, 1]]),
        ("selected", [[0]]),
        ("selected", [[0, 1, 1]]),
        ("selected", [[0, 1.0]]),
        ("selected", [[0, True]]),
        ("selected", ["01"]),
        ("selected", 3),
    ],
)
def test_hostile_values_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "h.json"
    path.write_text(json.dumps(GOOD | {name: value}), encoding="utf-8")
    with pytest.raises(ModelError, match=re.escape(str(path))):
        HeadScores.load(path)


LOW, HIGH = [[0.08, 0.16], [0.3, 0.2]], [[0.12, 0.24], [0.3, 0.6]]
GOOD_2 = GOOD | {
    "version": 2,
    "interval": [LOW, HIGH],
    "sample_share": [[0.5, 0.6], [0.7, 0.8]],
}


def test_a_good_file_of_version_2(tmp_path: Path) -> None:
    for content in (GOOD_2, GOOD_2 | {"interval": None, "sample_share": None}):
        (tmp_path / "h.json").write_text(json.dumps(content), encoding="utf-8")
        loaded = HeadScores.load(tmp_path / "h.json")
        assert (loaded.interval is None) == (content["interval"] is None)
        assert (loaded.sample_share is None) == (content["sample_share"] is None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 1),  # which had no intervals
        ("interval", []),
        ("interval", [LOW]),
        ("interval", [LOW, HIGH, HIGH]),
        ("interval", [HIGH, LOW]),
        ("interval", [LOW, [[0.12, 0.24]]]),
        ("interval", [[[0.08], [0.3]], [[0.12], [0.3]]]),
        ("interval", [[[0.11, 0.16], [0.3, 0.2]], HIGH]),
        ("interval", [LOW, [[0.12, 0.24], [0.3, 0.39]]]),
        ("interval", [LOW, [[0.12, 0.24], [0.3, 1.6]]]),
        ("interval", [[[None, None], [None, None]]] * 2),
        ("interval", "wide"),
        ("sample_share", [[0.5, 0.6]]),
        ("sample_share", [[0.5, 0.6], [0.7, 1.8]]),
        ("sample_share", [[None, None], [None, None]]),
    ],
)
def test_hostile_intervals_are_refused(tmp_path: Path, name: str, value: Any) -> None:
    path = tmp_path / "h.json"
    path.write_text(json.dumps(GOOD_2 | {name: value}), encoding="utf-8")
    with pytest.raises(ModelError, match=re.escape(str(path))):
        HeadScores.load(path)


GOOD_3 = GOOD_2 | {"version": 3, "rounding": {"bf16": 0.011, "int8": None}}


def test_a_good_file_of_version_3(tmp_path: Path) -> None:
    for content in (GOOD_3, GOOD_3 | {"rounding": None}):
        (tmp_path / "h.json").write_text(json.dumps(content), encoding="utf-8")
        loaded = HeadScores.load(tmp_path / "h.json")
        expected = None if content["rounding"] is None else {"bf16": 0.011, "int8": math.inf}
        assert loaded.rounding == expected
        loaded.save(tmp_path / "again.json")
        assert json.loads((tmp_path / "again.json").read_text()) == content


@pytest.mark.parametrize(
    "value",
    ["wide", [], {"fp16": 0.1}, {"int8": -0.1}, {"int8": "0.1"}, {"int8": True}, {"bf16": [0.1]}],
)
def test_hostile_rounding_is_refused(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "h.json"
    path.write_text(json.dumps(GOOD_3 | {"rounding": value}), encoding="utf-8")
    with pytest.raises(ModelError, match="rounding must be an object of nats by bf16 and int8"):
        HeadScores.load(path)


@pytest.mark.parametrize("name", list(GOOD_3))
def test_nothing_may_be_missing(tmp_path: Path, name: str) -> None:
    content = {key: value for key, value in GOOD_3.items() if key != name}
    (tmp_path / "h.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match=f"no '{name}'"):
        HeadScores.load(tmp_path / "h.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        json.dumps(GOOD).encode()[:-1],
        json.dumps(GOOD).replace("0.4", "NaN").encode(),
        json.dumps(GOOD).replace("0.4", "1" + "0" * 9999).encode(),
        json.dumps(GOOD).replace("0.4", "1e999").encode(),
        json.dumps(GOOD).replace('"options": {}', '"options": {"x": NaN}').encode(),
        json.dumps(GOOD).replace('"samples": 10', '"samples": 10, "samples": 10').encode(),
        json.dumps(GOOD | {"more": 1}).encode(),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "h.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(str(path))) as caught:
        HeadScores.load(path)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HeadScores.load(tmp_path / "h.json")
