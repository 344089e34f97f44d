"""A file is a stream: of memory, and of a remote file, little more is taken than a batch needs."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from attninfluence.corpus import find_inputs, iter_rows, resolve_columns, survey_file
from tests.kit.child import run_python

MB = 1_000_000

# A survey reads as iter_rows does, and hashes the file besides.
READ = """
import re, sys
from attninfluence.corpus import resolve_columns, survey_file

def memory(key):
    # Not ru_maxrss, which a process takes over from the one that started it.
    return int(re.search(key + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

path, small = sys.argv[1:]
survey_file(small, resolve_columns(small))
before = memory("VmRSS")
print(survey_file(path, resolve_columns(path)).rows, memory("VmHWM") - before)
"""


def hard_texts(n_bytes: int) -> list[str]:
    """Texts of 5,000 characters that hardly compress below a half."""
    return [os.urandom(2500).hex() for _ in range(n_bytes // 5000)]


def parquet_file(path: Path, n_bytes: int) -> int:
    texts = hard_texts(n_bytes)
    table = pa.table({"id": list(map(str, range(len(texts)))), "text": texts})
    pq.write_table(table, path, row_group_size=len(texts), use_dictionary=False)
    assert pq.read_metadata(path).num_row_groups == 1
    assert path.stat().st_size > 0.9 * n_bytes
    return len(texts)


def jsonl_file(path: Path, n_bytes: int) -> int:
    lines = [json.dumps({"text": text}) + "\n" for text in hard_texts(n_bytes)]
    data = "".join(lines).encode()
    zstd = zstandard.ZstdCompressor(level=1)
    path.write_bytes(zstd.compress(data) if path.suffix == ".zst" else gzip.compress(data, 1))
    return len(lines)


def array_file(path: Path, n_bytes: int) -> int:
    texts = hard_texts(n_bytes)
    path.write_text(json.dumps([{"text": text} for text in texts], indent=1))
    return len(texts)


def csv_file(path: Path, n_bytes: int) -> int:
    texts = hard_texts(n_bytes)
    path.write_text("text,n\n" + "".join(f'"{text}\n",1\n' for text in texts))
    return len(texts)


def arrow_file(path: Path, n_bytes: int) -> int:
    texts = hard_texts(n_bytes)
    table = pa.table({"text": texts, "other": texts})
    with pa.ipc.new_stream(path, table.schema) as output:
        output.write_table(table, 1000)  # as datasets does
    return len(texts)


def regular_file(path: Path, n_bytes: int) -> int:
    """Some texts, then as many lines of one text, of which few stored bytes stand for megabytes."""
    lines = [json.dumps({"text": text}).encode() + b"\n" for text in hard_texts(9 * MB // 10)]
    line = json.dumps({"text": "the same words, " * 30}).encode() + b"\n"
    lines += [line] * (n_bytes // len(line))
    path.write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines)))
    assert path.stat().st_size < MB + n_bytes / 1000
    return len(lines)


@pytest.mark.parametrize(
    ("make", "name", "n_bytes", "bound"),
    [
        (parquet_file, "a.parquet", 400 * MB, 110 * MB),
        (jsonl_file, "a.jsonl.zst", 60 * MB, 25 * MB),
        (jsonl_file, "a.jsonl.gz", 60 * MB, 25 * MB),
        (array_file, "a.json", 60 * MB, 25 * MB),
        (csv_file, "a.csv", 60 * MB, 25 * MB),
        (arrow_file, "a.arrow", 60 * MB, 45 * MB),
        (regular_file, "a.jsonl.zst", 200 * MB, 120 * MB),
    ],
)
def test_a_long_file_is_never_held(tmp_path, make, name, n_bytes, bound):
    rows = make(tmp_path / name, n_bytes)
    make(tmp_path / f"small-{name}", 10000)
    found = run_python(READ, tmp_path / name, tmp_path / f"small-{name}").split()
    assert int(found[0]) == rows
    assert int(found[1]) < bound
    (tmp_path / name).unlink()


class CountedFileSystem(AbstractFileSystem):
    """Files that are fetched by ranges of bytes, and how many bytes were."""

    protocol = "counted"
    cachable = False
    stored: ClassVar[dict[str, bytes]] = {}
    fetched = 0

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        below = self._strip_protocol(path)
        names = [name for name in self.stored if name == below or name.startswith(f"{below}/")]
        infos = [{"name": n, "size": len(self.stored[n]), "type": "file"} for n in names]
        return infos if detail else names

    def _open(self, path: str, mode: str = "rb", **options: Any) -> AbstractBufferedFile:
        options.pop("autocommit", None)
        return CountedFile(self, path, mode, **options)


class CountedFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        CountedFileSystem.fetched += end - start
        return CountedFileSystem.stored[self.path][start:end]


@pytest.fixture
def counted(monkeypatch) -> Iterator[type[CountedFileSystem]]:
    fsspec.register_implementation("counted", CountedFileSystem, clobber=True)
    monkeypatch.setattr(CountedFileSystem, "stored", {})
    monkeypatch.setattr(CountedFileSystem, "fetched", 0)
    return CountedFileSystem


def texts_of(path: str, **part: int) -> list[Any]:
    columns = resolve_columns(path)
    return [text for batch in iter_rows(path, columns, **part) for text in batch.texts]


def test_of_a_remote_parquet_file_come_the_bytes_that_are_read(counted, tmp_path):
    texts = hard_texts(10 * MB)
    other = [os.urandom(5000) for _ in texts]
    table = pa.table({"text": texts, "id": [str(i) for i in range(len(texts))], "other": other})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=500, compression="none")
    counted.stored["c/a.parquet"] = (tmp_path / "a.parquet").read_bytes()
    (file,) = find_inputs(["counted://c"]).files
    assert file == ("counted://c/a.parquet", len(counted.stored["c/a.parquet"]), None, "a")
    assert counted.fetched == 0
    assert texts_of(file.name) == texts
    assert counted.fetched < 1.2 * 10 * MB
    counted.fetched = 0
    assert texts_of(file.name, first_row=1600) == texts[1600:]
    assert counted.fetched < 1.5 * 2.5 * MB


def test_of_a_remote_jsonl_file_come_the_first_blocks(counted):
    texts = hard_texts(40 * MB)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    counted.stored["c/a.jsonl"] = lines.encode()
    columns = resolve_columns("counted://c/a.jsonl")
    counted.fetched = 0
    batches = list(iter_rows("counted://c/a.jsonl", columns, stop_row=300))
    assert [text for batch in batches for text in batch.texts] == texts[:300]
    assert counted.fetched < 11 * MB
    counted.fetched = 0
    assert survey_file("counted://c/a.jsonl", columns).rows == len(texts)
    assert counted.fetched == len(lines)
