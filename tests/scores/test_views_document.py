"""One document as a person sees it: its words, its tokens on colours, its spans, its tables."""

from __future__ import annotations

import math
import pickle
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

import attninfluence as ai
from attninfluence.scores.document_score import DocumentScore
from attninfluence.scores.scores import Scores
from attninfluence.scores.statuses import STATUS_MEANING
from attninfluence.scores.token_losses import TokenRows
from attninfluence.scoring.documents import TextReader
from attninfluence.views.words import escape, excerpt, number, signed, visible
from tests.kit.scored import HEADS
from tests.views.test_views_pieces import HOSTILE, tags

TEXTS = {
    "prose": "The key is here. The key is not there!\n\nThe other key is the thing.",
    "code": "def f(x):\n\treturn x\n\n\nf(of)\r\n",
    "chinese": "\u6ce8\u610f\u529b\u5934\u3002\u6ce8\u610f\u529b\u5934\uff01",
    "arabic": "\u0627\u0644\u0645\u0641. \u0627\u0644\u0645\u0641\u062a\u0627\u062d",
    "emoji": "a \U0001f469\u200d\U0001f4bb b \U0001f600\U0001f600",
    "hostile": HOSTILE,
    "spaces": "  in the\u00a0 thing \n ",
}
UNREAD = {"empty": " \n", "bad_type": None, "too_short": "a"}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> ai.Model:
    return ai.load(tiny_folder, threads=1)


@pytest.fixture(scope="module")
def scored(model: ai.Model) -> Scores:
    texts = [*TEXTS.values(), *UNREAD.values()]
    return ai.score(texts, model=model, heads=HEADS, control=[(0, 1)], detail="token", bos="never")


@pytest.fixture(scope="module")
def documents(scored: Scores) -> dict[str, DocumentScore]:
    return dict(zip([*TEXTS, *UNREAD], scored, strict=True))


class Tokens(HTMLParser):
    """The text of the element of class "tokens", without the signs for newlines, and its spans."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.titles: list[str] = []
        self._inside = self._sign = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._inside |= found.get("class") == "tokens"
        self._sign = tag == "i"
        if self._inside and tag == "span":
            self.titles.append(found["title"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag != "div"
        self._sign = False

    def handle_data(self, data: str) -> None:
        self.text += data if self._inside and not self._sign else ""


# -------------------------------------------------------------------------------- the text


def test_the_text_is_kept_as_it_was_tokenised(documents: dict[str, DocumentScore]) -> None:
    for name, text in TEXTS.items():
        assert documents[name].text == text.replace("\ud83d", "\ufffd")
    assert documents["hostile"].repaired
    assert documents["empty"].text == " \n"
    assert documents["bad_type"].text is None


def test_no_text_is_kept_where_none_is_asked_for(model: ai.Model) -> None:
    result = ai.score(["of the thing"], model=model, heads=HEADS)
    assert result.token_rows is None and result[0].text is None
    ids = ai.score(input_ids=[[1, 2, 3]], model=model, heads=HEADS, detail="token")
    assert ids[0].text is None


def test_a_reader_keeps_a_text_only_when_told(model: ai.Model) -> None:
    for keep in (True, False):
        reader = TextReader(model.tokenizer, 320, "auto", "text", False, True, keep, None)
        expected = "of" if keep else None
        assert [reader.read(value).text for value in ("of", b"of", 3)] == [expected, expected, None]


def test_texts_survive_joining_and_pickling(scored: Scores) -> None:
    whole = Scores.concatenate([scored, scored])
    again = pickle.loads(pickle.dumps(whole))
    assert [one.text for one in again] == 2 * [one.text for one in scored]
    document = pickle.loads(pickle.dumps(scored[0]))
    assert document == scored[0] and document.view() == scored[0].view()


# -------------------------------------------------------------------------------- the view


@pytest.mark.parametrize("name", TEXTS)
def test_every_character_is_shown_in_order(documents: dict[str, DocumentScore], name: str) -> None:
    document = documents[name]
    assert document.text is not None
    assert Tokens(document.view().body).text == visible(document.text)


def test_every_token_has_its_losses_on_it(documents: dict[str, DocumentScore]) -> None:
    document = documents["prose"]
    losses = document.token_losses()
    titles = Tokens(document.view().body).titles
    assert len(titles) == document.n_tokens
    assert titles[0] == "not scored"
    for at, title in enumerate(titles[1:], start=1):
        base, ref = float(losses.base[at]), float(losses.ref[at])
        assert title.startswith(f"loss {number(base)} → {number(ref)} without the heads")


def test_bytes_of_a_character_are_shown_with_the_sum_of_their_losses(
    documents: dict[str, DocumentScore],
) -> None:
    document = documents["chinese"]
    losses = document.token_losses()
    assert losses.offsets is not None
    titles = Tokens(document.view().body).titles
    assert len(titles) == len(document.text or "")
    last = losses.offsets[:, 0] == losses.offsets[-1, 0]
    assert last.sum() == 3
    total = number(float(losses.base[last].astype(np.float64).sum()))
    assert titles[-1].startswith(f"loss {total} →")


def test_the_totals_are_the_rows(documents: dict[str, DocumentScore]) -> None:
    document = documents["prose"]
    body = document.view().body
    for told in (
        f"score {number(document.score)}",
        f"loss {number(document.base_loss)} → {number(document.ref_loss)} nats",
        f"control score {number(document.control_score)}",
        f"{document.n_scored} of {document.n_tokens} tokens scored",
        "status ok",
    ):
        assert told in body
    assert "Truncated" not in body and "Repaired" not in body
    assert "Repaired" in documents["hostile"].view().body


def test_a_long_document_is_cut_and_says_how_to_see_the_rest(model: ai.Model) -> None:
    text = "the thing and the other, \u6ce8 " * 800
    document = ai.score([text], model=model, heads=HEADS, detail="token", max_length=600)[0]
    view = document.view()
    assert document.n_tokens > 2000
    shown = Tokens(view.body)
    assert f"The first 2,000 of {document.n_tokens:,} tokens" in view.body
    assert "view(max_tokens=None) shows all" in view.body
    assert text.startswith(shown.text) and len(shown.titles) <= 2000
    assert "Truncated: what lies behind the window was not read." in view.body
    assert len(view._repr_html_().encode()) < 300_000
    assert Tokens(document.view(max_tokens=None).body).text == text
    with pytest.raises(ValueError, match="max_tokens must be at least 1"):
        document.view(max_tokens=0)
    for wrong in (True, 1.5, "8"):
        with pytest.raises(TypeError, match="max_tokens must be an integer, got "):
            document.view(max_tokens=wrong)  # type: ignore[arg-type]


def test_a_cut_does_not_fall_inside_a_character(documents: dict[str, DocumentScore]) -> None:
    document = documents["chinese"]
    body = document.view(max_tokens=4).body
    assert Tokens(body).text == (document.text or "")[:2]
    assert f"The first 6 of {document.n_tokens} tokens" in body


def made(text: str, offsets: list[tuple[int, int]], losses: list[list[float]]) -> DocumentScore:
    """A document with these tokens; the totals are not theirs."""
    row = TokenRows(np.arange(len(offsets)), np.array(offsets), np.array(losses, np.float32), text)
    return DocumentScore(1.0, 1.5, 2.5, len(offsets), 2, "ok", False, False, token_rows=row)


def test_documents_can_share_a_scale() -> None:
    """The same rise has the same colour, where the scales that fit the documents differ."""
    losses = [[1, 1], [2, 3]], [[1, 1], [9, 3]]  # 2 nats at the second token of each
    documents = [made("ab", [(0, 1), (1, 2)], readings) for readings in losses]

    def colors(limit: float | None) -> list[str]:
        bodies = (document.view(limit=limit).body for document in documents)
        return [re.findall(r'<span class="(r\d)"[^>]*>b', body)[0] for body in bodies]

    assert colors(None) == ["r5", "r1"] and colors(4) == ["r3", "r3"]


@pytest.mark.parametrize("limit", [0, -1.0, math.inf, math.nan])
def test_a_scale_ends_above_zero(documents: dict[str, DocumentScore], limit: float) -> None:
    with pytest.raises(ValueError, match="limit must be above 0 nats, or None"):
        documents["prose"].view(limit=limit)


def test_what_a_tokenizer_strips_from_the_end_is_shown() -> None:
    document = made("ab \n", [(0, 1), (1, 2)], [[1, 1], [2, 2]])
    assert Tokens(document.view().body).text == "ab \n"
    assert Tokens(document.view(max_tokens=1).body).text == "a"


def test_a_piece_too_long_to_show_is_told() -> None:
    document = made("a" * 100_000, [(0, 1), (1, 100_000)], [[1, 2], [2, 3]])
    view = document.view()
    assert "Of 1 piece longer than 200 characters the beginning is shown." in view.body
    assert len(view._repr_html_()) < 20_000


def test_without_tokens_the_view_says_how_to_keep_them(model: ai.Model) -> None:
    document = ai.score(["of the thing"], model=model, heads=HEADS)[0]
    view = document.view()
    assert f"score {number(document.score)}" in view.body
    assert "detail=&#x27;token&#x27;" in view.body
    assert "detail='token'" in repr(view)


@pytest.mark.parametrize("status", [status for status in STATUS_MEANING if status != "ok"])
def test_a_document_without_a_score_says_why(status: str) -> None:
    document = DocumentScore(
        math.nan, math.nan, math.nan, 0, 0, status, False, False, message=HOSTILE
    )
    body = document.view().body
    assert f"{status}: {STATUS_MEANING[status]} (" in body
    assert "score –" in body
    assert {tag for tag, _ in tags(body)} == {"p", "strong"}
    assert "\u202e" not in repr(document)


def test_unread_documents_of_a_real_run(documents: dict[str, DocumentScore]) -> None:
    for name in UNREAD:
        view = documents[name].view()
        assert f"{name}: {STATUS_MEANING[name]}" in view.body
        assert view._repr_html_() == documents[name]._repr_html_()


def test_token_ids_are_shown_with_or_without_a_tokenizer(
    model: ai.Model, plain_folder: Path
) -> None:
    ids = [260, 1, 200, 261]
    with_names = ai.score(input_ids=[ids], model=model, heads=HEADS, detail="token")[0]
    names = with_names.token_losses().tokens
    assert names is not None
    assert Tokens(with_names.view().body).text == visible("".join(names))
    plain = ai.score(input_ids=[ids], model=ai.load(plain_folder), heads=HEADS, detail="token")[0]
    assert Tokens(plain.view().body).text.split() == [str(one) for one in ids]


def test_hostile_text_shows_as_text(documents: dict[str, DocumentScore]) -> None:
    page = documents["hostile"].view(spans="line").to_html()
    page.encode("utf-8")
    found = tags(page)
    assert "script" not in {tag for tag, _ in found}
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)
    assert "&lt;script&gt;" in page and "\u202e" not in page and "\x1b" not in page


# -------------------------------------------------------------------------------- the spans


@pytest.mark.parametrize("kind", ["sentence", "line"])
def test_spans_are_those_of_the_scoring(
    documents: dict[str, DocumentScore], model: ai.Model, kind: str
) -> None:
    for name in ("prose", "code", "chinese"):
        (row,) = ai.score(
            [TEXTS[name]], model=model, heads=HEADS, control=[(0, 1)], detail=kind, bos="never"
        )
        assert row.spans is not None
        ranked = documents[name].rank_spans(kind)
        by_place = sorted(ranked, key=lambda span: span.start)
        assert "".join(span.text for span in by_place) == TEXTS[name]
        for span, expected in zip(by_place, row.spans, strict=True):
            for field in expected.__slots__:
                assert getattr(span, field) == pytest.approx(getattr(expected, field), nan_ok=True)


def test_rises_add_up_to_the_documents(documents: dict[str, DocumentScore]) -> None:
    for name in TEXTS:
        document = documents[name]
        ranked = document.rank_spans()
        total = (document.ref_loss - document.base_loss) * document.n_scored
        assert sum(span.rise for span in ranked) == pytest.approx(total, abs=1e-9)
        assert sum(span.n_scored for span in ranked) == document.n_scored
        rises = [span.rise for span in ranked if span.n_scored]
        assert rises == sorted(rises, reverse=True)
        for span in ranked:
            expected = span.rise / total if total > 0 else math.nan
            assert span.share == pytest.approx(expected, nan_ok=True)


def test_spans_without_a_scored_token_come_last() -> None:
    document = made("abc", [(0, 1), (1, 2)], [[2, 3], [1, 5]])
    ranked = document.rank_spans("[abc]")
    assert [(span.text, span.rise) for span in ranked] == [("b", 2.0), ("a", -1.0), ("c", 0.0)]


def test_a_bos_that_is_scored_belongs_to_no_span(model: ai.Model) -> None:
    losses = np.array([[math.nan, 9.0, 1.0], [math.nan, 99.0, 3.0]], dtype=np.float32)
    offsets = np.array([[0, 0], [0, 0], [0, 2]])
    row = TokenRows(np.array([1, 1, 2]), offsets, losses, "of", n_bos=2)
    document = DocumentScore(1.0, 5.0, 51.0, 3, 2, "ok", False, False, token_rows=row)
    (span,) = document.rank_spans()
    assert (span.rise, span.n_scored) == (2.0, 1)
    scored = ai.score(["of"], model=model, heads=HEADS, detail="token")
    assert scored.token_rows is not None and scored.token_rows[0].n_bos == 1


def test_spans_of_a_pattern_and_of_ones_own(documents: dict[str, DocumentScore]) -> None:
    document = documents["prose"]
    found = document.rank_spans(r"[Kk]ey|x*")
    assert [span.text for span in found] == ["key"] * 3
    assert document.rank_spans(re.compile("KEY", re.IGNORECASE)) == found
    pairs = sorted((span.start, span.stop) for span in found)
    assert document.rank_spans(iter(pairs)) == found
    beyond = document.rank_spans([(0, 3), (500, 600)])[-1]
    assert (beyond.text, beyond.n_scored, beyond.rise) == ("", 0, 0.0)


def test_spans_that_cannot_be(documents: dict[str, DocumentScore], model: ai.Model) -> None:
    document = documents["prose"]
    with pytest.raises(ValueError, match=r"'\(' is no regular expression: .*position 0"):
        document.rank_spans("(")
    with pytest.raises(ValueError, match=r"spans: span \(3, 1\) must have"):
        document.rank_spans([(3, 1)])
    for wrong in (3, None, re.compile(b"of")):
        with pytest.raises(TypeError, match="spans must be 'line' or 'sentence', a regular "):
            document.rank_spans(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="this document has none"):
        ai.score(input_ids=[[1, 2]], model=model, heads=HEADS, detail="token")[0].rank_spans()
    with pytest.raises(ValueError, match="score with detail='token'"):
        ai.score(["of the"], model=model, heads=HEADS)[0].rank_spans()


def test_the_view_shows_the_spans_that_rank(documents: dict[str, DocumentScore]) -> None:
    for spans, noun in (("sentence", "Sentences"), ("line", "Lines"), ("e", "Matches")):
        document = documents["prose"]
        body = document.view(spans=spans).body
        rows = re.findall(r"<tr><th scope=\"row\">(\d+)</th>(.*?)</tr>", body)
        ranked = [span for span in document.rank_spans(spans) if span.n_scored]
        assert len(rows) == min(len(ranked), 10) > 1
        assert f"{noun} by their rise in loss" in body
        for place, ((rank, cells), span) in enumerate(zip(rows, ranked, strict=False), start=1):
            assert int(rank) == place
            values = re.findall(r"<td[^>]*>(.*?)</td>", cells)
            assert values[0] == signed(span.rise, 2)
            assert values[2] == f"<bdi>{escape(excerpt(span.text, 160))}</bdi>"
            assert values[3] == number(span.score)
            assert values[5] == str(span.n_scored)


def test_spans_that_the_view_leaves_out_are_told(model: ai.Model) -> None:
    text = "the thing is of the other. " * 14
    document = ai.score([text], model=model, heads=HEADS, detail="token", max_length=150)[0]
    ranked = document.rank_spans()
    scored = [span for span in ranked if span.n_scored]
    left = len(ranked) - len(scored)
    assert len(scored) > 10 and left
    added = signed(sum(span.rise for span in scored[10:]), 2)
    body = document.view().body
    assert f"10 of {len(scored)} sentences; the others add {added} nats" in body
    assert f"Without a scored token: {left} of {len(ranked)} sentences." in body
    nothing = document.view(spans=[(len(text) - 5, len(text))])
    assert "No span with a scored token." in nothing.body


# -------------------------------------------------------------------------------- plain text


def test_reprs_are_short_and_true(documents: dict[str, DocumentScore]) -> None:
    document = documents["prose"]
    told = repr(document)
    assert told.startswith(f"DocumentScore: ok, score {number(document.score)}, loss ")
    assert f"over {document.n_scored} of {document.n_tokens} tokens" in told
    assert "repaired" in repr(documents["hostile"])
    assert "bad_type, no score, 0 tokens (expected str or bytes, found NoneType)" in repr(
        documents["bad_type"]
    )
    losses = document.token_losses()
    highest = int(np.nanargmax(losses.delta))
    assert losses.tokens is not None
    assert f"{document.n_tokens} tokens, {document.n_scored} scored" in repr(losses)
    assert (
        f"token {highest} {losses.tokens[highest]!r}: {signed(float(losses.delta[highest]))}"
        in (repr(losses))
    )
    assert repr(documents["empty"].token_losses()) == "TokenLosses: 0 tokens, 0 scored"
    for one in documents.values():
        shown = f"{one!r}{one.token_losses()!r}{one.view()!r}"
        assert len(shown) < 2000 and "\u202e" not in shown and "\x1b" not in shown


def test_a_long_span_has_a_short_repr(documents: dict[str, DocumentScore]) -> None:
    (span,) = documents["prose"].rank_spans([(0, 60)])
    assert len(repr(span)) < 200 and "rise " in repr(span) and "'The key" in repr(span)


def test_an_excerpt_is_one_line_and_short() -> None:
    assert excerpt(" a\n\n b\t", 9) == "a b"
    assert excerpt("a" * 100_000, 5) == "aaaa…"
    assert excerpt("ab" + " " * 100_000 + "c", 9) == "ab…"
    assert excerpt("\n" * 100_000 + "ab", 9) == "ab"


# -------------------------------------------------------------------------------- tables and files

COLUMNS = ["position", "id", "token", "start", "stop"]
COLUMNS += ["base_loss", "ref_loss", "delta", "control_loss"]


def test_a_table_has_one_row_a_token(documents: dict[str, DocumentScore]) -> None:
    document = documents["prose"]
    table, losses = document.to_arrow(), document.token_losses()
    assert table.column_names == COLUMNS
    assert table["token"].to_pylist() == losses.tokens
    assert table["position"].to_pylist() == list(range(document.n_tokens))
    assert table["delta"].null_count == table["control_loss"].null_count == 1
    start, stop = table["start"].to_pylist(), table["stop"].to_pylist()
    text = TEXTS["prose"]
    assert "".join(text[a:b] for a, b in zip(start, stop, strict=True)) == text
    np.testing.assert_array_equal(table["delta"].to_numpy()[1:], losses.delta[1:])
    empty = documents["empty"].to_arrow()
    assert empty.schema == table.schema and empty.num_rows == 0


def test_token_ids_have_fewer_columns(plain_folder: Path) -> None:
    plain = ai.load(plain_folder)
    table = ai.score(input_ids=[[1, 2]], model=plain, heads=HEADS, detail="token")[0].to_arrow()
    assert table.column_names == ["position", "id", "base_loss", "ref_loss", "delta"]


def test_pandas_gets_the_columns(
    documents: dict[str, DocumentScore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    assert list(documents["prose"].to_pandas()) == COLUMNS
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        documents["prose"].to_pandas()


def test_tables_need_tokens(model: ai.Model) -> None:
    document = ai.score(["of the thing"], model=model, heads=HEADS)[0]
    for make in (document.to_arrow, document.to_pandas, document.token_losses):
        with pytest.raises(ValueError, match="score with detail='token'"):
            make()


def test_a_document_is_saved_as_a_page_or_a_table(
    documents: dict[str, DocumentScore], tmp_path: Path
) -> None:
    document = documents["hostile"]
    document.save(tmp_path / "doc.html")
    assert (tmp_path / "doc.html").read_text("utf-8") == document.view().to_html()
    document.save(tmp_path / "doc.parquet")
    assert pq.read_table(tmp_path / "doc.parquet").equals(document.to_arrow())
    document.save(str(tmp_path / "doc.jsonl"))
    with pytest.raises(ValueError, match=r"in \.parquet, \.jsonl or \.html"):
        document.save(tmp_path / "doc.csv")
    assert len(list(tmp_path.iterdir())) == 3
