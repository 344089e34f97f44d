"""score(): statuses, flags, windows, BOS, detail, control, inputs of every kind.

Losses themselves are compared with transformers elsewhere; here `Model.losses` is the
reference, one document at a time.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest

import attninfluence as ai
from attninfluence.scoring import batches as batches_module
from attninfluence.scoring import reader as reader_module
from attninfluence.scoring.batches import score_batches
from tests.kit.handed_over import HandedOver
from tests.kit.scored import HEADS, LONG_TEXT, TEXTS, assert_same, mean, score


def test_the_score_is_the_relative_rise_of_the_mean_loss(model):
    result = score(TEXTS, model)
    for row, text in zip(result, TEXTS, strict=True):
        ids = model.tokenizer.encode([text])[0].ids
        base, ref = mean(model.losses(ids)), mean(model.losses(ids, HEADS))
        assert row.base_loss == pytest.approx(base, rel=1e-14)
        assert row.ref_loss == pytest.approx(ref, rel=1e-14)
        assert row.score == pytest.approx((ref - base) / base, rel=1e-9)
        assert (row.n_tokens, row.n_scored, row.status) == (len(ids), len(ids) - 1, "ok")
    assert len(set(result.score)) == len(TEXTS)


def test_the_zero_mask_is_another_reading(model):
    uniform, zero = score(TEXTS, model), score(TEXTS, model, mask="zero")
    assert np.array_equal(uniform.base_loss, zero.base_loss)
    assert not np.array_equal(uniform.ref_loss, zero.ref_loss)
    ids = model.tokenizer.encode(TEXTS[:1])[0].ids
    assert zero.ref_loss[0] == pytest.approx(mean(model.losses(ids, HEADS, mask="zero")), rel=1e-14)


def test_no_head_masked_scores_exactly_zero(model):
    result = score(TEXTS, model, heads=[])
    assert result.score.tolist() == [0.0] * len(TEXTS)
    assert np.array_equal(result.base_loss, result.ref_loss)


STATUS_CASES = [
    ("", "empty"),
    (" \n\t \u2003", "empty"),
    (b"", "empty"),
    (None, "bad_type"),
    (float("nan"), "bad_type"),
    (7, "bad_type"),
    (["a", "list"], "bad_type"),
    ({"text": "x"}, "bad_type"),
    (bytearray(b"text"), "bad_type"),
    ("a", "ok"),
    ("nan", "ok"),
    (b"bytes", "ok"),
    (np.str_("numpy"), "ok"),
]


@pytest.mark.parametrize(("text", "status"), STATUS_CASES)
def test_every_input_has_its_status_and_its_row(model, text, status):
    result = score(["the", text, "of the"], model)
    assert result.status == ["ok", status, "ok"]
    assert math.isnan(result.score[1]) == (status != "ok")
    if status != "ok":
        assert math.isnan(result.base_loss[1]) and math.isnan(result.ref_loss[1])
        assert (result.n_tokens[1], result.n_scored[1]) == (0, 0)
    assert_same(score(["the"], model), take(result, 0))
    assert_same(score(["of the"], model), take(result, 2))


def take(result, index):
    """One row of a result, as a result."""
    columns = {name: getattr(result, name)[index : index + 1] for name in result.columns()}
    return ai.Scores(**columns)


def test_a_bad_type_is_named(model):
    result = score([float("nan")], model)
    assert result.messages == {0: "expected str or bytes, found float"}
    assert result[0].message == "expected str or bytes, found float"


def test_fewer_than_two_tokens_are_too_short(model):
    result = score(["a", "ab"], model, bos="never")
    assert result.status == ["too_short", "ok"]
    assert result.n_tokens.tolist() == [1, 2]
    assert result.n_scored.tolist() == [0, 1]
    assert math.isnan(result.score[0])


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (b"caf\xe9 au lait", "caf\ufffd au lait"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("\udc00", "\ufffd"),
        ("a pair \ud83d\ude00", "a pair 😀"),
    ],
)
def test_invalid_text_is_repaired_and_flagged_or_refused(model, given, read):
    repaired, plain = score([given, "the"], model), score([read, "the"], model)
    assert repaired.repaired.tolist() == [True, False]
    assert plain.repaired.tolist() == [False, False]
    assert repaired.score.tolist() == plain.score.tolist()
    strict = score([given, "the"], model, encoding_errors="strict")
    assert strict.status == ["bad_utf8", "ok"]
    assert math.isnan(strict.score[0]) and not strict.repaired[0]


def test_bytes_are_utf8_text(model):
    assert_same(score([text.encode() for text in TEXTS], model), score(TEXTS, model))


def test_what_follows_a_nul_counts(model):
    result = score(["a\0b", "a\0c", "a"], model)
    assert result.n_tokens[0] == result.n_tokens[1] == result.n_tokens[2] + 2
    assert result.score[0] != result.score[1]


def test_text_that_looks_like_a_special_token_is_text(model):
    plain = score(["a<s>b"], model)
    control = score(["a<s>b"], model, special="control")
    assert (plain.n_tokens[0], control.n_tokens[0]) == (6, 4)


class Panic(BaseException):
    pass


def test_a_panic_of_the_tokenizer_costs_one_row(model, monkeypatch):
    backend = model.tokenizer._plain

    class Fragile:
        def __getattr__(self, name):
            return getattr(backend, name)

        def encode(self, text, add_special_tokens):
            if "bad" in text:
                raise Panic("byte index 3 is not a char boundary")
            return backend.encode(text, add_special_tokens=add_special_tokens)

    monkeypatch.setattr(model.tokenizer, "_plain", Fragile())
    result = score(["the", "a bad text", "of the"], model)
    assert result.status == ["ok", "tokenizer_error", "ok"]
    assert "byte index 3" in result.messages[1]
    assert math.isnan(result.score[1])


def test_a_token_the_model_does_not_have_costs_one_row(misfit_folder):
    small = ai.load(misfit_folder)
    result = score(["b c", "on is"], small)
    assert result.status == ["ok", "tokenizer_error"]
    assert (
        "is outside the model's vocabulary of 270 ids, and the tokenizer in" in result.messages[1]
    )
    assert "has 277: put the tokenizer there" in result.messages[1]


def test_a_bos_the_model_does_not_have_is_refused_at_once(llama_folder, monkeypatch):
    small = ai.load(llama_folder(vocab_size=270))
    monkeypatch.setattr(small.tokenizer, "_auto_bos", [276])
    with pytest.raises(ai.ModelError, match="token id 276 is outside .* of 270 ids"):
        score(["b c"], small)
    assert score(["b c"], small, bos="never").status == ["ok"]
    assert ai.score(input_ids=[[1, 2]], model=small, heads=HEADS).status == ["ok"]


def with_losses(monkeypatch, model, base, ref):
    """Every token of every document reads as `base` and `ref` nats."""

    core = model.core

    class Core:
        def __getattr__(self, name):
            return getattr(core, name)

        def run(self, ids, *, first_scored, variants, **options):
            lengths = [len(one) - first for one, first in zip(ids, first_scored, strict=True)]
            return [np.full((2, n), [[base], [ref]], dtype=np.float32) for n in lengths]

    monkeypatch.setattr(model, "core", Core())


def test_next_to_no_base_loss_is_degenerate(model, monkeypatch):
    with_losses(monkeypatch, model, 0.009, 1.0)
    result = score(["some text"], model)
    assert result.status == ["degenerate"]
    assert result.base_loss[0] == pytest.approx(0.009) and result.ref_loss[0] == 1.0
    assert math.isnan(result.score[0]) and result.n_scored[0] > 0


@pytest.mark.parametrize(
    ("base", "ref"), [(math.nan, 1), (1, math.nan), (math.inf, 1), (1, math.inf)]
)
def test_losses_that_are_not_numbers_are_non_finite(model, monkeypatch, base, ref):
    with_losses(monkeypatch, model, base, ref)
    result = score(["some text"], model)
    assert result.status == ["non_finite"]
    assert math.isnan(result.score[0])
    assert [value for value in (result.base_loss[0], result.ref_loss[0]) if value == 1] == [1]


def test_order_and_company_do_not_matter(model):
    mixed = [TEXTS[0], None, *TEXTS[1:], "", b"\xff" + b"x" * 200]
    together = score(mixed, model, control=5)
    for index, text in enumerate(mixed):
        alone = score([text], model, control=5)
        expected = {name: column[index] for name, column in together.columns().items()}
        for name, column in alone.columns().items():
            np.testing.assert_array_equal(column[0], expected[name], err_msg=f"{index} {name}")
    backwards = score(mixed[::-1], model, control=5)
    np.testing.assert_array_equal(backwards.score[::-1], together.score)


@pytest.mark.parametrize(("documents", "tokens"), [(1, 10**6), (3, 10**6), (2048, 1), (2048, 50)])
def test_chunks_do_not_matter(model, monkeypatch, documents, tokens):
    whole = score(TEXTS * 3, model, detail="line")
    monkeypatch.setattr(batches_module, "CHUNK_DOCUMENTS", documents)
    monkeypatch.setattr(reader_module, "CHUNK_TOKENS_PER_THREAD", tokens)
    parts = list(score_batches(TEXTS * 3, model=model, heads=HEADS, detail="line"))
    assert len(parts) > 1
    assert sum(len(part) for part in parts) == len(whole)
    again = score(TEXTS * 3, model, detail="line")
    assert_same(again, whole)
    assert again.spans == whole.spans


def test_a_generator_is_read_a_chunk_at_a_time(model, monkeypatch):
    monkeypatch.setattr(batches_module, "CHUNK_DOCUMENTS", 4)
    taken = []

    def texts():
        for number in range(20):
            taken.append(number)
            yield "text"

    batches = score_batches(texts(), model=model, heads=HEADS)
    assert not taken
    for count in range(1, 6):
        assert len(next(batches)) == 4
        assert len(taken) == 4 * count
    assert_same(score(("text" for _ in range(20)), model), score(["text"] * 20, model))


def test_a_chunk_is_bounded_in_tokens(model, monkeypatch):
    monkeypatch.setattr(reader_module, "CHUNK_TOKENS_PER_THREAD", 100)
    sizes = [len(part) for part in score_batches(["x" * 49] * 6, model=model, heads=HEADS)]
    assert sizes == [2, 2, 2]


def test_no_texts_give_no_rows(model):
    result = score([], model, control=1)
    assert len(result) == 0 and result.control_score.shape == (0,)
    assert result.metadata["heads"] == [[1, 0], [2, 3]]


@pytest.mark.parametrize("bos", ["auto", "never"])
@pytest.mark.parametrize("n_characters", [4, 20, 31, 32, 33, 60, 61, 62, 63, 64, 177])
@pytest.mark.parametrize(
    ("long", "stride"), [("truncate", None), ("chunk", None), ("stride", None), ("stride", 5)]
)
def test_long_documents_are_read_by_their_policy(short, bos, n_characters, long, stride):
    """Each scored token's loss, against the loss of its own context read alone."""
    text = LONG_TEXT[:n_characters]
    result = score([text], short, bos=bos, long=long, stride=stride)
    ids = short.tokenizer.encode([text], bos=bos)[0].ids
    base, ref = [], []
    for token in range(1, len(ids)):
        context = context_of(token, ids, long, stride or 16, has_bos=bos == "auto")
        if context is not None:
            read = np.append(context, ids[token]).astype(np.int32)
            base.append(short.losses(read)[-1])
            ref.append(short.losses(read, HEADS)[-1])
    assert (result.n_tokens[0], result.n_scored[0]) == (len(ids), len(base))
    assert result.base_loss[0] == pytest.approx(mean(np.array(base)), abs=2e-6)
    assert result.ref_loss[0] == pytest.approx(mean(np.array(ref)), abs=2e-6)
    assert result.truncated[0] == (long == "truncate" and len(ids) > 32)
    if long == "stride" or (bos == "auto" and long == "chunk"):
        assert result.n_scored[0] == len(ids) - 1


def context_of(token, ids, long, stride, has_bos, max_length=32):
    """The ids that METHOD.md section 4 lets the model see before it predicts ids[token]."""
    if token < max_length:
        return ids[:token]
    if long == "truncate":
        return None
    if long == "chunk":
        room = max_length - has_bos
        start = max_length + (token - max_length) // room * room
        context = np.append(ids[:1], ids[start:token]) if has_bos else ids[start:token]
        return context if len(context) else None
    start = 0
    while start + max_length <= token:
        start += max_length - stride
    return ids[start:token]


def test_max_length_is_a_window_of_that_many_tokens(model):
    text = "x" * 50
    assert score([text], model, max_length=11).n_scored.tolist() == [10]
    assert score([text], model, max_length=11).n_tokens.tolist() == [51]
    full = score([text[:10]], model)
    assert score([text], model, max_length=11).base_loss[0] == full.base_loss[0]


@pytest.mark.parametrize("source", ["texts", "input_ids"])
def test_max_length_cannot_exceed_the_context(short, source):
    documents = {"texts": ["text"], "input_ids": [[1, 2]]}[source]
    sentence = "max_length=33 exceeds the model's context of 32 tokens"
    with pytest.raises(ValueError, match=sentence):
        ai.score(**{source: documents}, model=short, heads=HEADS, max_length=33)


def test_bos_policies(llama_folder):
    options = {"bos": False}
    without = ai.load(llama_folder(n_kv_heads=2, tokenizer_options=options), threads=1)
    auto, always = score(["of the"], without), score(["of the"], without, bos="always")
    assert auto.n_tokens.tolist() == [2]
    assert always.n_tokens.tolist() == [3]
    with_bos = ai.load(llama_folder(n_kv_heads=2), threads=1)
    assert_same(score(["of the"], with_bos), always)
    assert_same(score(["of the"], with_bos, bos="never"), auto)


def test_input_ids_are_read_as_they_are(model, plain_folder):
    ids = [encoding.ids for encoding in model.tokenizer.encode(TEXTS)]
    result = ai.score(input_ids=ids, model=model, heads=HEADS)
    assert_same(result, score(TEXTS, model))
    plain = ai.load(plain_folder, threads=1)
    for kind in (list, tuple, np.int64, np.uint16):
        given = [kind(one) if kind in (list, tuple) else one.astype(kind) for one in ids]
        assert_same(ai.score(input_ids=given, model=plain, heads=HEADS), result)
    matrix = np.stack([one[:3] for one in ids])
    assert len(ai.score(input_ids=matrix, model=plain, heads=HEADS)) == len(TEXTS)


def test_input_ids_have_statuses_too(plain_folder):
    plain = ai.load(plain_folder)
    result = ai.score(input_ids=[[], [1], [1, 2], None, "text"], model=plain, heads=HEADS)
    assert result.status == ["empty", "too_short", "ok", "bad_type", "bad_type"]
    assert result.n_tokens.tolist() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize("wrap", [lambda array: array, HandedOver, list])
def test_arrays_of_arrow(model, wrap):
    raw = [b"the thing", None, b"caf\xc3", b"x y"]
    found = score(wrap(pa.array(raw, pa.binary()).view(pa.string())), model)
    assert_same(found, score(raw, model))
    assert found.repaired.tolist() == [False, False, True, False]
    coded = pa.array(raw, pa.binary()).view(pa.string()).dictionary_encode()
    assert_same(score(wrap(coded), model), found)
    ids = [[5, 6, 7], None, [], [8, 9]]
    given = ai.score(input_ids=wrap(pa.array(ids)), model=model, heads=HEADS)
    assert_same(given, ai.score(input_ids=ids, model=model, heads=HEADS))
    with pytest.raises(ValueError, match="expected a flat sequence of token ids"):
        ai.score(input_ids=wrap(pa.array([5, 6])), model=model, heads=HEADS)
    if wrap is HandedOver:
        with pytest.raises(TypeError, match="expected one column, got a HandedOver, a table"):
            score(wrap(pa.record_batch({"text": ["the"]})), model)


def test_input_ids_without_a_bos_lose_the_first_token_of_each_chunk(short):
    ids = np.arange(1, 71)
    result = ai.score(input_ids=[ids], model=short, heads=HEADS, long="chunk")
    assert (result.n_tokens[0], result.n_scored[0]) == (70, 31 + 31 + 5)


def test_input_ids_out_of_range_are_named(model):
    sentence = "document 1 of input_ids: id 320 at position 0 is outside the model's vocabulary"
    with pytest.raises(ValueError, match=sentence):
        ai.score(input_ids=[[1, 2], [320, 1]], model=model, heads=HEADS)


def test_the_metadata_says_what_the_numbers_depend_on(model):
    metadata = score(["the"], model, long="stride", max_length=64).metadata
    assert metadata["model"] == model.fingerprint
    assert (metadata["max_length"], metadata["stride"], metadata["long"]) == (64, 32, "stride")
    assert (metadata["precision"], metadata["kernel"]) == (model.precision, model.kernel)
    for name in ("mask", "bos", "special", "encoding_errors", "detail"):
        assert name in metadata
    assert metadata["scoring_version"] == reader_module.SCORING_VERSION


def test_model_and_heads_by_path(tiny_folder, model):
    assert_same(score(TEXTS, str(tiny_folder)), score(TEXTS, model))


def test_without_heads_the_error_names_the_way_to_find_them(model):
    with pytest.raises(ai.ModelError, match="find_retrieval_heads"):
        ai.score(["text"], model=model)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"texts": "one text"}, TypeError, "texts must be an iterable of texts, got one str"),
        ({"texts": b"one text"}, TypeError, "got one bytes"),
        ({"texts": {"text": ["a"]}}, TypeError, "got a dict; give one column"),
        ({}, TypeError, "give either texts or input_ids"),
        ({"texts": [], "input_ids": []}, TypeError, "give either texts or input_ids"),
        ({"texts": [], "mask": "mean"}, ValueError, "mask must be one of uniform, zero"),
        ({"texts": [], "bos": "yes"}, ValueError, "bos must be one of auto, always, never"),
        ({"texts": [], "long": "split"}, ValueError, "long must be one of truncate, chunk, stride"),
        ({"texts": [], "special": "x"}, ValueError, "special must be one of text, control"),
        ({"texts": [], "detail": "word"}, ValueError, "detail must be one of document, token"),
        ({"texts": [], "encoding_errors": "x"}, ValueError, "must be one of replace, strict"),
        ({"texts": [], "stride": 8}, ValueError, "stride=8 needs long='stride'"),
        ({"texts": [], "max_length": 8.5}, TypeError, "max_length must be an integer, got 8.5"),
        ({"texts": [], "max_length": "8"}, TypeError, "max_length must be an integer, got '8'"),
        ({"texts": [], "long": "stride", "stride": 1.5}, TypeError, "stride must be an integer"),
        ({"texts": [], "heads": 3}, TypeError, "heads must be a HeadScores, .* got 3"),
        ({"texts": [], "model": 3}, TypeError, "model must be an opened model.* got int"),
        ({"texts": [], "control": -1}, ValueError, "the seed of a random control .* not -1"),
        ({"texts": [], "max_length": 1}, ValueError, "max_length must be at least 2 tokens"),
        ({"texts": [], "heads": [(9, 0)]}, ValueError, r"head \(9, 0\) is out of range"),
        ({"texts": [], "control": [(0, 4)]}, ValueError, r"head \(0, 4\) is out of range"),
        ({"texts": [], "control": True}, TypeError, "control must be heads or the seed"),
        ({"input_ids": [], "bos": "always"}, ValueError, "input_ids are read as they are"),
        ({"input_ids": [], "detail": "line"}, ValueError, "need texts, not input_ids"),
        ({"input_ids": [], "detail": [[]]}, ValueError, "need texts, not input_ids"),
    ],
)
def test_options_that_cannot_be(model, options, error, sentence):
    with pytest.raises(error, match=sentence):
        ai.score(**{"model": model, "heads": HEADS, **options})


def test_options_are_checked_before_the_first_text(model):
    def texts():
        raise AssertionError("read too early")
        yield

    with pytest.raises(ValueError, match="mask must be"):
        score_batches(texts(), model=model, heads=HEADS, mask="x")


def test_texts_need_a_tokenizer(plain_folder):
    with pytest.raises(ai.ModelError, match=r"no tokenizer\.json in .*give token ids instead"):
        ai.score(["text"], model=plain_folder, heads=HEADS)


def test_arrow_columns_and_arrays_are_texts(model):
    import pyarrow as pa

    expected = score([*TEXTS, None], model)
    for texts in (
        pa.array([*TEXTS, None]),
        pa.chunked_array([TEXTS[:2], [*TEXTS[2:], None]]),
        np.array([*TEXTS, None], dtype=object),
    ):
        assert_same(score(texts, model), expected)


def test_a_table_is_no_column(model):
    import pyarrow as pa

    class Dataset(list):
        column_names = ("text",)

    with pytest.raises(TypeError, match="got a Table; give one column"):
        score(pa.table({"text": TEXTS}), model)
    with pytest.raises(TypeError, match="got a Dataset; give one column"):
        score(Dataset([{"text": "a"}]), model)


def test_progress_is_on_stderr_and_off_by_default(model, capsys):
    score(TEXTS, model)
    assert capsys.readouterr() == ("", "")
    score(TEXTS, model, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "score: 100%" in err and "doc/s" in err and "tokens/s" in err


def test_ctrl_c_passes_through(model):
    def texts():
        yield "the"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(texts(), model)
    assert score(["the"], model).status == ["ok"]


def test_an_error_of_the_callers_generator_passes_through(model):
    def texts():
        yield "the"
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        score(texts(), model)


def test_nasty_texts_all_have_a_row(model):
    pieces = [
        "\0",
        "\ufeff",
        "\u202e",
        "e\u0301" * 50,
        "^" * 5000,
        "\r\n",
        "</s>",
        "\x7f",
        "😀" * 99,
    ]
    texts = [a + b for a, b in itertools.product(pieces, pieces)]
    result = score(texts, model, max_length=64)
    assert len(result) == len(texts)
    assert set(result.status) <= {"ok", "empty"}
    assert not np.isnan(result.score[np.array(result.status) == "ok"]).any()
