"""Scores of streams of Arrow batches: the same bits as `score`, whatever the batches."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import attninfluence as ai
from attninfluence.integrations import arrow
from attninfluence.integrations.arrow import score_fields, score_record_batches, scored_schema
from attninfluence.integrations.ray import ScoreActor
from attninfluence.integrations.spark import SPARK_TYPES
from attninfluence.model import shared
from attninfluence.scoring.batches import CHUNK_DOCUMENTS
from attninfluence.scoring.reader import CHUNK_TOKENS_PER_THREAD
from tests.kit.handed_over import HandedOver
from tests.kit.mixed_rows import ODD_TEXTS, mixed_rows, string_array
from tests.kit.scored import HEADS, TEXTS

Batches = list[pa.RecordBatch]
MIXED: list[str | bytes | None] = [*ODD_TEXTS, *TEXTS, *ODD_TEXTS[::-1]]


@pytest.fixture(scope="module")
def model(llama_folder: Callable[..., Path]) -> ai.Model:
    folder = llama_folder(n_kv_heads=2, max_position_embeddings=128)
    return ai.load(folder, threads=1)


def batches_of(column: pa.Array, size: int) -> Batches:
    rows = pa.record_batch({"row": pa.array(range(len(column))), "text": column})
    return [rows.slice(start, size) for start in range(0, len(column), size)]


def scored(batches: Any, model: Any, **options: Any) -> Batches:
    options = {"heads": HEADS, **options}
    return list(score_record_batches(batches, model=model, **options))


def assert_scored(found: Batches, given: Batches, expected: ai.Scores) -> None:
    """Each batch as it was, and the columns of `expected` in order, equal to the bit."""
    assert [batch.num_rows for batch in found] == [batch.num_rows for batch in given]
    kept = [batch.select(range(len(given[0].schema))) for batch in found]
    assert all(a.equals(b, check_metadata=True) for a, b in zip(kept, given, strict=True))
    table = pa.Table.from_batches(found)
    columns = expected.to_arrow()
    assert table.column_names[len(given[0].schema) :] == ["ai_" + n for n in columns.column_names]
    for name in columns.column_names:
        assert table["ai_" + name].combine_chunks().equals(columns[name].combine_chunks()), name


@pytest.mark.parametrize("size", [1, 3, 7, len(MIXED)])
def test_same_bits_in_batches_of_any_size(model: ai.Model, size: int) -> None:
    given = batches_of(string_array(MIXED), size)
    expected = ai.score(MIXED, model=model, heads=HEADS)
    assert {"ok", "empty", "bad_type"} <= set(expected.status)
    assert expected.repaired.any() and expected.truncated.any()
    assert_scored(scored(given, model), given, expected)


def test_same_bits_where_a_batch_takes_many_chunks(
    model: ai.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = batches_of(string_array(MIXED), 17)
    expected = ai.score(MIXED, model=model, heads=HEADS)
    monkeypatch.setattr("attninfluence.scoring.batches.CHUNK_DOCUMENTS", 2)
    monkeypatch.setattr("attninfluence.integrations.arrow.TEXT_ROWS", 3)
    assert_scored(scored(given, model), given, expected)


def test_options_and_control(model: ai.Model) -> None:
    options: dict[str, Any] = {"control": 7, "mask": "zero", "long": "chunk", "max_length": 60}
    given = batches_of(string_array(MIXED), 5)
    expected = ai.score(MIXED, model=model, heads=HEADS, **options)
    found = scored(given, model, **options)
    assert_scored(found, given, expected)
    assert found[0].schema.equals(scored_schema(given[0].schema, control=True))


def binary_of(kind: pa.DataType) -> pa.Array:
    return string_array(MIXED).cast(pa.binary()).cast(kind)


@pytest.mark.parametrize(
    "column",
    [
        string_array(MIXED, pa.large_string()),
        binary_of(pa.binary()),
        binary_of(pa.large_binary()),
        binary_of(pa.binary()).dictionary_encode(),
        binary_of(pa.binary_view()).view(pa.string_view()),
        pa.DictionaryArray.from_arrays(pa.array(range(len(MIXED))), string_array(MIXED)),
    ],
    ids=lambda column: str(column.type),
)
def test_every_encoding_of_texts(model: ai.Model, column: pa.Array) -> None:
    given = batches_of(column, 11)
    expected = ai.score(MIXED, model=model, heads=HEADS)
    assert_scored(scored(given, model), given, expected)


@pytest.mark.parametrize(
    "column",
    [pa.nulls(3), pa.array([1, 2, None]), pa.array([["a"], [], None]), pa.array([0.5, None, 1.0])],
    ids=lambda column: str(column.type),
)
def test_what_is_no_text_gets_a_status(model: ai.Model, column: pa.Array) -> None:
    (found,) = scored(batches_of(column, 3), model)
    assert found["ai_status"].to_pylist() == ["bad_type"] * 3
    assert found["ai_score"].null_count == 3


def test_batches_without_rows_keep_their_places(
    model: ai.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last text ends a chunk.
    monkeypatch.setattr("attninfluence.scoring.batches.CHUNK_DOCUMENTS", 1)
    given = batches_of(string_array(list(TEXTS)), 2)
    nothing = given[0].slice(0, 0)
    given = [nothing, nothing, given[0], nothing, *given[1:], nothing, nothing]
    assert_scored(scored(given, model), given, ai.score(TEXTS, model=model, heads=HEADS))
    (found,) = scored([nothing], model)
    assert found.schema.equals(scored_schema(nothing.schema)) and not found.num_rows


def test_nothing_is_opened_without_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(arrow, "open_shared", lambda *args, **kwargs: opened.append(args))
    assert not list(score_record_batches(iter([])))
    assert not opened


def test_the_model_is_opened_as_asked(model: ai.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def stand_in(name: str, **how: Any) -> ai.Model:
        asked.append((name, how))
        return model

    monkeypatch.setattr(arrow, "open_shared", stand_in)
    how = {"precision": "bf16", "kernel": "portable", "threads": 3}
    scored(batches_of(string_array(["the"]), 1), "some/model", **how)
    assert asked == [("some/model", how | {"worker": True})]


def test_one_stream_after_the_other_reads_one_model(model: ai.Model) -> None:
    """As a Spark worker scores partitions: of a path, which keeps nothing alive by itself."""
    given = batches_of(string_array(["the"]), 1)
    opened: list[Any] = []
    for _ in range(2):
        scored(given, str(model.path), threads=2)
        gc.collect()
        opened.append([known for known in shared._kept if known.path == model.path])
    assert len(opened[0]) == 1 and opened[0] == opened[1]


def test_the_bundled_model_and_its_heads_are_the_defaults() -> None:
    given = batches_of(string_array(list(TEXTS)), 2)
    found = list(score_record_batches(given))
    assert_scored(found, given, ai.score(TEXTS))


def test_types_and_nulls(model: ai.Model) -> None:
    schema = scored_schema(pa.schema([("text", pa.string())], {"kept": "yes"}), control=True)
    types = {name: str(schema.field(name).type) for name in schema.names}
    numbers = ["base_loss", "ref_loss", "score", "control_loss", "control_score"]
    assert types == {
        "text": "string",
        "ai_n_tokens": "int64",
        "ai_n_scored": "int64",
        **{"ai_" + name: "double" for name in numbers},
        "ai_status": "string",
        "ai_truncated": "bool",
        "ai_repaired": "bool",
        "ai_partly_counted": "bool",
    }
    assert schema.metadata == {b"kept": b"yes"}
    (found,) = scored(batches_of(string_array(["the thing", ""]), 2), model, control=1)
    for name in numbers:
        first, second = found["ai_" + name].to_pylist()
        assert first == first and second is None


def test_the_prefix(model: ai.Model) -> None:
    given = batches_of(string_array(["the thing"]), 1)
    (found,) = scored(given, model, prefix="influence/")
    assert found.schema.equals(scored_schema(given[0].schema, prefix="influence/"))
    assert "influence/score" in found.schema.names and "ai_score" not in found.schema.names


def test_a_name_that_is_taken_is_refused(model: ai.Model) -> None:
    given = pa.record_batch({"text": ["the"], "ai_status": ["mine"]})
    stream = iter([given, given])
    with pytest.raises(ValueError, match=r"a column 'ai_status' already.*than 'ai_'"):
        scored(stream, model)
    assert next(stream) is given  # before anything was read ahead or scored
    (found,) = scored([given], model, prefix="")
    assert found["ai_status"].to_pylist() == ["mine"]
    with pytest.raises(ValueError, match="column 'score' already"):
        scored_schema(pa.schema([("score", pa.float64())]), prefix="")


def test_a_missing_text_column_names_those_there_are(model: ai.Model) -> None:
    given = batches_of(string_array(["the"]), 1)
    with pytest.raises(ValueError, match=r"no column 'body' to score; the batch has 'row', 'text'"):
        scored(given, model, text_column="body")
    with pytest.raises(ValueError, match="the batch has none"):
        scored([pa.record_batch([], schema=pa.schema([]))], model)
    twice = pa.RecordBatch.from_arrays([pa.array(["a"])] * 2, names=["text", "text"])
    with pytest.raises(ValueError, match="the batch has 2 columns 'text'"):
        scored([twice], model)


def test_what_is_no_batch_and_no_option_is_refused(model: ai.Model) -> None:
    table = pa.table({"text": ["the"]})
    with pytest.raises(TypeError, match=r"type pyarrow.RecordBatch, got ChunkedArray"):
        scored(table, model)
    with pytest.raises(TypeError, match=r"type pyarrow.RecordBatch, got StringArray"):
        scored([pa.array(["the"])], model)
    for name in ("detail", "input_ids", "progress", "bso"):
        with pytest.raises(TypeError, match=f"no option '{name}'; the scoring options are mask,"):
            scored(table.to_batches(), model, **{name: "auto"})
    with pytest.raises(ValueError, match="mask must be one of"):
        scored(table.to_batches(), model, mask="none")


def test_batches_of_another_library(model: ai.Model) -> None:
    given = batches_of(string_array(list(TEXTS)), 2)
    found = scored([HandedOver(batch) for batch in given], model)
    assert_scored(found, given, ai.score(TEXTS, model=model, heads=HEADS))


def test_another_column_may_be_there_twice(model: ai.Model) -> None:
    columns = [pa.array([1]), pa.array(["the"]), pa.array([2])]
    given = pa.RecordBatch.from_arrays(columns, names=["n", "text", "n"])
    found = scored([given], model)[0]
    assert found.select([0, 1, 2]).equals(given) and found.schema.names[3] == "ai_n_tokens"


def test_a_reader_is_an_iterable_of_batches(model: ai.Model) -> None:
    given = batches_of(string_array(list(TEXTS)), 2)
    reader = pa.RecordBatchReader.from_batches(given[0].schema, given)
    assert_scored(scored(reader, model), given, ai.score(TEXTS, model=model, heads=HEADS))


def test_an_error_of_the_stream_passes_through(model: ai.Model) -> None:
    def stream() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"text": ["the"]})
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        scored(stream(), model)


# ---- Streaming ----


def watched(n: int, text: str, rows: int, taken: list[int]) -> Iterator[pa.RecordBatch]:
    """n batches of as many rows of one text, with 100 KB that come along; counts those taken."""
    for _ in range(n):
        taken[0] += 1
        along = pa.array([bytes(100_000 // rows)] * rows)
        yield pa.record_batch({"text": [text] * rows, "along": along})


@pytest.mark.parametrize(
    ("text", "rows", "ahead"),
    [
        ("", 64, CHUNK_DOCUMENTS // 64),
        ("in " * 600, 1, CHUNK_TOKENS_PER_THREAD // 128),  # 128 tokens of it are read
        ("in " * 600, 256, 1),
    ],
    ids=["many rows", "many tokens", "large batches"],
)
def test_rows_are_read_ahead_and_no_more_than_promised(
    model: ai.Model, text: str, rows: int, ahead: int
) -> None:
    taken, given, furthest = [0], 0, 0
    stream = score_record_batches(watched(150, text, rows, taken), model=model, heads=HEADS)
    for batch in stream:
        assert batch.num_rows == rows
        given += 1
        furthest = max(furthest, taken[0] - given + 1)
        if rows == 256 and given == 2:
            break  # scoring all of them takes long
    assert given == (2 if rows == 256 else 150)
    assert ahead <= furthest <= ahead + 1


def test_memory_does_not_grow_with_the_stream(model: ai.Model) -> None:
    """150 MB go by; no more than 40 batches of 100 KB and their scores are held at any time."""
    before, largest = pa.total_allocated_bytes(), 0
    stream = score_record_batches(watched(1500, " ", 64, [0]), model=model, heads=HEADS)
    for _ in stream:
        largest = max(largest, pa.total_allocated_bytes() - before)
    assert 1_000_000 < largest < 5_000_000


# ---- Pickled, as Spark and others send it ----


def test_the_callable_is_small_when_pickled_and_scores_the_same(model: ai.Model) -> None:
    given = batches_of(string_array(MIXED), 9)
    score = partial(score_record_batches, model=model, heads=HEADS, text_column="text")
    pickled = pickle.dumps(score)
    assert len(pickled) < 2000
    found = list(pickle.loads(pickled)(iter(given)))
    assert_scored(found, given, ai.score(MIXED, model=model, heads=HEADS))
    assert len(pickle.dumps(partial(score_record_batches, model=model.path))) < 300


def test_spark_has_a_name_for_every_type() -> None:
    assert {str(field.type) for field in score_fields(control=True)} == set(SPARK_TYPES)


# ---- Ray's actor, called as Ray calls it ----


def test_the_actor_scores_tables(model: ai.Model) -> None:
    actor = ScoreActor(model, heads=HEADS, control=5)
    given = batches_of(string_array(MIXED), 9)
    table = pa.Table.from_batches(given)
    expected = ai.score(MIXED, model=model, heads=HEADS, control=5)
    found = actor(table)
    assert_scored(found.to_batches(), given, expected)
    assert actor(table).equals(found)
    assert actor(table.slice(0, 0)).schema.equals(found.schema)
    assert actor(table.schema.empty_table()).equals(found.slice(0, 0))


def test_the_actor_takes_rows_of_several_domains() -> None:
    rows = mixed_rows(60)
    texts = [row["text"] for row in rows]
    others = pa.Table.from_pylist([{"id": row["id"], "domain": row["domain"]} for row in rows])
    table = others.append_column("body", string_array(texts))
    found = ScoreActor(text_column="body", prefix="")(table)
    assert found.select(["id", "domain", "body"]).equals(table)
    expected = ai.score(texts).to_arrow().replace_schema_metadata(None)
    assert found.select(expected.column_names).combine_chunks().equals(expected.combine_chunks())


def test_the_actor_opens_its_model_at_once_and_names_the_columns(model: ai.Model) -> None:
    with pytest.raises(ai.ModelError, match="no model '/no/such/folder'"):
        ScoreActor("/no/such/folder")
    with pytest.raises(ValueError, match="no column 'body' to score; the batch has 'text'"):
        ScoreActor(model, heads=HEADS, text_column="body")(pa.table({"text": ["the"]}))
