"""Lines, sentences and spans: METHOD.md section 4, span level."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attninfluence.scores.spans import as_spans, find_spans, score_spans


def parts(text, kind):
    return [text[start:stop] for start, stop in find_spans(text, kind)]


@pytest.mark.parametrize("kind", ["line", "sentence"])
@given(text=st.text(alphabet="ab .!?\n\r。”)", max_size=40))
def test_spans_cover_the_text_without_gaps(kind, text):
    assert "".join(parts(text, kind)) == text
    assert all(parts(text, kind))


def test_lines_keep_their_newlines():
    assert parts("a\n\nb\r\nc", "line") == ["a\n", "\n", "b\r\n", "c"]
    assert parts("", "line") == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ('He said "no." Then 3.14 came.', ['He said "no." ', "Then 3.14 came."]),
        ("Wrapped\nline. Next", ["Wrapped\nline. ", "Next"]),
        ("Heading\n\nBody", ["Heading\n\n", "Body"]),
        ("はい。いいえ！\nおわり", ["はい。", "いいえ！\n", "おわり"]),
        ("Wait... what", ["Wait... ", "what"]),
    ],
)
def test_sentences(text, sentences):
    assert parts(text, "sentence") == sentences


@pytest.mark.parametrize("unit", [".", "\n", "。", ")", ". ", "\n ", ".)"])
def test_long_runs_take_linear_time(unit):
    started = time.process_time()
    find_spans(unit * 300_000, "sentence")
    assert time.process_time() - started < 5


def test_a_token_belongs_to_the_span_of_its_first_character():
    losses = np.array([[1, 2, 3, 4], [2, 2, 6, 4]], dtype=np.float32)
    starts = np.array([0, 4, 5, 9])
    spans = score_spans(np.array([[0, 5], [5, 9], [9, 9], [0, 10]]), starts, losses)
    assert [span.n_scored for span in spans] == [2, 1, 0, 4]
    assert (spans[0].base_loss, spans[0].ref_loss, spans[0].score) == (1.5, 2.0, 0.5 / 1.5)
    assert (spans[1].base_loss, spans[1].score) == (3.0, 1.0)
    assert math.isnan(spans[2].score) and math.isnan(spans[2].base_loss)
    assert spans[3].control_loss is None


def test_a_control_reading_has_its_own_score():
    losses = np.array([[1, 1], [2, 2], [3, 4]], dtype=np.float32)
    span = score_spans(np.array([[0, 2]]), np.array([0, 1]), losses)[0]
    assert (span.score, span.control_loss, span.control_score) == (1.0, 3.5, 2.5)


def test_a_span_with_next_to_no_base_loss_has_no_score():
    losses = np.array([[0.001], [5]], dtype=np.float32)
    span = score_spans(np.array([[0, 1]]), np.array([0]), losses)[0]
    assert span.base_loss == pytest.approx(0.001)
    assert math.isnan(span.score)


@pytest.mark.parametrize("span", [(3, 2), (-1, 2)])
def test_spans_that_cannot_be(span):
    with pytest.raises(ValueError, match=r"document 7: span \("):
        as_spans([span], "document 7")
