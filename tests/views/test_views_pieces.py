"""Pieces of HTML and SVG: escaped, labelled, legible, and true to their data."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attninfluence.views.drawing import nice_limit
from attninfluence.views.heatmap import heatmap_svg
from attninfluence.views.histogram import (
    axis_span,
    bars_svg,
    histogram_bins,
    histogram_counts,
    histogram_edges,
    histogram_svg,
)
from attninfluence.views.length import LengthBin, length_svg, lengths_in_words
from attninfluence.views.palette import (
    DARK,
    FALL_DARK,
    FALL_LIGHT,
    LIGHT,
    RISE_DARK,
    RISE_LIGHT,
    SEQUENTIAL_DARK,
    SEQUENTIAL_LIGHT,
)
from attninfluence.views.pieces import text_pieces
from attninfluence.views.tokens import (
    colored_tokens_html,
    token_class,
    tokens_limit,
    tokens_scale_svg,
)
from attninfluence.views.view import View
from attninfluence.views.words import clip, escape, in_percent, number, percent, visible

HOSTILE = (
    "<script>alert('&\"')</script> \u202egnirts\u2066 \x00\x1b[31m \ud83d caf\u00e9 \U0001f600 \x9b"
)


def tags(piece: str) -> list[tuple[str, dict[str, str | None]]]:
    """Every start tag with its attributes."""
    found: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, dict(attrs)))  # type: ignore[method-assign]
    parser.feed(piece)
    parser.close()
    return found


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """WCAG 2 contrast ratio of two colours #rrggbb."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


MODES = {
    "light": (LIGHT, SEQUENTIAL_LIGHT, FALL_LIGHT, RISE_LIGHT),
    "dark": (DARK, SEQUENTIAL_DARK, FALL_DARK, RISE_DARK),
}


@pytest.mark.parametrize("mode", MODES)
def test_text_has_a_contrast_of_at_least_four_and_a_half(mode: str) -> None:
    colors, sequential, fall, rise = MODES[mode]
    pairs = [(colors[text], colors[on]) for text in ("ink", "quiet") for on in ("page", "panel")]
    pairs += [(colors["accent"], colors["page"])]
    pairs += [(colors["ink"], color) for color in (*fall, *rise)]
    pairs += list(sequential)
    for front, back in [*pairs, (colors["ink"], colors["nan"])]:
        assert contrast(front, back) >= 4.5, (front, back)


@pytest.mark.parametrize("mode", MODES)
def test_drawn_shapes_stand_out_from_the_page(mode: str) -> None:
    colors = MODES[mode][0]
    for name in ("bar", "accent", "control"):
        assert contrast(colors[name], colors["page"]) >= 3, name


def test_contrast_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_escape_shows_what_would_vanish_or_run() -> None:
    shown = escape(HOSTILE)
    assert "<" not in shown
    assert "'" not in shown
    assert '"' not in shown
    assert "&lt;script&gt;" in shown
    assert "⟨U+202E⟩gnirts⟨U+2066⟩" in shown
    assert "␀␛[31m" in shown
    assert "⟨U+D83D⟩" in shown
    assert "⟨U+009B⟩" in shown
    assert "caf\u00e9 \U0001f600" in shown


@given(st.text(st.characters()))
def test_visible_text_can_be_stored_and_stays_put(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", shown)
    assert visible(shown) == shown


def test_marks_do_not_pile_up_over_other_lines() -> None:
    assert visible("Vie\u0302\u0323t, q" + "\u0300" * 4) == "Vie\u0302\u0323t, q" + "\u0300" * 4
    piled = visible("Z" + "\u0301" * 10 + "a\u0301")
    assert piled == "Z" + "\u0301" * 4 + "⟨6 more marks⟩" + "a\u0301"


def test_numbers_are_written_with_a_true_minus_and_a_dash_for_none() -> None:
    assert number(-0.12345) == "−0.123"
    assert number(-0.0001) == "0.000"
    assert number(1234.5, 1) == "1,234.5"
    assert number(math.nan) == number(None) == "–"
    assert number(-math.inf) == "−∞"
    assert percent(1, 0) == "–"
    shares = [Fraction(1, 5), Fraction(1, 8), Fraction(1, 3), Fraction(1), Fraction(1, 100_000)]
    assert [in_percent(share) for share in shares] == ["20", "12.5", "33.33", "100", "0.001"]


def test_clip_keeps_the_limit() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("abcd", 3) == "ab…"


# ------------------------------------------------------------------------------------ histogram

numbers = st.floats(-5, 5, allow_nan=False)


@given(st.lists(numbers, min_size=1, max_size=50), st.data())
def test_a_bin_starts_at_the_cut_and_divides_the_documents(values: list[float], data) -> None:
    cut = data.draw(st.sampled_from(values))
    span = (min(values), max(values))
    edges, counts = histogram_bins([*values, math.nan], span, cut, 12)
    at = int(np.flatnonzero(edges == cut)[0])
    assert counts.sum() == len(values)
    assert counts[at:].sum() == sum(value >= cut for value in values)
    assert np.all(np.diff(edges) > 0)
    assert edges[0] <= span[0] + 1e-9
    assert edges[-1] >= span[1] - 1e-9


def test_values_beyond_the_span_are_in_the_outermost_bins() -> None:
    edges, counts = histogram_bins([-9, 0.25, 0.75, 9, math.inf], (0, 1), None, 2)
    assert edges.tolist() == [0, 0.5, 1]
    assert counts.tolist() == [2, 2]


def bars(svg: str, css: str) -> list[tuple[float, int]]:
    """(x, documents) of the bars of one class."""
    found = re.findall(
        rf'<rect class="{css}" x="([\d.]+)"[^>]*><title>[^<]*: ([\d,]+)</title>', svg
    )
    return [(float(x), int(n.replace(",", ""))) for x, n in found]


def cut_position(svg: str) -> float:
    match = re.search(r'<path class="cut" d="M([\d.]+) ', svg)
    assert match
    return float(match.group(1))


def test_the_histogram_is_divided_at_the_line_of_the_cut() -> None:
    values = np.linspace(-0.3, 0.9, 137)
    cut = float(values[110])
    svg = histogram_svg(values, (-0.3, 0.9), cut=cut, label="x")
    chosen, others = bars(svg, "chosen"), bars(svg, "bar")
    assert sum(n for _, n in chosen) == 27
    assert sum(n for _, n in others) == 110
    line = cut_position(svg)
    assert min(x for x, _ in chosen) == pytest.approx(line, abs=0.1)
    assert max(x for x, _ in others) < line - 1
    assert f"cut {number(cut)}" in svg


def test_panels_with_one_span_have_one_axis() -> None:
    span = (0.0, 1.0)
    drawn = [histogram_svg([0.1, 0.7], span, cut=cut, label="x") for cut in (0.11, 0.73, None)]
    ticks = [re.findall(r'y="151.0" text-anchor="middle">', svg) for svg in drawn]
    places = [re.findall(r'<text x="([\d.]+)" y="151.0"', svg) for svg in drawn]
    assert len(ticks[0]) > 2
    assert places[0] == places[1] == places[2]


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_a_histogram_of_nothing_says_so(values: list[float]) -> None:
    svg = histogram_svg(values, (0, 1), label="empty")
    assert "no scores" in svg
    assert "<rect" not in svg


def test_a_histogram_of_one_value_and_of_equal_values() -> None:
    for values in ([0.5], [0.5] * 7):
        svg = histogram_svg(values, axis_span(values), cut=0.5, label="x")
        assert sum(n for _, n in bars(svg, "chosen")) == len(values)


def test_the_control_is_a_stroke_over_its_middle_ninety_per_cent() -> None:
    control = np.linspace(0, 0.2, 101)
    svg = histogram_svg([0.5], (0, 1), control=control, label="x")
    assert "control heads: 0.010 to 0.190" in svg
    assert "control heads" not in histogram_svg([0.5], (0, 1), control=[math.nan], label="x")


@given(st.lists(numbers, min_size=1, max_size=50), st.integers(0, 50))
def test_the_counts_of_pieces_add_up(values: list[float], at: int) -> None:
    edges = histogram_edges((-2.0, 2.0), 0.3)
    whole = histogram_counts(values, edges)
    parts = [histogram_counts(part, edges) for part in (values[:at], values[at:])]
    assert (parts[0] + parts[1]).tolist() == whole.tolist()


def test_a_counted_histogram_is_drawn_as_its_values_are() -> None:
    values, span, cut = np.linspace(-0.3, 0.9, 137), (-0.3, 0.9), 0.6
    edges = histogram_edges(span, cut)
    counts = histogram_counts(values, edges)
    assert bars_svg(edges, counts, span, cut=cut, label="x") == histogram_svg(
        values, span, cut=cut, label="x"
    )


@pytest.mark.parametrize(
    ("documents", "words"),
    [(7, "7"), (12_345, "12,345"), (123_456, "123k"), (999_700, "1.0M"), (45_600_000, "45.6M")],
)
def test_the_number_at_the_axis_has_room(documents: int, words: str) -> None:
    edges = histogram_edges((0.0, 1.0))
    svg = bars_svg(edges, np.full(len(edges) - 1, documents), (0.0, 1.0), label="x")
    x = re.search(rf'<text x="([\d.]+)" y="28.0" text-anchor="end">{words}</text>', svg)
    assert x and float(x[1]) >= 6.8 * len(words) - 0.8
    assert f": {documents:,}<" in svg


# --------------------------------------------------------------------------------------- length


def length_bins(n: int = 6) -> list[LengthBin]:
    return [
        LengthBin(2.0 ** (at / 2), 2.0 ** ((at + 1) / 2), at + 5, (2.0, 2.5 + at, 9.0), 0.1 * at)
        for at in range(10, 10 + n)
    ]


@pytest.mark.parametrize("n", [1, 2, 12])
def test_loss_by_length_has_a_point_a_bin_in_its_drawing(n: int) -> None:
    svg = length_svg(length_bins(n), label="by length")
    found = tags(svg)
    assert found[0][1]["aria-label"] == "by length"
    width, height = (float(found[0][1][side] or 0) for side in ("width", "height"))
    points = [attributes for tag, attributes in found if tag == "rect"]
    assert len(points) == 2 * n
    for point in points:
        assert 0 <= float(point["x"] or 0) <= width - 6
        assert 0 <= float(point["y"] or 0) <= height - 6
    assert "NaN" not in svg and "nan" not in svg


def test_points_of_longer_documents_lie_right_and_of_higher_loss_above() -> None:
    points = [a for tag, a in tags(length_svg(length_bins(), label="x")) if tag == "rect"]
    loss, score = points[::2], points[1::2]
    for row in (loss, score):
        places = [(float(a["x"] or 0), -float(a["y"] or 0)) for a in row]
        assert places == sorted(places)
        assert len({y for _, y in places}) == len(places)


def test_the_lengths_of_a_bin_are_whole_numbers_that_no_other_bin_has() -> None:
    bins = length_bins(30)
    ends = [words.replace(",", "").split(" to ") for words in map(lengths_in_words, bins)]
    for (_, last), (first, _) in zip(ends, ends[1:], strict=False):
        assert int(first) == int(last) + 1
    assert lengths_in_words(LengthBin(1.0, 2**0.5, 1, (1.0, 1.0, 1.0), 0.0)) == "1"


# -------------------------------------------------------------------------------------- heatmap


def test_the_heatmap_names_every_head_and_outlines_the_selected() -> None:
    scores = np.array([[0.0, 0.5, math.nan], [0.25, 0.875, 0.1]])
    svg = heatmap_svg(scores, [(1, 1), (0, 1)])
    for layer in range(2):
        for head in range(3):
            selected = " (selected)" if (layer, head) in {(1, 1), (0, 1)} else ""
            assert f"layer {layer}, head {head}{selected}: {number(scores[layer, head])}<" in svg
    assert svg.count('class="outline"') == 2
    assert svg.count('class="qn"') == 1
    outlines = re.findall(r'class="outline" x="([\d.]+)" y="([\d.]+)"', svg)
    cells = re.findall(
        r'<rect class="q\w" x="([\d.]+)" y="([\d.]+)"[^>]*><title>[^<]*selected', svg
    )
    assert [(float(x) - 0.5, float(y) - 0.5) for x, y in outlines] == [
        (float(x), float(y)) for x, y in cells
    ]


def test_a_heatmap_gets_darker_with_the_value() -> None:
    svg = heatmap_svg(np.linspace(0, 1, 10)[None])
    levels = [int(level) for level in re.findall(r'<rect class="q(\d)"[^>]*><title>', svg)]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, len(SEQUENTIAL_LIGHT) - 1)


@pytest.mark.parametrize("shape", [(1, 1), (6, 4), (32, 40)])
def test_heatmaps_of_any_size_stay_inside_their_drawing(shape: tuple[int, int]) -> None:
    svg = heatmap_svg(np.full(shape, math.nan))
    (_, svg_attributes), *rest = tags(svg)
    width, height = float(svg_attributes["width"] or 0), float(svg_attributes["height"] or 0)
    for tag, attributes in rest:
        if tag == "rect":
            assert float(attributes["x"] or 0) + float(attributes["width"] or 0) <= width
            assert float(attributes["y"] or 0) + float(attributes["height"] or 0) <= height


# --------------------------------------------------------------------------------------- tokens


def test_a_token_is_coloured_by_the_rise_of_its_loss() -> None:
    assert token_class(0.0, 2.0) == token_class(0.17, 2.0) == ""
    assert token_class(-0.17, 2.0) == ""
    assert token_class(0.2, 2.0) == "r1"
    assert token_class(-0.2, 2.0) == "f1"
    assert token_class(2.0, 2.0) == token_class(9.0, 2.0) == "r5"
    assert token_class(-9.0, 2.0) == "f5"
    assert token_class(math.nan, 2.0) == "none"


def test_tokens_show_both_losses_and_what_was_not_scored() -> None:
    piece = colored_tokens_html(
        ["a", "<b>", "\n", "'"], [math.nan, 1.0, 2.0, 0.5], [math.nan, 3.5, 1.0, 0.5], limit=2.5
    )
    found = [attributes for tag, attributes in tags(piece) if tag == "span"]
    assert [attributes.get("class") for attributes in found] == ["none", "r5", "f2", None]
    assert found[0]["title"] == "not scored"
    assert found[1]["title"] == "loss 1.000 → 3.500 without the heads (+2.500)"
    assert found[2]["title"] == "loss 2.000 → 1.000 without the heads (−1.000)"
    assert found[3]["title"] == "loss 0.500 → 0.500 without the heads (0.000)"
    assert "&lt;b&gt;" in piece
    assert "↵" in piece


def test_long_documents_are_cut_and_say_so() -> None:
    losses = np.ones(30)
    piece = colored_tokens_html(["x"] * 30, losses, losses, max_tokens=10)
    assert piece.count("<span") == 10
    assert "20 more tokens are not shown." in piece


def test_a_token_without_a_character_is_left_out_wherever_it_stands() -> None:
    pieces, base, ref = text_pieces("ab", [(0, 0), (0, 1), (0, 0), (1, 2)], [9, 1, 9, 2], [9] * 4)
    assert pieces == ["a", "b"]
    assert base.tolist() == [1, 2]
    assert ref.tolist() == [9, 9]


def test_pieces_end_with_the_last_token_given() -> None:
    pieces, base, _ = text_pieces("ab cd", [(0, 1), (1, 2)], [1.0, 2.0], [2.0, 3.0])
    assert pieces == ["a", "b"]
    assert base.tolist() == [1, 2]
    assert text_pieces("  ", np.empty((0, 2)), [], [])[0] == []


def test_tokens_need_their_losses() -> None:
    with pytest.raises(
        ValueError, match="2 tokens need as many losses, not 3 base and 2 reference"
    ):
        colored_tokens_html(["a", "b"], [1, 2, 3], [1, 2])


def test_the_limit_of_the_scale_is_round_and_never_zero() -> None:
    assert tokens_limit([]) == 1.0
    assert tokens_limit([np.zeros(5)]) == 1.0
    assert tokens_limit([np.array([math.nan, -2.6])]) == 3.0
    assert nice_limit(0.02) == pytest.approx(0.02)


def test_the_scale_has_zero_in_its_middle() -> None:
    svg = tokens_scale_svg(2.5)
    classes = [a["class"] for tag, a in tags(svg) if tag == "rect"][:-1]
    assert classes == ["f5", "f4", "f3", "f2", "f1", "unfilled", "r1", "r2", "r3", "r4", "r5"]
    assert "−2.50" in svg
    assert "+2.50" in svg


@pytest.mark.parametrize(
    "piece",
    [
        heatmap_svg(np.eye(3), label=HOSTILE),
        histogram_svg([0.1, 0.2], (0, 1), cut=0.2, control=[0.1], label=HOSTILE),
        histogram_svg([], (0, 1), label=HOSTILE),
        length_svg(length_bins(), label=HOSTILE),
        tokens_scale_svg(1.0),
    ],
)
def test_every_drawing_has_a_label_and_nothing_active(piece: str) -> None:
    found = tags(piece)
    assert found[0][0] == "svg"
    assert found[0][1]["role"] == "img"
    assert found[0][1]["aria-label"]
    assert {tag for tag, _ in found} <= {"svg", "rect", "path", "text", "title"}
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)


def test_hostile_tokens_show_as_text() -> None:
    pieces = [HOSTILE, "A" * 100_000, "\u202e", "\ud800"]
    piece = colored_tokens_html(pieces, [1.0] * 4, [1.0] * 4)
    piece.encode("utf-8")
    assert {tag for tag, _ in tags(piece)} == {"div", "span"}
    assert len(piece) < 3000


def test_a_fragment_brings_its_colours() -> None:
    shown = View("scale", tokens_scale_svg(1.0), "a scale")._repr_html_()
    assert "prefers-color-scheme:dark" in shown
    assert "--r5:" in shown
    assert "url(" not in shown
