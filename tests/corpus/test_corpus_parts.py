"""Parts of files, surveys, text files, cut files: what resuming relies on."""

from __future__ import annotations

import hashlib
import json
import os
import random
from itertools import chain
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.corpus import (
    Columns,
    CorpusError,
    Survey,
    find_inputs,
    iter_rows,
    resolve_columns,
    survey_file,
)
from attninfluence.corpus.files import COMPRESSIONS
from attninfluence.mix.extract import extract_rows
from tests.corpus.test_corpus import COMPRESSED_LINES, SUFFIXES, compress, read_all, write_rows

TEXT_SUFFIXES = (".txt", *(f".txt{compression}" for compression in COMPRESSIONS))
ALL = SUFFIXES + TEXT_SUFFIXES
ROWS = [
    {"text": f"{i}\n" * (i % 3), "id": f"d{i}", "domain": None if i % 4 else "web", "n": i}
    for i in range(23)
]


def write_text(path: Path, data: bytes) -> Path:
    path.write_bytes(compress(data, path.name))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of ROWS by suffix, Parquet in row groups of 3, and text files."""
    folder = tmp_path_factory.mktemp("parts")
    made = {suffix: write_rows(folder / f"a{suffix}", ROWS) for suffix in SUFFIXES}
    made[".jsonl"].write_bytes(made[".jsonl"].read_bytes().replace(b"\n", b"\n \r\n\n"))
    for suffix in TEXT_SUFFIXES:
        made[suffix] = write_text(folder / f"a{suffix}", b"one\r\ntwo\n")
    return made


def rows_of(path: Path | str, *part: int | None, **options: int) -> list[tuple]:
    """(row, text, id, domain, kept n) of each row of a part of a file."""
    keep = () if ".txt" in str(path) else ("n",)
    columns = resolve_columns(str(path), keep_columns=keep)
    found = []
    for batch in iter_rows(str(path), columns, *part, **options):
        assert 0 < len(batch) == len(batch.ids) == len(batch.domains)
        kept = batch.kept["n"].to_pylist() if keep else [None] * len(batch)
        numbers = range(batch.first_row, batch.first_row + len(batch))
        found += zip(numbers, batch.texts, batch.ids, batch.domains, kept, strict=True)
    return found


@pytest.mark.parametrize("suffix", ALL)
def test_any_part_is_that_slice_of_all_rows(files, suffix):
    whole = rows_of(files[suffix])
    assert [row[0] for row in whole] == list(range(1 if "txt" in suffix else len(ROWS)))
    edge = st.integers(0, len(ROWS) + 3)

    @settings(max_examples=60, deadline=None)
    @given(batch_size=st.integers(1, 9), first=edge, stop=st.none() | edge)
    def check(batch_size: int, first: int, stop: int | None) -> None:
        assert rows_of(files[suffix], batch_size, first, stop) == whole[first:stop]

    check()


@pytest.mark.parametrize("suffix", ALL)
def test_urls_are_read_alike(files, tmp_path, suffix):
    path = files[suffix]
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/parts/a{suffix}", path.read_bytes())
    for pattern in (f"memory://parts/*{suffix}", f"file://{path}"):
        (file,) = find_inputs([pattern]).files
        assert (file.size, file.domain[0]) == (path.stat().st_size, "a")
        columns = resolve_columns(file.name)
        assert survey_file(file.name, columns) == survey_file(str(path), columns)
        assert rows_of(file.name, 4, 3) == rows_of(path, 4, 3)
        target = tmp_path / f"b{suffix}"
        assert extract_rows(file.name, pa.array([0]).to_numpy(), target) == 1
        assert rows_of(target) == rows_of(path)[:1]
    memory.rm("/parts", recursive=True)


def test_row_groups_outside_the_part_are_not_read(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"{i} " + os.urandom(50).hex() for i in range(40)]})
    options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(table, path, row_group_size=10, **options)
    texts, data = table["text"].to_pylist(), bytearray(path.read_bytes())
    for damaged in (1, 31):
        data[data.index(texts[damaged].encode()) + 50] ^= 1
    path.write_bytes(bytes(data))
    for first_row, stop_row in ((0, 1), (9, 12), (25, 31), (39, 40)):
        with pytest.raises(CorpusError, match=r"a\.parquet: not a readable Parquet file"):
            rows_of_texts(path, first_row=first_row, stop_row=stop_row)
    for first_row, stop_row in ((10, 30), (13, 15), (19, 21)):
        found = rows_of_texts(path, first_row=first_row, stop_row=stop_row)
        assert found == texts[first_row:stop_row]


def rows_of_texts(path: Path | str, **part: int) -> list:
    columns = resolve_columns(str(path))
    return [text for batch in iter_rows(str(path), columns, **part) for text in batch.texts]


def test_lines_outside_the_part_are_not_parsed(tmp_path):
    path = tmp_path / "a.jsonl"
    good = b'{"text": "a"}\n' * 150
    path.write_bytes(good + b"bad\n" + b'{"text": "b"}\n' + b"bad\n")
    assert rows_of_texts(path, first_row=151, stop_row=152) == ["b"]
    with pytest.raises(CorpusError, match="line 151 is not valid JSON"):
        rows_of_texts(path, first_row=149)


def test_rows_keep_their_numbers_in_errors(tmp_path):
    rows = [{"text": "a", "id": i} for i in range(105)] + [{"id": []}]
    path = write_rows(tmp_path / "a.jsonl", rows)
    columns = resolve_columns(str(path), id_column="id")
    with pytest.raises(CorpusError, match=r"a\.jsonl: row 105: column 'id' holds a list"):
        list(iter_rows(str(path), columns, first_row=103))


@pytest.mark.parametrize("rows", [22, 24])
def test_a_footer_that_contradicts_itself_is_refused(files, tmp_path, rows):
    data = files[".parquet"].read_bytes()
    # Three fields of the footer: the rows of the file, as an i64, and the list of row groups.
    promise = b"\x16" + bytes([2 * len(ROWS)]) + b"\x19"
    assert data.count(promise) == 1
    path = tmp_path / "a.parquet"
    path.write_bytes(data.replace(promise, b"\x16" + bytes([2 * rows]) + b"\x19"))
    with pytest.raises(CorpusError, match=f"promises {rows} rows, its row groups hold 23"):
        rows_of_texts(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_position_goes_from_the_beginning_to_the_end(tmp_path, suffix):
    rows = [{"text": os.urandom(1000).hex(), "id": str(i)} for i in range(4000)]
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write_rows(path, rows)
    batches = iter_rows(str(path), resolve_columns(str(path)), 100)
    found = [batch.position / path.stat().st_size for batch in batches]
    assert found == pytest.approx([(i + 1) / 40 for i in range(40)], abs=0.04)
    assert found[-1] == 1


@pytest.mark.parametrize("suffix", [".jsonl.zst", ".parquet"])
def test_a_batch_of_long_rows_has_few(tmp_path, suffix):
    texts = [chr(97 + i) * (3 << 20) for i in range(12)]
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"text": texts}), path, use_dictionary=False)
    else:
        write_rows(path, [{"text": text} for text in texts])
    columns = resolve_columns(str(path))
    batches = [batch.texts for batch in iter_rows(str(path), columns)]
    assert list(chain.from_iterable(batches)) == texts
    assert max(map(len, batches)) <= 6


@pytest.mark.parametrize("suffix", TEXT_SUFFIXES)
def test_a_text_file_is_one_row(tmp_path, suffix):
    path = write_text(tmp_path / f"a{suffix}", b"\xef\xbb\xbfone\r\n\r\ntwo \xc3\xa9\x00\n")
    found = read_all(path)
    assert (found.texts, found.ids, found.domains) == (
        ["one\r\n\r\ntwo \xe9\x00\n"],
        [None],
        [None],
    )
    assert read_all(path, text_column="body", id_column="", domain_column="").texts == found.texts
    assert read_all(write_text(path, b"")).texts == [""]
    assert read_all(write_text(path, b"caf\xe9")).texts == [b"caf\xe9"]


@pytest.mark.parametrize(
    "option", [{"id_column": "url"}, {"domain_column": "d"}, {"keep_columns": ["url"]}]
)
def test_a_text_file_has_no_other_column(tmp_path, option):
    path = write_text(tmp_path / "a.txt", b"x")
    told = r"a\.txt: no column '(url|d)'(; the file has 'text'| to keep: a text file has its text)"
    with pytest.raises(CorpusError, match=told):
        resolve_columns(str(path), **option)


@pytest.mark.parametrize("suffix", TEXT_SUFFIXES)
def test_an_extracted_text_file_is_the_file(files, tmp_path, suffix):
    target = tmp_path / f"b{suffix}"
    assert extract_rows(str(files[suffix]), pa.array([0]).to_numpy(), target) == 1
    assert target.read_bytes() == files[suffix].read_bytes()
    assert extract_rows(str(files[suffix]), pa.array([1]).to_numpy(), tmp_path / "c.txt") == 0


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    text = pa.array(["a"])
    pq.write_table(pa.Table.from_arrays([text, text, text], ["text", "x", "x"]), path)
    assert read_all(path).texts == ["a"]
    with pytest.raises(CorpusError, match=r"a\.parquet: 2 columns have the name 'x'"):
        resolve_columns(str(path), id_column="x")


@pytest.mark.parametrize("suffix", ALL)
def test_survey_counts_and_hashes(files, suffix):
    path = files[suffix]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = 1 if "txt" in suffix else len(ROWS)
    assert survey_file(str(path), resolve_columns(str(path))) == Survey(rows, digest, {})


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_survey_refuses_what_iter_rows_refuses(tmp_path, suffix):
    rows = [{"text": "a", "id": "a", "n": 1.5}] * 700 + [{"text": "b", "id": "b", "n": None}]
    path = write_rows(tmp_path / f"a{suffix}", rows)
    columns = Columns("text", "n", None)
    with pytest.raises(CorpusError) as expected:
        list(iter_rows(str(path), columns))
    with pytest.raises(CorpusError) as found:
        survey_file(str(path), columns)
    assert str(found.value) == str(expected.value)
    assert survey_file(str(path), columns._replace(id="id")).rows == 701


CUT = (*COMPRESSED_LINES, ".parquet", *TEXT_SUFFIXES[1:])


@pytest.mark.parametrize("suffix", CUT)
def test_a_file_cut_at_any_byte_is_refused(tmp_path, files, suffix):
    data = files[suffix].read_bytes()
    path = tmp_path / f"cut{suffix}"
    columns = resolve_columns(str(files[suffix]))
    sizes = range(len(data))
    if len(sizes) > 600:
        sizes = random.Random(0).sample(sizes, 150) + [0, len(data) - 1]
    for size in sizes:
        path.write_bytes(data[:size])
        with pytest.raises(CorpusError, match=rf"cut{suffix}: "):
            list(iter_rows(str(path), columns))
        with pytest.raises(CorpusError, match=rf"cut{suffix}: "):
            survey_file(str(path), columns)


@pytest.mark.parametrize("suffix", COMPRESSED_LINES)
def test_streams_of_many_frames(tmp_path, suffix):
    lines = [json.dumps({"text": f"{i} " * (i % 50)}).encode() + b"\n" for i in range(3000)]
    path = tmp_path / f"a{suffix}"
    padding = b"" if "zst" in suffix else b"\0" * 700
    path.write_bytes(padding.join(compress(line, suffix) for line in lines) + padding)
    assert [len(text.split()) for text in rows_of_texts(path)] == [i % 50 for i in range(3000)]
