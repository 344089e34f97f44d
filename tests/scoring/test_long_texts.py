"""Texts far longer than their window: how far they are tokenised, and what says so."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import attninfluence as ai
from attninfluence.integrations.arrow import score_record_batches
from attninfluence.scores.spans import find_spans
from attninfluence.scoring.batches import score_batches
from attninfluence.scoring.options import ScoreOptions
from attninfluence.scoring.reader import make_reader, text_reader
from tests.kit.scored import HEADS, assert_same, score

ALWAYS = 1 << 18  # characters that are tokenised whatever is asked for
LONG = "The thing and the other thing of 1999.\n" * 9_000
SHORT = LONG[:ALWAYS]
TEXTS = ["the thing", LONG, SHORT, None, "", LONG[5:]]


@pytest.fixture(scope="module")
def counted(short):
    return score(TEXTS, short, count="document")


def test_a_very_long_text_is_tokenised_as_far_as_its_window_needs(short, counted):
    found = score(TEXTS, short)
    assert found.partly_counted.tolist() == [False, True, False, False, False, True]
    assert not counted.partly_counted.any()
    whole = [len(short.tokenizer.encode([text or ""])[0].ids) for text in TEXTS]
    assert counted.n_tokens.tolist()[:3] == whole[:3]
    assert found.n_tokens[1] < counted.n_tokens[1] and found.n_tokens[2] == counted.n_tokens[2]
    # More than a text has that is just short enough to be counted to its end.
    assert found.n_tokens[1] >= found.n_tokens[2]
    assert found.truncated.tolist() == counted.truncated.tolist()
    for name in ("score", "base_loss", "ref_loss", "n_scored"):
        np.testing.assert_array_equal(getattr(found, name), getattr(counted, name))


@pytest.mark.parametrize("long", ["chunk", "stride"])
def test_what_is_read_to_its_end_is_counted_to_its_end(model, long):
    reader = make_reader(model, HEADS, None, ScoreOptions(long=long), with_text=True)
    found = text_reader(reader).read(LONG)
    assert not found.partly_counted
    assert len(found.ids) == len(model.tokenizer.encode([LONG])[0].ids)


def test_the_count_depends_on_the_text_alone(short):
    alone = score([LONG], short)
    among = ai.scores.Scores.concatenate(
        list(score_batches(TEXTS * 2, model=short, heads=HEADS, read_ahead=True))
    )
    for row in (1, 7):
        assert among[row] == alone[0]
    again = score([LONG], short, max_length=16)
    assert again.n_tokens[0] == alone.n_tokens[0]  # either window is full by then


def test_a_window_that_those_characters_do_not_fill_is_filled(short):
    """So the losses never depend on how much is counted."""
    tokenizer = short.tokenizer
    some = tokenizer.encode([LONG], enough=32)[0]
    more = tokenizer.encode([LONG], enough=len(some.ids) + 1)[0]
    assert len(some.ids) < len(more.ids) == len(tokenizer.encode([LONG])[0].ids)


def test_a_text_that_just_fills_the_window_is_seen_to_go_on(short):
    options = ScoreOptions(max_length=32)
    reader = make_reader(short, HEADS, None, options, with_text=True)
    assert text_reader(reader).enough == 33
    for other in (ScoreOptions(count="document"), ScoreOptions(long="chunk")):
        reader = make_reader(short, HEADS, None, other, with_text=True)
        assert text_reader(reader).enough is None


def test_token_ids_are_counted_as_they_are_given(short):
    found = ai.score(input_ids=[np.ones(400_000, np.int32)], model=short, heads=HEADS)
    assert (found.n_tokens[0], found.partly_counted[0]) == (400_000, False)


def test_every_entrance_has_the_option_and_the_column(short, counted):
    partly = score(TEXTS, short)
    for count, wanted in (("window", partly), ("document", counted)):
        scorer = ai.Scorer(short, HEADS, count=count)
        batch = pa.RecordBatch.from_pydict({"text": TEXTS})
        (scored,) = score_record_batches([batch], model=short, heads=HEADS, count=count)
        for columns in (scorer({"text": TEXTS}), scored.to_pydict()):
            assert list(columns["ai_n_tokens"]) == wanted.n_tokens.tolist()
            assert list(columns["ai_partly_counted"]) == wanted.partly_counted.tolist()
    with pytest.raises(ValueError, match="count must be one of window, document, got 'all'"):
        score(TEXTS, short, count="all")


def test_a_pickle_from_before_the_option_counts_whole_documents(short):
    rebuild, (config, place) = ai.Scorer(short, HEADS, count="document").__reduce__()
    content = json.loads(config)
    del content["count"]
    assert rebuild(json.dumps(content), place).metadata["count"] == "document"


def test_the_two_counts_are_not_joined(short, counted):
    with pytest.raises(ValueError, match="count is 'window' in one part and 'document'"):
        ai.scores.Scores.concatenate([score(TEXTS, short), counted])
    assert ai.Scorer(short, HEADS).metadata != ai.Scorer(short, HEADS, count="document").metadata


def test_spans_are_those_of_the_whole_text(short, counted):
    found = score([LONG], short, detail="line")[0]
    whole = score([LONG], short, detail="line", count="document")[0]
    assert repr(found.spans) == repr(whole.spans)
    assert len(found.spans) == LONG.count("\n")


def test_tokens_and_a_view_end_where_the_counting_ends(short):
    found = score([LONG], short, detail="token")
    row, losses = found[0], found.token_losses(0)
    assert len(losses) == row.n_tokens
    assert "truncated, partly counted" in repr(row) and "of over " in repr(row)
    view = row.view(max_tokens=None)
    assert "Partly counted: the text goes on" in view.body
    assert "longer than" not in view.body  # the rest of the text is no piece
    whole = score([LONG], short, detail="token", count="document")[0].view(max_tokens=None)
    assert "Partly counted" not in whole.body
    assert len(view.body) < 0.9 * len(whole.body)


def test_the_rows_of_chunks_that_divide_long_texts_are_the_same(short):
    parts = [score([text], short) for text in TEXTS]
    assert_same(ai.scores.Scores.concatenate(parts), score(TEXTS, short))


def test_lines_of_a_text_are_found_without_a_list_of_pairs():
    assert find_spans("a\n\nb", "line").tolist() == [[0, 2], [2, 3], [3, 4]]
    assert find_spans("a\n", "line").tolist() == [[0, 2]]
    assert find_spans("", "line").shape == (0, 2)
