"""`Scorer`: what it takes, what it gives, and that its bits are those of `score`."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import attninfluence as ai
from tests.kit.child import run_python
from tests.kit.handed_over import HandedOver, Streamed
from tests.kit.tiny_models import random_ids

HEADS = [(1, 2), (0, 1)]
TEXTS = ["the thing", "", None, b"an\xff", "in the thing " * 40, "\ud800 and the", "x", 3, "<s> a"]
TYPES = {
    "n_tokens": np.int64,
    "n_scored": np.int64,
    "base_loss": np.float64,
    "ref_loss": np.float64,
    "score": np.float64,
    "truncated": np.bool_,
    "repaired": np.bool_,
    "partly_counted": np.bool_,
}
IDS = [random_ids(0, 30, 320), None, [5], list(range(100))]


@pytest.fixture(scope="module")
def model(tiny_folder):
    return ai.load(tiny_folder, precision="fp32", kernel="portable", threads=2)


@pytest.fixture(scope="module")
def scorer(model):
    return ai.Scorer(model, HEADS)


@pytest.fixture(scope="module")
def expected(model):
    return columns_of(ai.score(TEXTS, model=model, heads=HEADS))


def columns_of(scores, prefix="ai_"):
    return {prefix + name: column for name, column in scores.columns().items()}


def assert_same(found, expected):
    """Equal to the bit, NaN included."""
    assert list(found) == list(expected)
    for name, column in expected.items():
        if isinstance(column, list):
            assert list(found[name]) == column
        else:
            assert np.asarray(found[name]).tobytes() == column.tobytes(), name


def test_a_batch_gives_the_new_columns(scorer, expected):
    found = scorer({"text": TEXTS, "id": list(range(9))})
    assert_same(found, expected)
    for name, kind in TYPES.items():
        assert found[f"ai_{name}"].dtype == kind
    assert set(found["ai_status"]) == {"ok", "empty", "bad_type"}
    assert scorer.columns == tuple(expected)


def test_every_batch_gives_the_same_bits(scorer, expected):
    parts = [scorer({"text": TEXTS[start : start + 2]}) for start in range(0, 9, 2)]
    for name, column in expected.items():
        joined = [value for part in parts for value in part[name]]
        assert_same({name: np.array(joined)}, {name: np.array(column)})


@pytest.mark.parametrize("row", range(len(TEXTS)))
def test_one_example_gives_scalars(scorer, expected, row):
    found = scorer({"text": TEXTS[row]})
    assert {type(value) for value in found.values()} <= {int, float, str, bool}
    assert_same(
        {name: np.array([value]) for name, value in found.items()},
        {name: np.array(column[row : row + 1]) for name, column in expected.items()},
    )


def test_an_empty_batch_keeps_its_types(scorer):
    found = scorer({"text": []})
    assert {name: found[f"ai_{name}"].dtype for name in TYPES} == TYPES
    assert found["ai_status"] == []
    table = scorer(pa.table({"text": pa.array([], pa.string())}))
    assert table.schema.field("ai_status").type == pa.string()
    assert table.num_rows == 0


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Series, pa.array])
def test_columns_of_any_kind(scorer, kind):
    texts = ["the thing", "an end", ""]
    assert_same(scorer({"text": kind(texts)}), scorer({"text": texts}))


def test_a_data_frame_gets_the_columns(scorer, model):
    texts = ["the thing", None, "in the end"]
    frame = pd.DataFrame({"text": texts, "ai_score": [1, 2, 3]}, index=[7, 3, 5])
    found = scorer(frame)
    assert list(found.columns)[:2] == ["text", "ai_score"]
    assert list(found.index) == [7, 3, 5]
    expected = columns_of(ai.score(texts, model=model, heads=HEADS))
    assert_same({name: found[name].to_numpy() for name in expected}, expected)
    assert list(frame.columns) == ["text", "ai_score"]


@pytest.mark.parametrize("kind", [pa.table, pa.record_batch])
def test_an_arrow_table_gets_the_columns(scorer, model, kind):
    texts = ["the thing", None, "in the end"]
    table = kind({"ai_score": [1, 2, 3], "text": texts}).replace_schema_metadata({"a": "b"})
    found = scorer(table)
    expected = columns_of(ai.score(texts, model=model, heads=HEADS))
    assert type(found) is type(table)
    assert found.column_names == ["text", *expected]
    assert found.schema.metadata == {b"a": b"b"}
    assert_same({name: np.array(found.column(name)) for name in expected}, expected)
    assert [found.column(name).null_count for name in expected] == [0] * len(expected)


@pytest.mark.parametrize("kind", [pa.table, pa.record_batch])
def test_a_string_of_an_arrow_table_that_is_not_utf8_is_repaired(scorer, model, kind):
    texts = [b"the thing", b"caf\xc3", b"in the end"]
    found = scorer(kind({"text": pa.array(texts, pa.binary()).view(pa.string())}))
    expected = columns_of(ai.score(texts, model=model, heads=HEADS))
    assert expected["ai_repaired"].tolist() == [False, True, False]
    assert_same({name: np.array(found.column(name)) for name in expected}, expected)


@pytest.mark.parametrize("kind", [pa.Table, pa.RecordBatch])
def test_names_that_an_arrow_table_has_twice(scorer, expected, kind):
    columns = [pa.array([n]) for n in range(4)] + [pa.array(["the thing"])]
    names = ["id", "ai_score", "id", "ai_score", "text"]
    found = scorer(kind.from_arrays(columns, names=names))
    assert type(found) is kind and found.column_names == ["id", "id", "text", *expected]
    assert (found.column(0)[0].as_py(), found.column(1)[0].as_py()) == (0, 2)
    assert found.column("ai_score")[0].as_py() == expected["ai_score"][0]
    with pytest.raises(ValueError, match="there are 2 columns 'text'; rename or drop all but one"):
        scorer(kind.from_arrays([*columns, columns[-1]], names=[*names, "text"]))


def test_names_that_a_data_frame_has_twice(scorer, expected):
    columns = ["id", "ai_score", "id", "text", "ai_score"]
    frame = pd.DataFrame([[1, 2, 3, "the thing", 4]], columns=columns, index=[7])
    found = scorer(frame)
    others = [name for name in expected if name != "ai_score"]
    assert list(found.columns) == ["id", "ai_score", "id", "text", *others]
    assert found["ai_score"].tolist() == [expected["ai_score"][0]] and list(found.index) == [7]
    assert list(frame.columns) == columns
    with pytest.raises(ValueError, match="there are 2 columns 'text'"):
        scorer(frame.set_axis(["text", *columns[1:]], axis=1))
    nested = pd.DataFrame({("text", "a"): ["the thing"], ("text", "b"): [1]})
    with pytest.raises(ValueError, match=r"no column 'text'; the columns are \('text', 'a'\), "):
        scorer(nested)


@pytest.mark.parametrize(
    "hand_over",
    [lambda texts: Streamed(pa.table({"text": texts, "n": [1, 2, 3]}))]
    + [lambda texts: HandedOver(pa.record_batch({"text": texts, "n": [1, 2, 3]}))],
)
def test_any_frame_of_arrow_gets_the_columns(scorer, model, hand_over):
    texts = ["the thing", None, "in the end"]
    found = scorer(hand_over(texts))
    expected = columns_of(ai.score(texts, model=model, heads=HEADS))
    assert isinstance(found, pa.Table) and found.column_names == ["text", "n", *expected]
    assert_same({name: np.array(found.column(name)) for name in expected}, expected)
    assert scorer.at_least(-9)(hand_over(texts)).tolist() == [True, False, True]


def test_an_array_of_arrow_is_a_column_and_no_frame(scorer, expected):
    array = pa.array(["the thing", None])
    for column in (array, HandedOver(array), Streamed(pa.chunked_array([array]))):
        found = scorer({"text": column})
        assert found["ai_status"] == ["ok", "bad_type"]
        assert found["ai_score"][0] == expected["ai_score"][0]
    with pytest.raises(TypeError, match="expected a table, got a HandedOver"):
        scorer(HandedOver(array))


def test_a_polars_frame_gets_the_columns(scorer, model):
    polars = pytest.importorskip("polars", reason="polars is not installed (extra: test)")
    texts = ["the thing", None, "in the end"]
    things = [object(), 2, "three"]  # which Arrow has no type for
    frame = polars.DataFrame({"text": texts, "ai_score": [1, 2, 3]}).with_columns(
        polars.Series("things", things, dtype=polars.Object)
    )
    found = scorer(frame)
    expected = columns_of(ai.score(texts, model=model, heads=HEADS))
    assert isinstance(found, polars.DataFrame)
    assert found.columns[:3] == ["text", "ai_score", "things"]
    assert found["things"].to_list() == things
    assert_same({name: found[name].to_numpy() for name in expected}, expected)
    ids = ai.Scorer(model, HEADS, input_ids_column="ids")
    given = [[5, 6, 7], None, [8, 9]]
    found = ids(polars.DataFrame({"ids": given}))
    assert found["ai_score"].to_list()[0] == ids({"ids": given})["ai_score"][0]
    assert ai.score(frame["text"], model=model, heads=HEADS).status == expected["ai_status"]
    with pytest.raises(TypeError, match="another frame with __arrow_c_stream__, got a LazyFrame"):
        scorer(frame.lazy())


def test_token_ids(model, scorer):
    scorer = ai.Scorer(model, HEADS, input_ids_column="ids", text_column="unread")
    expected = columns_of(ai.score(input_ids=IDS, model=model, heads=HEADS))
    assert_same(scorer({"ids": IDS}), expected)
    lists = [None if ids is None else list(map(int, ids)) for ids in IDS]
    found = scorer(pa.table({"ids": lists}))
    assert_same({name: np.array(found[name]) for name in expected}, expected)
    one = {name: column[0] for name, column in expected.items()}
    assert scorer({"ids": IDS[0]}) == scorer({"ids": lists[0]}) == one
    assert scorer({"ids": None})["ai_status"] == "bad_type"
    assert scorer({"ids": []})["ai_status"] == "empty"
    assert list(scorer({"ids": [[]]})["ai_status"]) == ["empty"]
    assert list(scorer({"ids": [None]})["ai_status"]) == ["bad_type"]


def test_token_ids_need_no_tokenizer(plain_folder):
    scorer = ai.Scorer(plain_folder, HEADS, input_ids_column="ids")
    assert scorer({"ids": IDS})["ai_status"][0] == "ok"
    with pytest.raises(ai.ModelError, match=r"no tokenizer\.json"):
        ai.Scorer(plain_folder, HEADS)


def test_options_and_names(model):
    options = {"mask": "zero", "bos": "never", "long": "stride", "max_length": 16, "stride": 4}
    options |= {"special": "control", "encoding_errors": "strict", "control": [(2, 2)]}
    scorer = ai.Scorer(model, HEADS, text_column="body", prefix="", **options)
    assert_same(
        scorer({"body": TEXTS}),
        columns_of(ai.score(TEXTS, model=model, heads=HEADS, **options), ""),
    )
    assert "control_score" in scorer.columns
    assert (scorer.heads, scorer.control) == (((0, 1), (1, 2)), ((2, 2),))
    again = pickle.loads(pickle.dumps(scorer))
    assert_same(again({"body": TEXTS}), scorer({"body": TEXTS}))
    assert again.columns == scorer.columns


def test_the_bundled_model_and_its_heads():
    scorer = ai.Scorer()
    assert scorer.heads == tuple(sorted(ai.load().heads.selected))
    texts = ["The answer is 42, and 42 is the answer."]
    assert_same(scorer({"text": texts}), columns_of(ai.score(texts)))


def test_what_cannot_be(model, scorer):
    with pytest.raises(ValueError, match="no column 'text'; the columns are body, id"):
        scorer({"body": ["a"], "id": [1]})
    with pytest.raises(ValueError, match="no column 'text'; the columns are body"):
        scorer(pa.table({"body": ["a"]}))
    with pytest.raises(ValueError, match="no column 'text'; the columns are none"):
        scorer(pd.DataFrame())
    with pytest.raises(
        TypeError, match="a pandas or polars DataFrame, an Arrow table, .* got a list"
    ):
        scorer(["a text"])
    with pytest.raises(ValueError, match="mask must be one of"):
        ai.Scorer(model, HEADS, mask="none")
    with pytest.raises(TypeError, match="columns and prefixes are strings, got 3"):
        ai.Scorer(model, HEADS, text_column=3)
    with pytest.raises(TypeError, match="columns and prefixes are strings, got None"):
        ai.Scorer(model, HEADS, prefix=None)
    with pytest.raises(ValueError, match="bos='always' needs texts"):
        ai.Scorer(model, HEADS, input_ids_column="ids", bos="always")
    with pytest.raises(ai.ModelError, match="find_retrieval_heads"):
        ai.Scorer(model)
    with pytest.raises(ValueError, match="id 320 at position 0 is outside"):
        ai.Scorer(model, HEADS, input_ids_column="ids")({"ids": [[320, 1]]})


def test_threads(model):
    assert ai.Scorer(model, HEADS).model is model
    other = ai.Scorer(model, HEADS, threads=3)
    assert (other.model.threads, other.model.core) == (3, model.core)
    assert pickle.loads(pickle.dumps(other)).model.threads == 3


def test_the_pickle_is_small_and_opens_the_same(model, scorer, expected):
    pickled = pickle.dumps(
        ai.Scorer(model, [(layer, head) for layer in range(3) for head in range(4)])
    )
    assert len(pickled) < 2_000
    for again in (pickle.loads(pickle.dumps(scorer)), copy.deepcopy(scorer)):
        assert again.model is scorer.model
        assert_same(again({"text": TEXTS}), expected)
        assert pickle.dumps(again) == pickle.dumps(scorer)


def test_a_pickle_of_another_version_is_refused(scorer):
    rebuild, (config, place) = scorer.__reduce__()
    other = json.dumps(json.loads(config) | {"scoring_version": 99})
    with pytest.raises(ai.ModelError, match="version 99 of the scores, this package version 1"):
        rebuild(other, place)


def test_at_least(scorer, expected):
    scores = expected["ai_score"]
    cut = float(np.nanmedian(scores))
    keep = scorer.at_least(cut)
    found = keep({"text": TEXTS})
    assert found.dtype == np.bool_
    assert list(found) == [score >= cut for score in scores]
    assert found.any() and not found.all()
    assert [keep({"text": text}) for text in TEXTS] == list(found)
    assert all(type(keep({"text": text})) is bool for text in TEXTS)
    texts = ["the thing", "in the thing"]
    for table in (pa.table({"text": texts}), pd.DataFrame({"text": texts})):
        assert list(keep(table)) == list(keep({"text": texts}))
    again = pickle.loads(pickle.dumps(keep))
    assert list(again({"text": TEXTS})) == list(found)
    with pytest.raises(ValueError, match="the cut must be a number, got nan"):
        scorer.at_least(float("nan"))


LIGHT = """
import sys
import attninfluence as ai
ai.Scorer()({"text": ["a text"]})
print(sorted({"pandas", "pyarrow", "datasets", "torch"} & set(sys.modules)))
"""


def test_a_dict_needs_no_library_of_tables():
    assert run_python(LIGHT) == "[]\n"
