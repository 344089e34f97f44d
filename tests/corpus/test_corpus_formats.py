"""What each format has of its own: arrays, CSV, Arrow; and files whose suffix is wrong."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.corpus import (
    CorpusError,
    iter_rows,
    kept_types,
    resolve_columns,
    survey_file,
)
from attninfluence.corpus import jsonl as jsonl_module
from attninfluence.mix.extract import extract_rows
from tests.corpus.test_corpus import NASTY, read_all, write_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def elements_of(data: bytes) -> list[dict[str, Any]]:
    stream = io.BufferedReader(io.BytesIO(data))
    assert jsonl_module.is_array(stream)
    return [json.loads(element) for _, element in jsonl_module.iter_elements("a.json", stream)]


@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_an_array_is_what_json_reads_in_pieces_of_any_size(monkeypatch, piece):
    monkeypatch.setattr(jsonl_module, "_PIECE", piece)

    @settings(max_examples=60, deadline=None)
    @given(
        rows=st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=4),
        indent=st.none() | st.integers(0, 2),
        ascii_=st.booleans(),
    )
    def check(rows: list[dict[str, Any]], indent: int | None, ascii_: bool) -> None:
        text = json.dumps(rows, indent=indent, ensure_ascii=ascii_)
        assert elements_of(f"\n {text}\r\n ".encode()) == rows

    check()


@pytest.mark.parametrize("piece", [3, 1 << 16])
def test_an_array_cut_at_any_byte_is_refused(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(jsonl_module, "_PIECE", piece)
    path = write_rows(tmp_path / "a.array.json", [{"text": "caf\xe9", "n": [1, None]}] * 3)
    data = path.read_bytes()
    for size in range(1, len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(CorpusError, match=r"a\.array\.json: "):
            read_all(path)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        ('[{"text": "a"} {"text": "b"}]', "'{' follows element 1; the file is damaged"),
        ('[{"text": "a"},]', "element 2 is not valid JSON"),
        ('[{"text": "a"}', "the array is not closed"),
        ('[{"text": "a"}] [', "'\\[' follows the array; expected one array in the file"),
        ('[{"text": "a"}, 12]', "element 2 is not a JSON object but a number; expected an obj"),
        ('[{"text": "a"}, {"text": tru }]', "element 2 is not valid JSON"),
        ('[{"text": "a"}, ' + "[" * 100_000, "element 2 is nested too deeply"),
        ('{"text":\n "a"}', "line 1 is not valid JSON .*, or one array of objects"),
    ],
)
def test_a_bad_array_says_where(tmp_path, array, told):
    path = tmp_path / "a.json"
    path.write_text(array)
    with pytest.raises(CorpusError, match=rf"a\.json: {told}"):
        read_all(path)


def test_bad_bytes_in_an_array_are_kept(tmp_path):
    path, target = tmp_path / "a.json", tmp_path / "b.json"
    path.write_bytes(b'\xef\xbb\xbf [{"text": "caf\xe9"},\r\n{\n"text"\n: "a\\n\xc3\xa9"}]')
    assert read_all(path).texts == [b"caf\xe9", "a\n\xe9"]
    assert extract_rows(str(path), pa.array([0, 1]).to_numpy(), target) == 2
    assert target.read_bytes() == b'{"text": "caf\xe9"}\n{ "text" : "a\\n\xc3\xa9"}\n'


def test_compressed_json_is_lines(tmp_path):
    """As Dolma names them; datatrove is told to read them so."""
    path = write_rows(tmp_path / "a.json.gz", [{"text": "a"}])
    assert read_all(path).texts == ["a"]
    path.write_bytes(gzip.compress(b'[{"text": "a"}]'))
    with pytest.raises(CorpusError, match="line 1 is not a JSON object but an array"):
        read_all(path)


ODD = (
    b'\xef\xbb\xbfid,text,n\r\n007,"two\r\nlines, ""quoted""",1e5\r\n\r\n,NA,\r\n8, caf\xe9 ,x\r\n'
)


def test_values_of_csv_are_the_strings_they_are(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(ODD)
    found = read_all(path)
    assert found.texts == ['two\r\nlines, "quoted"', "NA", b" caf\xe9 "]
    assert found.ids == ["007", "", "8"]
    columns = resolve_columns(str(path), keep_columns=["n"])
    (batch,) = iter_rows(str(path), columns)
    assert batch.kept["n"].to_pylist() == ["1e5", "", "x"]
    assert kept_types([(str(path), columns)]) == {"n": pa.string()}
    target = tmp_path / "b.csv"
    assert extract_rows(str(path), pa.array([0, 2]).to_numpy(), target) == 2
    assert read_all(target).texts == [found.texts[0], found.texts[2]]
    assert read_all(target).ids == ["007", "8"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32-be"])
def test_csv_of_another_encoding(tmp_path, encoding):
    path = tmp_path / "a.tsv"
    path.write_bytes("\ufeffid\ttext\r\n1\tcaf\xe9, \U0001f600\r\n".encode(encoding))
    assert read_all(path).texts == ["caf\xe9, \U0001f600"]


def test_a_long_value_of_csv_is_read(tmp_path):
    texts = ["x" * 300_000, "y,\n" * 100_000]
    path = write_rows(tmp_path / "a.csv", [{"text": text} for text in texts])
    assert read_all(path).texts == texts


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"text,n\na,1\nb\n", "the record at line 3 has 1 values, the header 2 names"),
        (b"text\na\nb,c\n", "the record at line 3 has 2 values, the header 1 names"),
        (b'text\na\n"b\nc\n', "line 4 is not valid CSV"),
        (b'text\n"a"b\n', "line 2 is not valid CSV"),
        (b"body\na\n", "no column 'text'; the file has 'body'"),
        (b"text,text\na,b\n", "2 columns have the name 'text'"),
    ],
)
def test_bad_csv_says_where(tmp_path, data, told):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=rf"a\.csv: {told}"):
        read_all(path)


def test_columns_of_one_name_in_csv(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,id,id,x,x\na,1,2,3,4\n")
    assert (read_all(path).texts, read_all(path).ids) == (["a"], [None])
    assert survey_file(str(path), resolve_columns(str(path))).no_label == {"id": 1}
    with pytest.raises(CorpusError, match="2 columns have the name 'id'"):
        resolve_columns(str(path), id_column="id")


def test_a_text_column_of_csv_holds_any_string(tmp_path):
    path = write_rows(tmp_path / "a.csv", [{"text": str(i)} for i in range(200)])
    assert read_all(path).texts == [str(i) for i in range(200)]


TABLE = pa.table(
    {
        "text": pa.array(NASTY),
        "large": pa.array(NASTY, pa.large_string()),
        "view": pa.array(NASTY, pa.string_view()),
        "coded": pa.array(NASTY).dictionary_encode(),
        "doc": pa.array([{"text": text, "tags": ["a", None]} for text in NASTY]),
        "n": pa.array(range(len(NASTY))),
    }
)


def write_arrow(path: Path, table: pa.Table, **options: Any) -> Path:
    new = pa.ipc.new_stream if path.suffix == ".arrow" else pa.ipc.new_file
    with new(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as output:
        output.write_table(table, 3)
    return path


@pytest.mark.parametrize("suffix", [".arrow", ".feather"])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_arrow_of_every_type_and_compression(tmp_path, suffix, compression):
    path = write_arrow(tmp_path / f"a{suffix}", TABLE, compression=compression)
    for name in ("text", "large", "view", "coded", "doc.text"):
        assert read_all(path, text_column=name, id_column="n").texts == NASTY
    columns = resolve_columns(str(path), keep_columns=["doc", "n", "coded"])
    types = kept_types([(str(path), columns)])
    assert types == {"doc": TABLE["doc"].type, "n": pa.int64(), "coded": pa.string()}
    kept = [batch.kept["doc"] for batch in iter_rows(str(path), columns, types=types)]
    assert pa.chunked_array(kept).to_pylist() == TABLE["doc"].to_pylist()
    target = tmp_path / f"b{suffix}"
    assert extract_rows(str(path), pa.array([1, 8]).to_numpy(), target) == 2
    assert read_all(target, text_column="coded").texts == [NASTY[1], NASTY[8]]
    assert (target.read_bytes()[:6] == b"ARROW1") == (suffix == ".feather")
    with pytest.raises(CorpusError, match="column 'n' has the type int64, which holds no text"):
        resolve_columns(str(path), "n")


def test_what_datasets_and_feather_write(tmp_path):
    import datasets

    rows = [{"text": f"text {i}", "id": str(i)} for i in range(2500)]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    (path,) = (tmp_path / "saved").glob("*.arrow")
    assert read_all(path, 999).texts == [row["text"] for row in rows]
    pyarrow.feather.write_feather(pa.Table.from_pylist(rows), str(tmp_path / "a.feather"))
    assert read_all(tmp_path / "a.feather", 999).ids == [row["id"] for row in rows]


@pytest.mark.parametrize("suffix", [".arrow", ".feather"])
def test_arrow_cut_anywhere_is_refused(tmp_path, suffix):
    """Between two batches as well, where what is left is a stream as well formed as any."""
    path = write_arrow(tmp_path / f"a{suffix}", TABLE.select(["text", "n"]).slice(0, 8))
    data = path.read_bytes()
    reader = pa.ipc.open_stream(path) if suffix == ".arrow" else None
    ends = [] if reader is None else [data.rindex(b"\xff\xff\xff\xff\0\0\0\0")]
    for size in [*range(0, len(data), 7), len(data) - 1, *ends]:
        path.write_bytes(data[:size])
        with pytest.raises(CorpusError, match=rf"a{suffix}: "):
            read_all(path)
    if suffix == ".arrow":
        path.write_bytes(data + data)
        with pytest.raises(CorpusError, match="bytes follow the end of the Arrow stream"):
            read_all(path)


def test_damaged_arrow_is_an_error_and_no_crash(tmp_path):
    """What offsets say is checked before anybody follows them."""
    small = {name: TABLE[name].to_pylist()[:6] for name in ("text", "doc", "n")}
    coded = pa.array(NASTY[:6]).dictionary_encode()
    view = pa.array(NASTY[:6], pa.string_view())
    path = write_arrow(tmp_path / "a.arrow", pa.table({**small, "view": view, "coded": coded}))
    data, rng = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 4])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 0x7F, 0x80, 0xFF])
        path.write_bytes(damaged)
        try:
            for name in ("text", "view", "doc.text"):
                columns = resolve_columns(str(path), name, keep_columns=["doc", "coded"])
                list(iter_rows(str(path), columns))
        except CorpusError:
            refused += 1
    assert refused > 20


def test_views_of_parquet_are_extracted(tmp_path):
    path, target = tmp_path / "a.parquet", tmp_path / "b.parquet"
    raw = pa.array([b"good", b"caf\xe9", None]).cast(pa.binary_view())
    pq.write_table(pa.table({"text": TABLE["view"].slice(0, 3), "raw": raw}), path)
    assert extract_rows(str(path), pa.array([1, 2]).to_numpy(), target) == 2
    assert read_all(target).texts == NASTY[1:3]
    assert read_all(target, text_column="raw").texts == [b"caf\xe9", None]


RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([4, 6], pa.int32()), pa.array(["a", None]))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a", None], [], None] * 2, pa.list_(pa.string_view())),
        pa.array([{"x": "a" * 50}, {"x": None}, None] * 2, pa.struct([("x", pa.string_view())])),
        pa.DictionaryArray.from_arrays([0, None] * 3, pa.array(["a"], pa.string_view())),
        RUNS,
        pa.StructArray.from_arrays([RUNS], ["x"]),
    ],
    ids=lambda column: str(column.type),
)
def test_columns_that_arrow_does_not_take_are_extracted(tmp_path, column):
    """Lists and structs of strings as polars writes them, and values stored once for many rows."""
    table = pa.table({"text": TABLE["text"].slice(0, 6), "other": column})
    path, target = write_arrow(tmp_path / "a.arrow", table), tmp_path / "b.arrow"
    assert extract_rows(str(path), pa.array([1, 3, 5]).to_numpy(), target) == 3
    with pa.ipc.open_stream(target) as stream:
        found = stream.read_all()
    found.validate(full=True)
    assert found.schema == table.schema
    assert found["other"].to_pylist() == column.to_pylist()[1::2]


def test_dictionaries_of_views_are_read(tmp_path):
    """As polars writes its categories."""
    coded = pa.DictionaryArray.from_arrays([0, 1, None], pa.array(["a", "b"], pa.string_view()))
    table = pa.table(dict.fromkeys(("text", "id", "domain", "kept"), coded))
    path = write_arrow(tmp_path / "a.arrow", table)
    columns = resolve_columns(str(path), keep_columns=["kept"])
    (batch,) = iter_rows(str(path), columns)
    assert batch.texts == batch.ids == batch.domains == ["a", "b", None]
    assert batch.kept["kept"].to_pylist() == ["a", "b", None]


def test_bad_utf8_in_arrow_is_kept(tmp_path):
    raw = pa.array([b"good", b"caf\xe9 \xff"], pa.binary())
    broken = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    nested = pa.StructArray.from_arrays([broken], ["text"])
    path = write_arrow(tmp_path / "a.arrow", pa.table({"text": broken, "doc": nested}))
    assert read_all(path).texts == ["good", b"caf\xe9 \xff"]
    assert read_all(path, text_column="doc.text").texts == ["good", b"caf\xe9 \xff"]


def test_columns_of_one_name_in_arrow(tmp_path):
    text = pa.array(["a", "b"])
    table = pa.Table.from_arrays([text, text, text, text], ["text", "id", "id", "x"])
    path = write_arrow(tmp_path / "a.arrow", table)
    assert (read_all(path).texts, read_all(path).ids) == (["a", "b"], [None, None])
    with pytest.raises(CorpusError, match="2 columns have the name 'id'"):
        resolve_columns(str(path), id_column="id")


def test_a_type_that_parquet_lacks_is_not_kept(tmp_path):
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a"]))
    path = write_arrow(tmp_path / "a.arrow", pa.table({"text": ["a", "b"], "runs": runs}))
    assert read_all(path).texts == ["a", "b"]
    with pytest.raises(CorpusError, match="'runs' has the type run_end_encoded.*cannot be kept"):
        resolve_columns(str(path), keep_columns=["runs"])
    with pytest.raises(CorpusError, match="which holds no text; these would do: 'text'"):
        resolve_columns(str(path), "runs")


def test_column_names_that_are_no_utf8_are_an_error(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"], "QQQQ": ["b"]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xff\xff\xff"))
    with pytest.raises(CorpusError, match=r"a\.parquet: not a readable Parquet file"):
        resolve_columns(str(path))


CONTENTS = {
    "a Parquet file": b"PAR1\x15\x04\xff",
    "an Arrow file": b"ARROW1\0\0\xff",
    "a gzip file": gzip.compress(b'{"text": "a"}\n'),
    "a zstd file": zstandard.compress(b'{"text": "a"}\n'),
    "a bzip2 file": bz2.compress(b'{"text": "a"}\n'),
    "an xz file": lzma.compress(b'{"text": "a"}\n'),
    "a zip archive": b"PK\x03\x04\x14\0\xff",
    "a PDF file": b"%PDF-1.7\n\xff",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5\n",
    "an HTML page": b"<!DOCTYPE html>\n<title>Sign in</title>\n",
}
SUFFIX_OF = {
    "a Parquet file": (".parquet",),
    "an Arrow file": (".arrow", ".feather"),
    "a gzip file": (".jsonl.gz", ".txt.gz"),
    "a zstd file": (".json.zst",),
}


@pytest.mark.parametrize(
    "suffix",
    [
        ".parquet",
        ".jsonl",
        ".jsonl.gz",
        ".json",
        ".json.zst",
        ".csv",
        ".tsv",
        ".arrow",
        ".feather",
        ".txt",
        ".txt.gz",
    ],
)
@pytest.mark.parametrize("told", CONTENTS)
def test_a_file_whose_suffix_is_wrong_is_said_to_be_what_it_is(tmp_path, suffix, told):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(CONTENTS[told])
    if suffix in SUFFIX_OF.get(told, ()) or (suffix, told) == (".txt", "an HTML page"):
        return  # it is right, or as good as any text
    with pytest.raises(CorpusError) as error:
        read_all(path)
    if suffix == ".txt.gz":  # a text file is first looked at when it is read
        assert "damaged or cut short" in str(error.value)
    else:
        assert f"its first bytes are those of {told}" in str(error.value)


def test_a_compressed_file_is_looked_into(tmp_path):
    twice = gzip.compress(gzip.compress(b'{"text": "a"}\n'))
    for path in (tmp_path / "a.jsonl.gz", tmp_path / "a.txt.gz"):
        path.write_bytes(twice)
        with pytest.raises(CorpusError, match="its first bytes are those of a gzip file"):
            read_all(path)
    for text in (b"PAR1 is how Parquet begins", b"<!DOCTYPE html>caf\xe9", b"%PDF- as text"):
        path.write_bytes(gzip.compress(text))
        assert len(read_all(path).texts) == 1


def test_a_missing_column_of_a_sound_file_says_nothing_of_its_bytes(tmp_path):
    for suffix in (".parquet", ".arrow", ".jsonl.gz", ".csv"):
        path = write_rows(tmp_path / f"a{suffix}", [{"body": "a"}])
        with pytest.raises(CorpusError, match="the file has 'body'$"):
            resolve_columns(str(path))


def test_a_written_csv_is_read_by_others(tmp_path):
    path, target = tmp_path / "a.csv", tmp_path / "b.csv"
    texts = [text or "" for text in NASTY if text is None or "\x00" not in text]
    write_rows(path, [{"text": text} for text in texts])
    extract_rows(str(path), pa.array(range(len(texts))).to_numpy(), target)
    with open(target, newline="", encoding="utf-8") as stored:
        assert [row["text"] for row in csv.DictReader(stored)] == texts


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_an_integer_of_many_digits_stops_nothing(tmp_path, suffix):
    """Python makes no integer of more than 4,300 digits; as an id it is its digits."""
    digits = "7" * 5000
    row = f'{{"text": "a", "id": {digits}, "n": [{digits}]}}'
    path = tmp_path / f"a{suffix}"
    path.write_text(f"[{row}]" if suffix == ".json" else row)
    columns = resolve_columns(str(path), keep_columns=["n"])
    (batch,) = iter_rows(str(path), columns)
    assert batch.ids == [digits]
    assert batch.kept["n"].to_pylist() == [f'["{digits}"]']
