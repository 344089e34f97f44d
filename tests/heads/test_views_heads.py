"""What a HeadScores shows: its numbers, on any shape, within a page's bounds."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from attninfluence.retrieval.find import HeadScores
from attninfluence.views.heatmap import heatmap_top
from attninfluence.views.words import number
from tests.kit.made_heads import head_scores
from tests.views.test_views_pieces import tags


def searched(shape: tuple[int, int], seed: int = 0, **other: Any) -> HeadScores:
    scores = np.random.default_rng(seed).random(shape)
    interval = np.stack([scores * 0.95, scores + 0.05 * (1 - scores)])
    values = {"samples": 100, "n_counted": 90, "sample_share": scores**0.5}
    return head_scores(scores, interval=interval, **(values | other))


def rows(body: str) -> list[list[str]]:
    """The cells of each row of the table, as text."""
    found = re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", body)
    cells = [re.split(r"</t[hd]>", re.sub(r"<svg.*?</svg>", "", row)) for row in found]
    return [[re.sub(r"<[^>]*>", "", cell) for cell in row[:-1]] for row in cells]


def test_the_numbers_are_those_of_the_search() -> None:
    heads = searched((3, 4)).select(count=2)
    listed = rows(heads.view().body)
    assert len(listed) == 12
    ranking = heads.ranking()
    assert heads.interval is not None and heads.sample_share is not None
    for head, cells in zip(ranking, listed, strict=True):
        low, high = heads.interval[(slice(None), *head)]
        assert cells[0] == f"layer {head[0]}, head {head[1]}"
        assert cells[1] == number(heads.scores[head])
        assert cells[2] == f"{number(low)} to {number(high)}"
        assert cells[4] == f"{100 * heads.sample_share[head]:.1f} %"
        assert cells[3].startswith("selected" if head in heads.selected else "left out")
    body = heads.view().body
    assert heads.stability().sentence.replace("'", "&#x27;") in body
    assert "2 of 12 heads selected; 3 layers of 4 heads" in body
    assert "the 90 of 100 probe samples that count; the model answered 90.0 %" in body


def test_the_border_is_always_listed() -> None:
    heads = searched((16, 16)).select(count=60)
    view = heads.view()
    listed = [cells[0] for cells in rows(view.body)]
    ranking = [f"layer {layer}, head {head}" for layer, head in heads.ranking()]
    assert listed == [*ranking[:10], "…", *ranking[55:65]]
    assert "20 of 256 heads are listed; view(max_heads=None) lists all." in view.body
    assert len(rows(heads.view(max_heads=None).body)) == 256
    assert len(rows(heads.view(max_heads=1).body)) == 2  # the best, and the gap
    with pytest.raises(ValueError, match="max_heads must be at least 1"):
        heads.view(max_heads=0)
    with pytest.raises(TypeError, match="max_heads must be an integer, got 2.5"):
        heads.view(max_heads=2.5)  # type: ignore[arg-type]


def test_heads_within_chance_of_the_border_say_so() -> None:
    heads = searched((1, 40), sample_share=None).select(count=20)
    stability = heads.stability()
    assert stability.doubtful and stability.rivals
    near = {*stability.doubtful, *stability.rivals}
    for head, cells in zip(heads.ranking(), rows(heads.view(max_heads=None).body), strict=True):
        assert cells[3].endswith("within chance") == (head in near)


def test_a_point_lies_on_its_interval() -> None:
    heads = searched((1, 3)).select(count=1)
    ranges = re.findall(
        r'class="reach" d="M([\d.]+) [\d.]+L([\d.]+) [\d.]+"/><circle class="point" cx="([\d.]+)"',
        heads.view().body,
    )
    assert len(ranges) == 3
    top = heatmap_top(heads.bounds())
    assert f"0 to {top:.1f}, border dashed" in heads.view().body
    for head, (low, high, at) in zip(heads.ranking(), ranges, strict=True):
        assert float(low) <= float(at) <= float(high)
        assert float(at) == pytest.approx(5 + 150 * heads.scores[head] / top, abs=0.06)


def test_words_for_a_terminal() -> None:
    heads = searched((12, 12)).select(fraction=0.05)
    lines = repr(heads).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == (
        "HeadScores: 8 of 144 heads selected (the highest 5 %); 12 layers of 12 heads"
    )
    assert lines[1] == "  90 of 100 samples counted, 90.0 % answered"
    assert " ".join(" ".join(lines).split()).count(heads.stability().sentence) == 1
    best = heads.ranking()[0]
    assert any(number(heads.scores[best]) in line and "selected" in line for line in lines)
    assert repr(heads) == repr(heads.view())


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (6, 4), (32, 32), (48, 64), (80, 64)])
def test_any_shape_fits_a_notebook(shape: tuple[int, int]) -> None:
    shown = searched(shape).select(fraction=0.05)._repr_html_()
    assert len(shown) < 300_000
    found = tags(shown)
    allowed = "div style h2 h3 p b svg rect path circle text title table thead tbody tr th td"
    assert {tag for tag, _ in found} <= set(allowed.split())
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)
    assert all(a["role"] == "img" and a["aria-label"] for tag, a in found if tag == "svg")


def test_a_cell_names_its_head_where_there_is_room() -> None:
    small = searched((32, 32)).select(count=3)._repr_html_()
    assert len(re.findall(r"<title>layer \d+, head \d+", small)) == 1024
    large = searched((48, 64)).select(count=3)._repr_html_()
    assert re.findall(r"<title>layer \d+, head \d+( \(selected\))", large) == [" (selected)"] * 3
    assert len(re.findall(r"M[\d ]+h12v12h-12z", large)) == 48 * 64 - 3


def test_a_search_without_scores() -> None:
    nothing = np.full((2, 3), np.nan)
    heads = head_scores(nothing, standard_error=nothing, n_counted=0)
    assert "none of 10 samples counted" in heads.view().body
    assert rows(heads.view().body)[0][1:3] == ["–", "–"]
    assert "none of 10 samples counted" in repr(heads)


def test_older_files_say_what_their_intervals_are() -> None:
    old = head_scores([[0.5, 0.1]], n_counted=50, samples=50).select(count=1)
    assert "version 1, which holds standard errors only" in old.view().body
    assert "samples it copies in" not in old.view().body
    assert "version 1" not in searched((1, 2)).view().body
