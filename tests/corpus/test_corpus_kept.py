"""Kept columns: one type over all files, and values that survive it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.corpus import CorpusError, iter_rows, kept_types, resolve_columns, survey_file
from attninfluence.corpus.kept import from_json
from tests.corpus.test_corpus import SUFFIXES, write_rows

PLAIN = pa.array([b"ok", b"caf\xe9", None], pa.binary())
# A string column of which one value is not valid UTF-8.
BROKEN = pa.StringArray.from_buffers(3, PLAIN.buffers()[1], PLAIN.buffers()[2], PLAIN.buffers()[0])
REPAIRED = ["ok", "caf\ufffd", None]


def parquet_file(path: Path, column: pa.Array, name: str = "k") -> Path:
    pq.write_table(pa.table({"text": ["a"] * len(column), name: column}), path, row_group_size=2)
    return path


def kept(*paths: Path, name: str = "k", batch_size: int = 2) -> list[pa.ChunkedArray]:
    """The kept column of each of some files that are read together."""
    files = [(str(path), resolve_columns(str(path), keep_columns=[name])) for path in paths]
    types = kept_types(files)
    found = []
    for path, columns in files:
        batches = iter_rows(path, columns, batch_size, types=types)
        arrays = [batch.kept[name] for batch in batches]
        for array in arrays:
            array.validate(full=True)
        assert survey_file(path, columns, types).rows == sum(map(len, arrays))
        found.append(pa.chunked_array(arrays, types[name]))
    return found


ARRAYS = [
    pa.array([1, None, 3], pa.int16()),
    pa.array([0.5, None, float("nan")], pa.float32()),
    pa.array([True, None, False]),
    pa.array([b"a", None, b"\xff"], pa.binary()),
    pa.array([1, None, 3], pa.timestamp("ns", "UTC")),
    pa.array([["a"], None, []], pa.list_(pa.string())),
    pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}]),
    pa.array([None, None, None], pa.null()),
    pa.array(["a", None, "b"], pa.large_string()),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.type))
def test_one_type_everywhere_stays(tmp_path, array):
    a = parquet_file(tmp_path / "a.parquet", array)
    b = parquet_file(tmp_path / "b.parquet", array[::-1])
    for found, expected in zip(kept(a, b), (array, array[::-1]), strict=True):
        assert found.type == array.type
        assert str(found.to_pylist()) == str(expected.to_pylist())


def test_dictionaries_are_decoded(tmp_path):
    path = parquet_file(tmp_path / "a.parquet", pa.array(["a", None, "b"]).dictionary_encode())
    (found,) = kept(path)
    assert found.type == pa.string()
    assert found.to_pylist() == ["a", None, "b"]


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (ARRAYS[0], ["1", None, "3"]),
        (ARRAYS[1], ["0.5", None, "NaN"]),
        (ARRAYS[2], ["true", None, "false"]),
        (ARRAYS[3], ["a", None, "\ufffd"]),
        (ARRAYS[4], ["1970-01-01 00:00:00.000000001Z", None, "1970-01-01 00:00:00.000000003Z"]),
        (ARRAYS[5], ['["a"]', None, "[]"]),
        (ARRAYS[6], ['{"a": 1, "b": ["x"]}', None, '{"a": null, "b": null}']),
        (ARRAYS[7], [None, None, None]),
        (ARRAYS[8], ["a", None, "b"]),
        (BROKEN, REPAIRED),
        (BROKEN.cast(pa.binary()).cast(pa.large_binary()), REPAIRED),
        (
            pa.StructArray.from_arrays([BROKEN], ["a"]),
            ['{"a": "ok"}', '{"a": "caf\ufffd"}', '{"a": null}'],
        ),
        (
            pa.array([(1,), None, (2,)], pa.list_(pa.timestamp("ns"))),
            ['["1970-01-01 00:00:00.000000001"]', None, '["1970-01-01 00:00:00.000000002"]'],
        ),
        (pa.array(["1.50", None, "2"]).cast(pa.decimal128(5, 2)), ["1.50", None, "2.00"]),
        (
            pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int8())),
            ['[["a", 1]]', None, "[]"],
        ),
        (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), ["[1, 2]", None, "[3, 4]"]),
        (pa.array([["a"], None, []], pa.large_list(pa.large_string())), ['["a"]', None, "[]"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_types_that_differ_become_text(tmp_path, array, texts):
    other = write_rows(tmp_path / "b.jsonl", [{"text": "b", "k": "x"}])
    found, text = kept(parquet_file(tmp_path / "a.parquet", array), other)
    assert found.type == text.type == pa.string()
    assert (found.to_pylist(), text.to_pylist()) == (texts, ["x"])


def test_parquet_files_of_two_types_become_text(tmp_path):
    a = parquet_file(tmp_path / "a.parquet", pa.array([1, 2], pa.int32()))
    b = parquet_file(tmp_path / "b.parquet", pa.array([3, None], pa.int64()))
    assert [found.to_pylist() for found in kept(a, b)] == [["1", "2"], ["3", None]]


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (BROKEN, REPAIRED),
        (pa.ListArray.from_arrays([0, 1, 3], BROKEN), [["ok"], ["caf\ufffd", None]]),
        (
            pa.StructArray.from_arrays([BROKEN, pa.array([1, 2, 3])], ["a", "n"]),
            [{"a": text, "n": n} for text, n in zip(REPAIRED, (1, 2, 3), strict=True)],
        ),
        (
            pa.MapArray.from_arrays([0, 1, 2], pa.array(["x", "y"]), BROKEN[:2]),
            [[("x", "ok")], [("y", "caf\ufffd")]],
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_invalid_utf8_is_replaced(tmp_path, array, values):
    (found,) = kept(parquet_file(tmp_path / "a.parquet", array))
    assert found.type == array.type
    assert found.to_pylist() == values


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_json_values_are_text(tmp_path):
    path = tmp_path / "a.jsonl"

    @settings(max_examples=50, deadline=None)
    @given(values=st.lists(JSON, min_size=1, max_size=6))
    def check(values: list) -> None:
        write_rows(path, [{"text": "a", "k": value} for value in values])
        (found,) = kept(path)
        assert len(found) == len(values)
        for text, value in zip(found.to_pylist(), values, strict=True):
            if isinstance(value, str) or value is None:
                assert text == value
            else:
                assert repr(json.loads(text)) == repr(value)

    check()


def test_a_later_line_may_lack_the_column(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"text": "a", "k": "caf\xe9"}\n{"text": "b"}\n{"k": ["\\ud800", "\xff", "\xc3\xa9"]}\n'
        b'{"k": "\\ud800"}\n'
    )
    (found,) = kept(path)
    assert found.to_pylist() == ["caf\ufffd", None, '["\ufffd", "\ufffd", "\xe9"]', "\ufffd"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_column_is_refused(tmp_path, suffix):
    path = write_rows(tmp_path / f"a{suffix}", [{"text": "a", "k": 1}])
    with pytest.raises(CorpusError, match=r"no column 'nope'; the file has 'text', 'k'"):
        resolve_columns(str(path), keep_columns=["k", "nope"])
    assert resolve_columns(str(path), keep_columns=["k", "text", "k"]).keep == ("k", "text")
    (found,) = kept(path, name="text")
    assert found.to_pylist() == ["a"]


def test_names_with_dots_are_columns_of_their_own(tmp_path):
    path = parquet_file(tmp_path / "a.parquet", pa.array([{"b": 1, "c": 2}]), name="a")
    table = pq.read_table(path).append_column("a.b", pa.array(["dotted"]))
    pq.write_table(table, path)
    (whole,) = kept(path, name="a")
    assert whole.to_pylist() == [{"b": 1, "c": 2}]
    (dotted,) = kept(path, name="a.b")
    assert dotted.to_pylist() == ["dotted"]


def test_a_value_nested_too_deeply_is_refused():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(CorpusError, match=r"a\.jsonl: column 'k' is nested too deeply to be kept"):
        from_json("a.jsonl", "k", [1, value])
