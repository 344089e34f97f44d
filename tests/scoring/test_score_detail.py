"""score() below the document: tokens, lines, sentences, spans; and the control heads."""

from __future__ import annotations

import math

import numpy as np
import pytest

import attninfluence as ai
from tests.kit.scored import HEADS, LONG_TEXT, TEXTS, assert_same, mean, score


def test_token_detail_keeps_every_loss(short):
    text = LONG_TEXT[:90]
    result = score([text, "", "of"], short, detail="token", control=[(0, 0)])
    tokens = result.token_losses(0)
    n = result.n_tokens[0]
    assert len(tokens.ids) == len(tokens.tokens) == len(tokens.base) == len(tokens.offsets) == n
    assert "".join(tokens.tokens[1:]) == text
    assert np.flatnonzero(~np.isnan(tokens.base)).tolist() == list(range(1, 32))
    expected = short.losses(tokens.ids[:32])
    assert np.array_equal(tokens.base[1:32], expected)
    assert np.array_equal(tokens.delta, tokens.ref - tokens.base, equal_nan=True)
    assert mean(tokens.control[1:32]) == pytest.approx(result.control_loss[0], rel=1e-14)
    assert len(result.token_losses(1).ids) == 0
    assert result.token_losses(-1).tokens == ["<s>", "of"]
    with pytest.raises(ValueError, match="score with detail='token'"):
        score(["of"], short).token_losses(0)


@pytest.mark.parametrize("long", ["chunk", "stride"])
def test_token_detail_over_windows(short, long):
    result = score([LONG_TEXT], short, detail="token", long=long)
    tokens = result.token_losses(0)
    assert np.flatnonzero(np.isnan(tokens.base)).tolist() == [0]
    assert mean(tokens.base[1:]) == pytest.approx(result.base_loss[0], rel=1e-14)


def test_token_detail_of_input_ids_needs_no_tokenizer(plain_folder):
    plain = ai.load(plain_folder)
    result = ai.score(input_ids=[[1, 2, 3]], model=plain, heads=HEADS, detail="token")
    tokens = result.token_losses(0)
    assert tokens.tokens is None and tokens.offsets is None and tokens.control is None
    assert np.array_equal(tokens.base[1:], plain.losses([1, 2, 3]))


@pytest.mark.parametrize(("detail", "count"), [("line", 2), ("sentence", 3)])
def test_lines_and_sentences_share_out_the_tokens(model, detail, count):
    result = score([TEXTS[1], None], model, detail=detail, control=[(0, 0)])
    spans = result.spans[0]
    assert len(spans) == count and result.spans[1] == []
    assert sum(span.n_scored for span in spans) == result.n_scored[0]
    for name in ("base_loss", "ref_loss", "control_loss"):
        total = sum(getattr(span, name) * span.n_scored for span in spans)
        assert total / result.n_scored[0] == pytest.approx(getattr(result, name)[0])
    assert result[0].spans is spans


def test_ids_of_a_padded_embedding_are_numbers(llama_folder):
    padded = ai.load(llama_folder(vocab_size=400, tokenizer_options={"vocab_size": 320}))
    result = ai.score(input_ids=[[5, 399]], model=padded, heads=HEADS, detail="token")
    assert result.token_losses(0).tokens[1] == "399"
    assert "399" in result[0].view().body


def test_a_span_of_the_callers(model):
    text = "naïve café of the thing"
    start = text.index("of the")
    spans = [[(start, start + 6), (500, 600)], [], [(0, 4)]]
    result = score([text, "the", None], model, detail=spans)
    tokens = score([text], model, detail="token").token_losses(0)
    inside = [start <= offset[0] < start + 6 for offset in tokens.offsets]
    inside[0] = False
    span, beyond = result.spans[0]
    assert span.n_scored == sum(inside) > 0
    base, ref = mean(tokens.base[inside]), mean(tokens.ref[inside])
    assert span.base_loss == pytest.approx(base, rel=1e-14)
    assert span.score == pytest.approx((ref - base) / base)
    assert beyond.n_scored == 0 and math.isnan(beyond.score)
    assert result.spans[1] == []
    unread = result.spans[2][0]
    assert (unread.stop, unread.n_scored) == (4, 0) and math.isnan(unread.base_loss)


@pytest.mark.parametrize("spans", [[[(0, 1)]], [[(0, 1)]] * 3])
def test_spans_must_be_as_many_as_texts(model, spans):
    with pytest.raises(ValueError, match="detail holds spans for"):
        score(["one", "two"], model, detail=spans)


def test_the_whole_text_as_one_span_is_the_document(model):
    result = score(TEXTS, model, detail=([(0, len(text))] for text in TEXTS))
    for row in result:
        assert (row.spans[0].score, row.spans[0].n_scored) == (row.score, row.n_scored)


def test_a_control_rides_on_the_same_base_pass(model):
    result = score(TEXTS, model, control=[(0, 1), (0, 2)])
    other = score(TEXTS, model, heads=[(0, 1), (0, 2)])
    assert_same(score(TEXTS, model), without_control(result))
    assert np.array_equal(result.control_loss, other.ref_loss)
    assert np.array_equal(result.control_score, other.score)
    assert result.metadata["control"] == [[0, 1], [0, 2]]
    assert score(TEXTS, model).control_score is None


def without_control(result):
    names = [name for name in result.columns() if not name.startswith("control")]
    return ai.Scores(**{name: getattr(result, name) for name in names})


def test_a_seed_draws_as_many_heads_that_are_not_masked(model):
    drawn = [tuple(pair) for pair in score(["the"], model, control=3).metadata["control"]]
    assert len(drawn) == len(set(drawn)) == len(HEADS)
    assert not set(drawn) & set(HEADS)
    assert score(["the"], model, control=3).metadata["control"] == [list(one) for one in drawn]
    others = [score(["the"], model, control=seed).metadata["control"] for seed in range(8)]
    assert len({str(other) for other in others}) > 1
