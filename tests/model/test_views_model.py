"""What a Model shows: the facts of `inspect`, whatever the folder holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import attninfluence as ai
from attninfluence.model import model as model_module
from attninfluence.model.lines import lines_of
from attninfluence.views.facts import fact_lines
from attninfluence.views.words import escape
from tests.kit.made_heads import head_scores
from tests.views.test_views_pieces import HOSTILE, tags


def test_a_model_shows_what_inspect_says(tiny_folder: Path) -> None:
    model = ai.load(tiny_folder, precision="fp32", threads=2)
    view = model.view()
    lines = [*lines_of(model.describe()), ("threads", "2")]
    for label, text in lines:
        assert escape(text) in view.body and f">{label}<" in view.body + "><"
    assert repr(view).splitlines() == fact_lines(lines)
    assert model._repr_html_() == view._repr_html_()
    assert view.title == f"Model {tiny_folder.name}"
    assert "\n" not in repr(model)
    allowed = "div style h2 table tbody tr th td br"
    assert {tag for tag, _ in tags(model._repr_html_())} == set(allowed.split())


def test_retrieval_heads_are_told(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    assert "no heads.json in the folder" in ai.load(folder).view().body
    head_scores([[0.9] * 30], samples=99, n_counted=90).select(count=22).save(folder / "heads.json")
    body = ai.load(folder).view().body
    assert "(0,\N{NO-BREAK SPACE}19), and 2 more" in body
    assert "22 of 22 selected" in body


def test_files_that_cannot_be_read_are_named(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "heads.json").write_text("{}", encoding="utf-8")
    view = ai.load(folder).view()
    assert "heads.json: not a heads.json: no &#x27;format&#x27;" in view.body
    assert "3 layers x 4 heads" in view.body


def test_large_weights_are_not_read_to_be_looked_at(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ai.load(tiny_folder)
    monkeypatch.setattr(model_module, "QUICK_BYTES", 10)
    assert "not computed yet" in model.view().body
    assert model.fingerprint[:12] in model.view().body


def test_a_hostile_folder_name_shows_as_text(plain_folder: Path, tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "").replace("\x00", "").replace("\ud83d", "")
    folder = shutil.copytree(plain_folder, tmp_path / name)
    model: Any = ai.load(folder)
    page = model.view().to_html()
    assert "<script" not in page and "\u202e" not in page
    assert "&lt;script&gt;" in page
