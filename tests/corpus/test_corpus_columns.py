"""Which columns hold a text, an id, a domain: by type, by name, within a struct."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attninfluence.corpus import (
    CorpusError,
    iter_rows,
    kept_types,
    resolve_columns,
    survey_file,
)
from attninfluence.corpus.columns import check_some_text
from attninfluence.mix.extract import extract_rows
from tests.corpus.test_corpus import read_all, write_rows

TEXTS = {
    "string": pa.array(["a", None]),
    "large": pa.array(["a", None], pa.large_string()),
    "bytes": pa.array([b"a", None], pa.large_binary()),
    "coded": pa.array(["a", None]).dictionary_encode(),
    "doc": pa.array([{"text": "a", "n": 1}, None]),
}
NAMED = "these would do: 'string', 'large', 'bytes', 'coded', 'doc.text'"


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def uuids(*values: bytes | None) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16)))


def json_column(*values: str | None) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(values, pa.string()))


NO_TEXT = {
    "int64": pa.array([1, None]),
    "double": pa.array([1.5, float("nan")]),
    "bool": pa.array([True, None]),
    "list<element: string>": pa.array([["a"], []]),
    "struct<a: string>": pa.array([{"a": "b"}, None]),
    "map<string, string": pa.array([[("a", "b")], None], pa.map_(pa.string(), pa.string())),
    "timestamp[us]": pa.array([1, None], pa.timestamp("us")),
    "decimal128(5, 2)": pa.array([None, None], pa.decimal128(5, 2)),
    "fixed_size_binary[2]": pa.array([b"ab", None], pa.binary(2)),
    "extension<arrow.json>": json_column('"a"', None),
    "extension<arrow.uuid>": uuids(b"0" * 16, None),
}


@pytest.mark.parametrize("told", NO_TEXT)
def test_a_type_that_holds_no_text_is_refused_and_what_would_do_named(tmp_path, told):
    path = parquet(tmp_path / "a.parquet", text=NO_TEXT[told], **TEXTS)
    would_do = NAMED if "struct" not in told else f"these would do: 'text.a', {NAMED[16:]}"
    with pytest.raises(CorpusError) as error:
        resolve_columns(str(path))
    assert f"column 'text' has the type {told}" in str(error.value)
    assert str(error.value).endswith(f", which holds no text; {would_do}")
    for name in would_do[16:].split(", "):
        assert read_all(path, text_column=name.strip("'")).texts != [None, None]
    alone = parquet(tmp_path / "b.parquet", text=pa.array([1]))
    with pytest.raises(CorpusError, match="which holds no text; no column of the file would do"):
        resolve_columns(str(alone))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_column_that_is_gone_since_it_was_looked_for_is_an_error(tmp_path, suffix):
    path = write_rows(tmp_path / f"a{suffix}", [{"text": "a", "id": "b"}])
    columns = resolve_columns(str(path), id_column="id")
    write_rows(path, [{"text": "a"}])
    with pytest.raises(CorpusError, match=rf"a{suffix}: not a readable .* \(no column 'id'\)"):
        survey_file(str(path), columns)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_a_text_column_needs_a_name(tmp_path, suffix):
    path = write_rows(tmp_path / f"a{suffix}", [{"text": "a"}])
    with pytest.raises(CorpusError, match="no column ''; the file has 'text'"):
        resolve_columns(str(path), "")


def test_many_columns_are_not_all_listed(tmp_path):
    columns = {f"c{i}": ["a"] for i in range(50)}
    path = parquet(tmp_path / "a.parquet", **columns)
    with pytest.raises(CorpusError, match="'c39' and 10 more$"):
        resolve_columns(str(path))


def test_a_shard_without_a_text_is_read_where_another_has_one(tmp_path):
    """Pandas gives a column of nulls alone the type null, and so one of an empty table."""
    bare = parquet(tmp_path / "a.parquet", text=pa.nulls(2), body=["a", "b"])
    empty = parquet(tmp_path / "b.parquet", text=pa.nulls(0))
    full = parquet(tmp_path / "c.parquet", text=["a"])
    files = {path: resolve_columns(str(path)) for path in (bare, empty, full)}
    assert [columns.textless for columns in files.values()] == [True, False, False]
    assert read_all(bare).texts == [None, None]
    check_some_text([(str(path), columns) for path, columns in files.items()])
    check_some_text([])
    with pytest.raises(CorpusError) as error:
        check_some_text([(str(bare), files[bare])] * 2)
    assert str(error.value) == (
        f"{bare}: column 'text' has the type null, which holds no text; these would do: 'body'"
    )


@pytest.mark.parametrize(
    ("value", "told"), [({"en": "a"}, "an object"), (["a"], "an array"), (7, "a number")]
)
def test_json_texts_that_are_none_a_hundred_times_are_refused(tmp_path, value, told):
    rows = [{"text": value, "body": "b"}] * 100
    others = "'text.en', 'body'" if isinstance(value, dict) else "'body'"
    path = write_rows(tmp_path / "a.jsonl", rows)
    with pytest.raises(CorpusError) as error:
        resolve_columns(str(path))
    assert str(error.value) == (
        f"{path}: column 'text' holds no text in the first 100 rows but {told};"
        f" these would do: {others}"
    )
    for odd in (rows[:99], [*rows[:99], {"text": None}], [*rows[:99], {"text": "a"}, *rows]):
        assert len(read_all(write_rows(path, odd)).texts) == len(odd)


NESTED = [
    {"doc": {"text": "a", "meta": {"id": 7, "lang": "de"}}, "kind": {"of": "web"}},
    {"doc": None, "kind": None},
    {"doc": {"text": None, "meta": None}, "kind": {"of": "code"}},
    {"doc": {"text": "b", "meta": {"id": None, "lang": None}}, "kind": {"of": None}},
]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".jsonl.gz"])
def test_dots_lead_into_structs_and_objects(tmp_path, suffix):
    path = write_rows(tmp_path / f"a{suffix}", NESTED)
    names = {"text_column": "doc.text", "id_column": "doc.meta.id", "domain_column": "kind.of"}
    found = read_all(path, **names)
    assert found.texts == ["a", None, None, "b"]
    assert found.ids == ["7", None, None, None]
    assert found.domains == ["web", None, "code", None]
    columns = resolve_columns(str(path), **names, keep_columns=["doc.meta.lang", "kind"])
    types = kept_types([(str(path), columns)])
    assert list(types) == ["doc.meta.lang", "kind"]
    kept = [batch.kept for batch in iter_rows(str(path), columns, 10, 1, None, types)]
    assert kept[0]["doc.meta.lang"].to_pylist() == [None, None, None]
    assert survey_file(str(path), columns, types).rows == 4
    target = tmp_path / f"b{suffix}"
    assert extract_rows(str(path), pa.array([0, 3]).to_numpy(), target) == 2
    assert read_all(target, **names).texts == ["a", "b"]
    with pytest.raises(CorpusError, match="no column 'text'; the file has 'doc', 'doc.text', 'doc"):
        resolve_columns(str(path))
    with pytest.raises(CorpusError, match="no column 'doc.body'"):
        resolve_columns(str(path), "doc.body")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_column_that_has_the_dots_goes_first(tmp_path, suffix):
    rows = [{"a": {"b": "within", "c.d": "dots within"}, "a.b": "itself", "e": {"text": "f"}}]
    path = write_rows(tmp_path / f"a{suffix}", rows)
    assert read_all(path, text_column="a.b").texts == ["itself"]
    assert read_all(path, text_column="a.c.d").texts == ["dots within"]
    assert read_all(path, text_column="e.text", id_column="a.b").ids == ["itself"]


def test_bytes_within_an_object_are_kept_as_bytes(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"doc": {"text": "caf\xe9", "also": ["\xe9"]}}\n')
    assert read_all(path, text_column="doc.text").texts == [b"caf\xe9"]
    columns = resolve_columns(str(path), "doc.text", keep_columns=["doc"])
    (batch,) = iter_rows(str(path), columns)
    kept = json.loads(batch.kept["doc"].to_pylist()[0])
    assert kept == {"text": "caf\ufffd", "also": ["\ufffd"]}


def test_an_object_of_great_depth_is_no_crash(tmp_path):
    path = tmp_path / "a.jsonl"
    for depth in (20, 300, 100_000):
        deep = b'{"a": ' * depth + b'"\xe9"' + b"}" * depth
        path.write_bytes(b'{"text": "a", "deep": ' + deep + b"}\n")
        if depth <= 300:
            assert read_all(path).texts == ["a"]
    with pytest.raises(CorpusError, match="line 1 is nested too deeply"):
        read_all(path)


NO_LABEL = {
    "double": pa.array([1.0, None]),
    "bool": pa.array([True, None]),
    "list<element: int64>": pa.array([[1], None]),
    "struct<a: int64>": pa.array([{"a": 1}, None]),
    "fixed_size_binary[2]": pa.array([b"ab", None], pa.binary(2)),
}


@pytest.mark.parametrize("told", NO_LABEL)
@pytest.mark.parametrize("name", ["id", "domain"])
def test_a_parquet_label_of_another_type(tmp_path, told, name):
    """Asked for, it is refused before the first row; unasked, it is left out and counted."""
    others = {"text": ["a", "b"], "n": [1, 2], "f": [1.5, 2.5]}
    path = parquet(tmp_path / "a.parquet", **{name: NO_LABEL[told]}, **others)
    with pytest.raises(CorpusError) as error:
        resolve_columns(str(path), **{f"{name}_column": name})
    first = "'id.a', " if (name, told[:6]) == ("id", "struct") else ""
    first = "'domain.a', " if (name, told[:6]) == ("domain", "struct") else first
    assert str(error.value) == (
        f"{path}: column {name!r} has the type {told}, no label;"
        f" these would do: {first}'text', 'n', or '' for none"
    )
    found = read_all(path)
    assert (found.ids, found.domains) == ([None, None], [None, None])
    assert survey_file(str(path), resolve_columns(str(path))).no_label == {name: 1}
    none = resolve_columns(str(path), id_column="", domain_column="")
    assert survey_file(str(path), none).no_label == {}
    assert read_all(path, **{f"{name}_column": "n"}).texts == ["a", "b"]


def test_labels_of_every_type(tmp_path):
    path = parquet(
        tmp_path / "a.parquet",
        text=["a", "b"],
        uuid=uuids(bytes(range(16)), None),
        json=json_column('{"a": 1}', None),
        number=pa.array([2**64 - 1, None], pa.uint64()),
        coded=pa.array([7, None]).dictionary_encode(),
        null=pa.nulls(2),
    )
    found = {
        name: read_all(path, id_column=name).ids[0]
        for name in ("uuid", "json", "number", "coded", "null")
    }
    assert found == {
        "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "json": '{"a": 1}',
        "number": "18446744073709551615",
        "coded": "7",
        "null": None,
    }


def test_uuids_are_kept_as_they_are_or_as_their_usual_form(tmp_path):
    path = parquet(tmp_path / "a.parquet", text=["a"], key=uuids(bytes(range(16))))
    other = write_rows(tmp_path / "b.jsonl", [{"text": "a", "key": "none"}])
    columns = resolve_columns(str(path), keep_columns=["key"])
    alone = [(str(path), columns)]
    both = [*alone, (str(other), resolve_columns(str(other), keep_columns=["key"]))]
    assert kept_types(alone) == {"key": pa.uuid()}
    (batch,) = iter_rows(str(path), columns, types=kept_types(both))
    assert batch.kept["key"].to_pylist() == ["00010203-0405-0607-0809-0a0b0c0d0e0f"]


def test_unasked_columns_of_one_name_do_not_stop_a_run(tmp_path):
    path = tmp_path / "a.parquet"
    text = pa.array(["a", "b"])
    pq.write_table(pa.Table.from_arrays([text, text, text], ["text", "id", "id"]), path)
    assert read_all(path).ids == [None, None]
    assert survey_file(str(path), resolve_columns(str(path))).no_label == {"id": 2}
    with pytest.raises(CorpusError, match="2 columns have the name 'id'"):
        resolve_columns(str(path), id_column="id")


def test_a_json_label_of_another_kind(tmp_path):
    rows: list[dict[str, Any]] = [{"text": "a", "id": i, "domain": "d"} for i in range(150)]
    rows[120]["id"], rows[130]["id"], rows[140]["domain"] = 1.5, {"a": 1}, ["d"]
    path = write_rows(tmp_path / "a.jsonl", rows)
    found = read_all(path)
    assert [i for i, id_ in enumerate(found.ids) if id_ is None] == [120, 130]
    assert [i for i, domain in enumerate(found.domains) if domain is None] == [140]
    counted = survey_file(str(path), resolve_columns(str(path))).no_label
    assert counted == {"id": 2, "domain": 1}
    asked = resolve_columns(str(path), id_column="id")
    with pytest.raises(CorpusError, match="row 120: column 'id' holds a float; .* new folder with"):
        survey_file(str(path), asked)
    rows[50]["id"] = None
    rows[60]["id"] = [1]
    with pytest.raises(CorpusError, match="row 60: column 'id' holds a list"):
        resolve_columns(str(write_rows(path, rows)), id_column="id")
