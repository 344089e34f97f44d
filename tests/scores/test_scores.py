"""What score() returns: records, tables, files."""

from __future__ import annotations

import json
import math
import os
import pickle
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attninfluence as ai
from attninfluence.scores.scores import Scores
from attninfluence.scores.spans import SpanScore

COLUMNS = ["n_tokens", "n_scored", "base_loss", "ref_loss", "score"]
COLUMNS += ["status", "truncated", "repaired", "partly_counted"]


def make(control=False, spans=None, metadata=None, **columns):
    columns = {
        "score": np.array([0.5, math.nan, 0.0]),
        "base_loss": np.array([2.0, math.nan, 3.0]),
        "ref_loss": np.array([3.0, math.nan, 3.0]),
        "n_tokens": np.array([7, 0, 9]),
        "n_scored": np.array([6, 0, 4]),
        "status": ["ok", "empty", "ok"],
        "truncated": np.array([False, False, True]),
        "repaired": np.array([True, False, False]),
        "partly_counted": np.array([False, False, True]),
    } | columns
    if control:
        columns["control_loss"] = np.array([2.5, math.nan, 3.0])
        columns["control_score"] = np.array([0.25, math.nan, 0.0])
    metadata = {"mask": "zero"} if metadata is None else metadata
    return Scores(**columns, spans=spans, messages={1: "nothing there"}, metadata=metadata)


@pytest.fixture(scope="module")
def scored(tiny_folder):
    """Real results, with tokens kept."""
    return ai.score(
        ["of the thing", None, "naïve"], model=tiny_folder, heads=[(0, 0)], detail="token"
    )


def test_a_record_holds_one_row():
    result = make(control=True)
    assert len(result) == 3
    row = result[0]
    assert (row.score, row.base_loss, row.ref_loss, row.status) == (0.5, 2.0, 3.0, "ok")
    assert (row.n_tokens, row.n_scored, row.truncated, row.repaired) == (7, 6, False, True)
    assert (row.control_loss, row.control_score) == (2.5, 0.25)
    assert result[-1] == result[2] and result[-1].truncated is True
    assert result[1].message == "nothing there" and math.isnan(result[1].score)
    assert [one.status for one in result] == ["ok", "empty", "ok"]
    assert type(row.n_tokens) is int and type(row.score) is float
    assert make()[0].control_loss is None


@pytest.mark.parametrize("index", [3, -4])
def test_past_the_end(index):
    with pytest.raises(IndexError, match=f"document {index} of 3"):
        make()[index]


def test_a_slice_is_no_document():
    with pytest.raises(TypeError, match=r"number of a document must be an integer, got slice"):
        make()[1:2]


def test_repr_says_how_many_and_how_high():
    text = repr(make(control=True))
    assert text.startswith("Scores: 3 documents, 10 tokens scored, 2 ok, 1 empty\n")
    assert "score          min 0.0000  25% 0.1250  median 0.2500" in text
    assert "control_loss" in text
    assert "control" not in repr(make())
    assert "none" in repr(make(score=np.full(3, math.nan)))


def test_concatenate_keeps_every_row():
    parts = [make(control=True, spans=[[], [], []]), make(control=True, spans=[[], [], []])]
    whole = Scores.concatenate(parts)
    assert len(whole) == 6 and len(whole.spans) == 6
    assert whole.messages == {1: "nothing there", 4: "nothing there"}
    assert whole.metadata == {"mask": "zero"}
    for name, column in parts[0].columns().items():
        np.testing.assert_array_equal(whole.columns()[name], [*column, *column])


@pytest.mark.parametrize("name", ["precision", "kernel", "model"])
def test_scores_made_in_different_ways_are_not_joined(name):
    first, second = make(metadata={"mask": "zero", name: "a"}), make(metadata={"mask": "zero"})
    with pytest.raises(ValueError, match=f"{name} is 'a' in one part and None in another"):
        Scores.concatenate([first, first, second])


def test_arrow_has_null_where_there_is_no_number():
    converted = make().to_arrow()
    assert converted.column_names == COLUMNS
    assert converted["score"].to_pylist() == [0.5, None, 0.0]
    assert converted["base_loss"].null_count == converted["ref_loss"].null_count == 1
    assert converted.schema.field("n_tokens").type == pa.int64()
    assert converted.schema.field("truncated").type == pa.bool_()
    assert json.loads(converted.schema.metadata[b"attninfluence"]) == {"mask": "zero"}


def test_an_empty_result_has_its_types(tiny_folder):
    empty = ai.score([], model=tiny_folder, heads=[(0, 0)], control=1)
    schema = empty.to_arrow().schema
    assert schema.field("score").type == pa.float64()
    assert schema.field("status").type == pa.string()
    assert "none" in repr(empty)


def test_arrow_of_spans():
    span = SpanScore(0, 5, 2, 1.0, 2.0, 1.0)
    nothing = SpanScore(5, 6, 0, math.nan, math.nan, math.nan)
    converted = make(spans=[[span, nothing], [], []]).to_arrow()
    first = converted["spans"].to_pylist()[0]
    assert first[0]["score"] == 1.0 and first[0]["control_loss"] is None
    assert first[1]["base_loss"] is None and first[1]["n_scored"] == 0
    assert converted["spans"].to_pylist()[1] == []


def test_arrow_of_tokens(scored):
    converted = scored.to_arrow()
    first = scored.token_losses(0)
    assert converted["token_ids"].to_pylist()[0] == first.ids.tolist()
    losses = converted["token_base_loss"].to_pylist()[0]
    assert losses[0] is None
    np.testing.assert_array_equal(np.array(losses[1:], dtype=np.float32), first.base[1:])
    assert "token_control_loss" not in converted.column_names


def test_parquet_holds_the_table(tmp_path, scored):
    for result in (make(control=True), scored):
        result.save(tmp_path / "scores.parquet")
        stored, expected = pq.read_table(tmp_path / "scores.parquet"), result.to_arrow()
        assert stored.column_names == expected.column_names
        assert stored.to_pylist() == expected.to_pylist()
        assert stored.schema.metadata == expected.schema.metadata


def test_the_file_says_what_made_it(tmp_path, scored, tiny_folder):
    scored.save(tmp_path / "scores.parquet")
    told = json.loads(pq.read_schema(tmp_path / "scores.parquet").metadata[b"attninfluence"])
    model = ai.load(tiny_folder)
    assert (told["precision"], told["kernel"]) == (model.precision, model.kernel)


def test_jsonl_holds_the_rows(tmp_path, scored):
    make(control=True).save(str(tmp_path / "scores.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert rows == make(control=True).to_arrow().to_pylist()
    scored.save(tmp_path / "tokens.jsonl")
    first = json.loads((tmp_path / "tokens.jsonl").read_text().splitlines()[0])
    assert first["token_base_loss"][0] is None
    assert "NaN" not in (tmp_path / "tokens.jsonl").read_text()


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"expected a name that ends in \.parquet, \.jsonl or \.html"
    ):
        make().save(tmp_path / "scores.csv")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["scores.parquet", "scores.jsonl"])
@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, name, error):
    make().save(tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def fail(*arguments):
        raise error

    monkeypatch.setattr("attninfluence.base.replacing.sync", fail)
    with pytest.raises(type(error)):
        make(control=True).save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".html"])
def test_a_missing_folder_is_named(tmp_path, suffix):
    path = tmp_path / "nowhere" / f"scores{suffix}"
    with pytest.raises(FileNotFoundError) as raised:
        make().save(path)
    assert str(raised.value) == f"[Errno 2] No such file or directory: {str(path)!r}"


@pytest.mark.parametrize("letter", ["a", "\u4e2d"])
def test_the_longest_name_can_be_saved_to(tmp_path, letter):
    path = tmp_path / f"{letter * (249 // len(letter.encode()))}.jsonl"
    make().save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_without_pandas_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        make().to_pandas()


def test_pandas_gets_the_columns(monkeypatch):
    """With a stand-in that keeps what it is given, as pandas itself is optional."""
    from types import SimpleNamespace

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    frame = make().to_pandas()
    assert list(frame) == COLUMNS
    assert math.isnan(frame["score"][1])


def test_pickles(scored):
    again = pickle.loads(pickle.dumps(scored))
    np.testing.assert_array_equal(again.score, scored.score)
    assert again.token_losses(0).tokens == scored.token_losses(0).tokens


def test_columns_without_partly_counted_count_every_token():
    """As a table has them that an earlier version wrote."""
    made = make()
    columns = {name: getattr(made, name) for name in COLUMNS if name != "partly_counted"}
    assert Scores(**columns).partly_counted.tolist() == [False] * len(made)
