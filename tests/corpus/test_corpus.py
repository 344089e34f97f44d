"""Files of documents: every format, every damage, and one row for each row."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from attninfluence.base.text import repaired
from attninfluence.corpus import CorpusError, RowBatch, formats, iter_rows, resolve_columns
from attninfluence.corpus.compressed import StreamReader
from attninfluence.corpus.files import (
    COMPRESSIONS,
    FORMATS,
    file_compression,
    file_format,
    file_suffix,
    is_taken_from_folders,
    suffixes,
)
from attninfluence.mix.extract import extract_rows

COMPRESSED_LINES = tuple(f".jsonl{compression}" for compression in COMPRESSIONS)
TABLES = (".parquet", ".arrow", ".feather")
LINES = (".jsonl", *COMPRESSED_LINES, ".ndjson", ".json.gz", ".json", ".array.json")
DELIMITED = (".csv", ".tsv", ".csv.gz", ".tsv.zst")
SUFFIXES = (*LINES, *DELIMITED, *TABLES)

NASTY = [
    "plain",
    "",
    "   \t",
    "two\nlines\r\nand a \u2028 separator \x0b \x85 \x1c",
    "NUL \x00 inside",
    "\ufeffmark",
    "emoji \U0001f600 and e\u0301",
    '"quotes" \\ and {"text": "json"}',
    "<|endoftext|>",
    "x" * 100_000,
    None,
]


def compress(data: bytes, suffix: str) -> bytes:
    compressors = {
        ".gz": gzip.compress,
        ".gzip": gzip.compress,
        ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
        ".zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
    }
    return compressors.get(f".{suffix.rpartition('.')[2]}", bytes)(data)


def delimited(name: str, rows: list[dict]) -> bytes:
    """Rows as CSV; what is no string becomes one, and None nothing."""
    output = io.StringIO()
    names = dict.fromkeys(key for row in rows for key in row)
    writer = csv.DictWriter(output, names, delimiter="\t" if ".tsv" in name else ",")
    writer.writeheader()
    writer.writerows(rows)
    return output.getvalue().encode()


def as_stored(suffix: str, value: Any) -> Any:
    """The value that comes back of a file: CSV has strings alone."""
    if "sv" not in suffix:
        return value
    return "" if value is None else str(value)


def write_rows(path: Path, rows: list[dict]) -> Path:
    """Write rows in the format of the suffix; of ``.array.json`` an array."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    elif path.suffix in (".arrow", ".feather"):
        table = pa.Table.from_pylist(rows)
        new = pa.ipc.new_stream if path.suffix == ".arrow" else pa.ipc.new_file
        with new(path, table.schema) as output:
            output.write_table(table, 3)
    elif "sv" in path.name:
        path.write_bytes(compress(delimited(path.name, rows), path.name))
    elif path.name.endswith(".array.json"):
        path.write_text(json.dumps(rows, indent=1), newline="\r\n")
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(compress(lines.encode(), path.name))
    return path


def read_all(path: Path | str, batch_size: int = 4, **names: str) -> RowBatch:
    """All rows of a file as one batch; checks that the batches follow each other."""
    columns = resolve_columns(str(path), **names)
    texts, ids, domains = [], [], []
    position = 0
    for batch in iter_rows(str(path), columns, batch_size):
        assert batch.first_row == len(texts)
        assert position <= batch.position <= os.path.getsize(path)
        position = batch.position
        texts += batch.texts
        ids += batch.ids
        domains += batch.domains
    return RowBatch(str(path), 0, texts, ids, domains, position)


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("a.jsonl", ".jsonl"),
        ("c4-train.00000-of-01024.json.gz", ".json.gz"),
        ("A.JSONL.ZSTD", ".jsonl.zstd"),
        ("d.e/a.b.txt.bz2", ".txt.bz2"),
        ("a.gz", None),
        ("jsonl", None),
        ("a.jsonl.gz.part", None),
        ("a.parquet.gz", None),
        ("c.jsonl/a", None),
        ("a::b.jsonl.xz", ".jsonl.xz"),
        ("zip://maths/a.jsonl::c.zip", ".jsonl"),
        ("zip://a.jsonl.gz::s3://bucket/c.zip", ".jsonl.gz"),
        ("simplecache::s3://bucket/a.parquet", ".parquet"),
        ("simplecache::zip://a.txt::c.zip", ".txt"),
        ("zip://a.md::c.jsonl", None),
    ],
)
def test_the_suffix_is_that_of_the_file_that_is_read(path, suffix):
    assert file_suffix(path) == suffix
    if suffix is not None:
        assert file_format(path) == FORMATS[suffix]


def test_every_format_that_is_a_stream_may_be_compressed():
    streams = {suffix for suffix in FORMATS if suffix.count(".") == 1} - set(TABLES)
    assert set(FORMATS) - set(TABLES) == {s + c for s in streams for c in ("", *COMPRESSIONS)}
    assert set(FORMATS.values()) == {*formats.TABLES, *formats.RECORDS, "text"}
    assert {file_compression(f"a{suffix}") for suffix in streams} == {None}
    assert file_compression("a.json.zstd") == file_compression("a.txt.zst") == "zstd"
    told = {word.strip(",;") for word in suffixes().split()} - {"these", "also", "with"}
    assert told == {suffix for suffix in FORMATS if suffix.count(".") == 1} | set(COMPRESSIONS)


def test_a_folder_holds_metadata_as_json_and_csv():
    told = {suffix: is_taken_from_folders(f"a{suffix}") for suffix in FORMATS}
    others = {f"{name}{c}" for name in (".csv", ".tsv") for c in ("", *COMPRESSIONS)} | {".json"}
    assert {suffix for suffix, taken in told.items() if not taken} == others
    assert not is_taken_from_folders("a.md")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_every_row_comes_back(tmp_path, suffix, batch_size):
    rows = [{"id": f"d{i}", "domain": "web", "text": text} for i, text in enumerate(NASTY)]
    found = read_all(write_rows(tmp_path / f"a{suffix}", rows), batch_size)
    assert found.texts == [as_stored(suffix, text) for text in NASTY]
    assert found.ids == [row["id"] for row in rows]
    assert found.domains == ["web"] * len(NASTY)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_have_defaults_and_can_be_named(tmp_path, suffix):
    rows = [{"body": "a", "id": 7, "domain": "d", "lang": "de"}]
    path = write_rows(tmp_path / f"a{suffix}", rows)
    assert read_all(path, text_column="body").ids == ["7"]
    named = read_all(path, text_column="body", id_column="lang", domain_column="")
    assert (named.texts, named.ids, named.domains) == (["a"], ["de"], [None])
    bare = write_rows(tmp_path / f"b{suffix}", [{"text": "a"}])
    assert (read_all(bare).ids, read_all(bare).domains) == ([None], [None])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("option", ["text_column", "id_column", "domain_column"])
def test_missing_column_names_those_found(tmp_path, suffix, option):
    path = write_rows(tmp_path / f"a{suffix}", [{"text": "a", "body": "b"}])
    with pytest.raises(CorpusError, match=r"no column 'nope'; the file has 'text', 'body'"):
        resolve_columns(str(path), **{option: "nope"})


def test_text_column_may_appear_later_in_jsonl(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"other": 1}, {"text": "a", "id": 5}])
    assert read_all(path).texts == [None, "a"]
    assert read_all(path).ids == [None, "5"]


def test_values_that_are_no_text_stay_what_they_are(tmp_path):
    values = [3, 1.5, True, ["a"], {"a": 1}, None]
    path = write_rows(tmp_path / "a.jsonl", [{"text": value} for value in values])
    assert read_all(path).texts == values


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_text_of_every_string_type(tmp_path, kind):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array(["a", None, "b"]).cast(kind)}), path)
    texts = read_all(path).texts
    assert [text.decode() if isinstance(text, bytes) else text for text in texts] == [
        "a",
        None,
        "b",
    ]


def test_invalid_utf8_is_kept_as_bytes(tmp_path):
    bad = b"caf\xe9 \xff"
    jsonl = tmp_path / "a.jsonl"
    jsonl.write_bytes(b'{"text": "good"}\n{"text": "' + bad + b'", "id": "' + bad + b'"}\n')
    parquet = tmp_path / "a.parquet"
    raw = pa.array([b"good", bad], pa.binary())
    broken = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    pq.write_table(pa.table({"text": broken, "id": broken}), parquet)
    for path in (jsonl, parquet):
        found = read_all(path)
        assert found.texts == ["good", bad]
        assert found.ids[1] == bad.decode("utf-8", "replace")


def test_lone_surrogates_stay_in_texts_and_are_repaired_in_labels(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a\\ud800", "id": "\\udc80", "domain": "\\ud83d\\ude00"}\n')
    found = read_all(path)
    assert found.texts == ["a\ud800"]
    assert found.ids == ["\ufffd"]
    assert found.domains == ["\U0001f600"]


@pytest.mark.parametrize("value", [1.5, True, ["a"], {"a": 1}])
def test_label_of_another_type_is_refused_by_row(tmp_path, value):
    rows = [{"text": "a", "id": None}, {"text": "b", "id": value}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    with pytest.raises(CorpusError, match=r"a\.jsonl: row 1: column 'id' holds a "):
        read_all(path, id_column="id")
    assert read_all(path, id_column="").ids == [None, None]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_file_has_no_rows(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    elif suffix in TABLES:
        new = pa.ipc.new_stream if suffix == ".arrow" else pa.ipc.new_file
        new(path, pa.schema([("text", pa.string())])).close()
    else:
        path.write_bytes(compress(b"", suffix))
    assert read_all(path).texts == []
    if "sv" in suffix:
        path.write_bytes(compress(b"id\r\n", suffix))
        with pytest.raises(CorpusError, match="no column 'text'; the file has 'id'"):
            read_all(path)
    if suffix == ".array.json":
        path.write_bytes(b" [\n] \n")
        assert read_all(path).texts == []


def test_blank_lines_and_a_utf8_mark_are_no_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\n  \n{"text": "b"}')
    assert read_all(path).texts == ["a", "b"]


@pytest.mark.parametrize("suffix", [".jsonl", ".json.gz", ".txt", ".txt.zst"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, suffix, encoding):
    path = tmp_path / f"a{suffix}"
    texts = ["caf\xe9 \U0001f600", "\u0a0a \u0d0d", "b" * 70000]
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\r\n" for text in texts)
    whole = texts[0] if ".txt" in suffix else lines
    stored = f"\ufeff{whole}".encode(encoding)
    path.write_bytes(compress(stored, suffix))
    if ".txt" in suffix:
        assert read_all(path).texts == [stored]
        assert repaired(stored) == (texts[0], True)
        return
    assert read_all(path).texts == texts
    target = tmp_path / f"b{suffix}"
    assert extract_rows(str(path), pa.array([0, 2]).to_numpy(), target) == 2
    assert read_all(target).texts == [texts[0], texts[2]]
    path.write_bytes(compress(stored[:-1], suffix))
    with pytest.raises(CorpusError, match=f"its byte order mark says {encoding[:6]}, which it is"):
        read_all(path)


def test_a_lone_surrogate_of_utf_16_is_a_bad_character(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xff\xfe" + '{"text": "a\ud800"}\n'.encode("utf-16-le", "surrogatepass"))
    (text,) = read_all(path).texts
    assert text == b"a\xed\xa0\x80"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', "line 3 is not valid JSON"),
        (b"[1, 2]", "line 3 is not a JSON object but an array"),
        (b"null", "line 3 is not a JSON object but null"),
        (b"[" * 100_000, "line 3 is "),
        (b"9" * 5000, "line 3 is not a JSON object but a number"),
        (b"\x1f\x8b\x08", "line 3 is not valid JSON"),
    ],
)
def test_bad_line_is_named(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n' + line + b'\n{"text": "b"}\n')
    with pytest.raises(CorpusError, match=rf"a\.jsonl: {reason}") as error:
        read_all(path)
    assert error.value.file == str(path)


def long_rows(n: int = 2000) -> list[dict]:
    return [{"text": f"{i} " + os.urandom(60).hex()} for i in range(n)]


@pytest.mark.parametrize("suffix", [*COMPRESSED_LINES, ".parquet"])
@pytest.mark.parametrize("keep", [0.3, 0.9, -1])
def test_cut_file_is_refused_and_named(tmp_path, suffix, keep):
    path = write_rows(tmp_path / f"a{suffix}", long_rows())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if keep > 0 else -1])
    with pytest.raises(CorpusError, match=rf"a{suffix}: "):
        read_all(path)


@pytest.mark.parametrize("suffix", COMPRESSED_LINES)
def test_damaged_stream_is_refused_and_named(tmp_path, suffix):
    path = write_rows(tmp_path / f"a{suffix}", long_rows())
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"\0" * 40
    path.write_bytes(bytes(data))
    with pytest.raises(CorpusError, match=rf"a{suffix}: "):
        read_all(path)


def test_damaged_parquet_page_is_refused_by_its_checksum(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [os.urandom(40).hex() for _ in range(500)]})
    pq.write_table(table, path, compression="none", write_page_checksum=True, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorpusError, match=r"a\.parquet: not a readable Parquet file"):
        read_all(path)


@pytest.mark.parametrize("suffix", [*COMPRESSED_LINES, ".parquet"])
def test_file_of_another_format_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b'{"text": "plain"}\n' * 50)
    with pytest.raises(CorpusError, match=rf"a{suffix}: "):
        resolve_columns(str(path))


@pytest.mark.parametrize("suffix", COMPRESSED_LINES)
def test_concatenated_streams_are_read_to_the_last(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    parts = [compress(f'{{"text": "{i}"}}\n'.encode(), suffix) for i in range(5)]
    if suffix in (".jsonl.zst", ".jsonl.zstd"):  # a skippable frame, as pzstd writes them
        parts.insert(2, b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd")
    path.write_bytes(b"".join(parts))
    assert read_all(path).texts == ["0", "1", "2", "3", "4"]


def test_zstd_reader_gives_the_same_bytes_by_any_piece(tmp_path):
    data = os.urandom(1000) * 500
    path = tmp_path / "a.zst"
    path.write_bytes(compress(data, ".zst") + compress(data, ".zst"))
    for size in (1000, 65536):
        with open(path, "rb") as source:
            reader, found = StreamReader(source, zstandard.ZstdDecompressor().decompressobj), b""
            while piece := reader.read(size):
                found += piece
            assert found == data + data


@pytest.mark.parametrize("log", [27, 28, 31])
def test_large_zstd_windows_are_read(tmp_path, log):
    """zstd --long=28 and more, which decoders refuse unless they are told."""
    path = tmp_path / "a.jsonl.zst"
    small = {"chain_log": 6, "hash_log": 6, "search_log": 1, "strategy": 1}
    options = zstandard.ZstdCompressionParameters(window_log=log, **small)
    compressor = zstandard.ZstdCompressor(compression_params=options).compressobj()
    stored = b"".join(compressor.compress(f'{{"text": "{i}"}}\n'.encode()) for i in range(5000))
    stored += compressor.flush()
    assert zstandard.get_frame_parameters(stored).window_size == 1 << log
    path.write_bytes(stored)
    assert read_all(path).texts == [str(i) for i in range(5000)]
    path.write_bytes(stored[:-3])
    with pytest.raises(CorpusError, match="damaged or cut short"):
        read_all(path)
    path.write_bytes(stored[:8] + b"\xff" * 40 + stored[48:])
    with pytest.raises(CorpusError, match="damaged or cut short"):
        read_all(path)


def test_a_window_beyond_the_limit_is_named(tmp_path):
    zst, xz = tmp_path / "a.jsonl.zst", tmp_path / "a.jsonl.xz"
    # A frame header: its descriptor, then a window of 2^(10 + 22) bytes; a last block of no bytes.
    zst.write_bytes(b"\x28\xb5\x2f\xfd\x00" + bytes([22 << 3]) + b"\x01\x00\x00")
    stored = bytearray(lzma.compress(b"{}\n", check=lzma.CHECK_NONE))
    # The block header, of 12 bytes, after a stream header of 12: LZMA2's dictionary is its byte 4.
    assert stored[14:17] == b"\x21\x01\x16"
    stored[16] = 40
    stored[20:24] = zlib.crc32(stored[12:20]).to_bytes(4, "little")
    xz.write_bytes(stored)
    for path in (zst, xz):
        with pytest.raises(CorpusError, match="a window of more than 2 GiB is needed"):
            read_all(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_extracted_rows_are_the_rows(tmp_path, suffix):
    rows = [{"id": f"d{i}", "text": text, "n": [i]} for i, text in enumerate(NASTY)]
    path = write_rows(tmp_path / f"a{suffix}", rows)
    target = tmp_path / f"b{suffix}"
    wanted = pa.array([0, 3, 4, 9]).to_numpy()
    assert extract_rows(str(path), wanted, target) == 4
    found = read_all(target)
    assert found.texts == [NASTY[i] for i in wanted]
    assert found.ids == [f"d{i}" for i in wanted]
    if suffix == ".parquet":
        assert pq.read_schema(target).equals(pq.read_schema(path), check_metadata=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_far_into_a_file_are_extracted(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    rows = [{"text": str(i)} for i in range(3000)]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write_rows(path, rows)
    wanted = pa.array(range(7, 3000, 7)).to_numpy()
    assert extract_rows(str(path), wanted, tmp_path / f"b{suffix}") == len(wanted)
    assert read_all(tmp_path / f"b{suffix}", 512).texts == [str(i) for i in wanted]


def test_extracted_jsonl_keeps_its_bytes(tmp_path):
    path, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_bytes(b'{"text":  "a"}\r\n\n{"z": 1.50,"text":"\xff"}')
    assert extract_rows(str(path), pa.array([1]).to_numpy(), target) == 1
    assert target.read_bytes() == b'{"z": 1.50,"text":"\xff"}\n'


def test_extract_tells_of_missing_rows(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [{"text": "a"}])
    assert extract_rows(str(path), pa.array([0, 5]).to_numpy(), tmp_path / "b.jsonl") == 1
