"""The files that arguments name, their order and their domains."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from attninfluence.corpus import CorpusError, find_inputs, iter_rows, resolve_columns
from attninfluence.corpus.files import open_binary
from attninfluence.corpus.inputs import path_domain
from attninfluence.corpus.parquet import reading
from attninfluence.corpus.tree import split_glob


def names(*patterns: str) -> list[str]:
    return [file.name for file in find_inputs(patterns).files]


def touch(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def domains(*patterns: str) -> dict[str, str]:
    return {file.name: file.domain for file in find_inputs(patterns).files}


def test_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nope\.jsonl: no such file"):
        find_inputs([str(tmp_path / "nope.jsonl")])


def test_inputs_come_in_a_fixed_order_and_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("c/b.jsonl", "c/a.parquet", "c/d/x.jsonl.zst", "c/e.txt", "top.jsonl")
    touch("c/_meta/y.jsonl", "c/.hidden.jsonl", "c/_SUCCESS", "c/_part.jsonl", "c/notes.md")
    folder = ["c/a.parquet", "c/b.jsonl", "c/d/x.jsonl.zst", "c/e.txt"]
    assert names("top.jsonl", "c", "./c/b.jsonl") == ["top.jsonl", *folder]
    assert names("c/*.jsonl") == ["c/b.jsonl"]
    assert names("c/*") == names("./c/") == names("c/**") == folder
    assert names("c/_part.jsonl", "c/_meta/*") == ["c/_part.jsonl", "c/_meta/y.jsonl"]
    assert names("c/**/*.zst") == ["c/d/x.jsonl.zst"]
    assert names(str(tmp_path / "c")) == [str(tmp_path / name) for name in folder]
    with pytest.raises(CorpusError, match=r"c/notes\.md: not a known kind of file"):
        find_inputs(["c/notes.md"])
    Path("empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: no such file, and no folder"):
        find_inputs(["empty"])


def test_name_with_glob_characters_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("a[1].jsonl")
    assert names("a[1].jsonl") == ["a[1].jsonl"]


def test_size_and_time_are_the_files(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    assert find_inputs([str(path)]).files == [(str(path), 3, 1_700_000_000_123_456_789, "a")]
    assert find_inputs([f"file://{path}"]).files[0].size == 3
    seconds = find_inputs([f"file://{path}"]).files[0].modified / 1e9
    assert seconds == pytest.approx(1_700_000_000.123, abs=1e-3)


CORPUS = ("c/math/x.parquet", "c/math/deep/y.jsonl", "c/lang=de/z.txt", "c/web.jsonl.gz")
BELOW_C = {
    "c/lang=de/z.txt": "de",
    "c/math/deep/y.jsonl": "math",
    "c/math/x.parquet": "math",
    "c/web.jsonl.gz": "web",
}


def test_domain_is_the_first_folder_below_the_argument(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(*CORPUS)
    for pattern in ("c", "c/", "./c", "c/*", "c/**"):
        assert domains(pattern) == BELOW_C
    assert domains(".") == dict.fromkeys(BELOW_C, "c")
    assert set(domains(str(tmp_path)).values()) == {"c"}
    assert domains("c/math") == {"c/math/deep/y.jsonl": "deep", "c/math/x.parquet": "x"}
    assert domains("c/math/x.parquet") == {"c/math/x.parquet": "x"}
    assert domains("c/math/*.parquet") == {"c/math/x.parquet": "x"}
    assert domains("*/math/x.parquet") == {"c/math/x.parquet": "c"}
    assert domains("c/l*/*") == {"c/lang=de/z.txt": "de"}
    assert domains("c/[lm]*") == {name: BELOW_C[name] for name in list(BELOW_C)[:3]}
    monkeypatch.chdir(tmp_path / "c" / "math")
    assert domains("..") == {f"../{name[2:]}": domain for name, domain in BELOW_C.items()}
    # The first argument that names a file decides.
    assert domains("../math", "..")["../math/x.parquet"] == "x"


@pytest.mark.parametrize(
    ("pattern", "folder", "parts"),
    [
        ("/*.txt", "/", ("*.txt",)),
        ("/a/b?/c", "/a", ("b?", "c")),
        ("a/[b]", "a", ("[b]",)),
        ("*", "", ("*",)),
        ("a*//b", "", ("a*", "b")),
        ("a/**/**/b", "a", ("**", "b")),
        ("a/b", "a/b", ()),
    ],
)
def test_a_glob_begins_at_its_first_magic_component(pattern, folder, parts):
    assert split_glob(pattern) == (folder, parts)


@pytest.mark.parametrize(
    ("below", "domain"),
    [
        ("Web.JSONL.GZ", "Web"),
        ("a.b.parquet", "a.b"),
        ("a.jsonl/x.txt", "a.jsonl"),
        ("topic=a%20b%2Fc/x.txt", "a b/c"),
        ("k=v=w/x.txt", "v=w"),
        ("k=/x.txt", "k"),
        ("k=v.txt", "k=v"),
    ],
)
def test_odd_names_as_domains(below, domain):
    assert path_domain(below) == domain


@pytest.fixture
def memory():
    import fsspec

    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/c", recursive=True)


def test_domains_and_sizes_of_urls(memory):
    memory.pipe({f"/{name}": b"{}" for name in CORPUS})
    memory.pipe({"/c/math/_tmp/x.jsonl": b"", "/c/README.md": b""})
    below = {f"memory:///{name}": domain for name, domain in BELOW_C.items()}
    for pattern in ("memory://c", "memory://c/", "memory:///c/*", "memory://c/**"):
        assert domains(pattern) == below
    assert domains("memory://c/math/x.parquet") == {"memory://c/math/x.parquet": "x"}
    assert domains("memory://c/m*/x.parquet") == {"memory:///c/math/x.parquet": "math"}
    for file in find_inputs(["memory://c"]).files:
        assert file.size == 2
        assert abs(file.modified / 1e9 - time.time()) < 60
    with pytest.raises(
        FileNotFoundError, match="memory://c/x: no such file, and no folder or glob"
    ):
        find_inputs(["memory://c/x"])
    with pytest.raises(CorpusError, match=r"memory://c/README\.md: not a known kind of file"):
        find_inputs(["memory://c/README.md"])


def test_urls_go_through_fsspec(memory):
    memory.pipe({"/c/a.jsonl": b'{"text": "a"}\n', "/c/_x.jsonl": b"", "/c/b": b""})
    assert names("memory://c") == ["memory:///c/a.jsonl"]
    assert names("memory://c/*.jsonl") == ["memory:///c/a.jsonl"]
    path = find_inputs(["memory://c/a.jsonl"]).files[0].name
    batches = list(iter_rows(path, resolve_columns(path)))
    assert [batch.texts for batch in batches] == [["a"]]


def test_a_file_named_relative_and_absolute_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch("c/a.jsonl")
    assert names("c", str(tmp_path / "c")) == ["c/a.jsonl"]


def test_memory_that_runs_out_is_no_damage_of_the_file():
    with pytest.raises(MemoryError), reading("a.parquet"):
        raise pa.ArrowMemoryError("no more")


def test_a_text_file_has_no_columns_to_keep(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(CorpusError, match="no column 'text' to keep: a text file has its text"):
        resolve_columns(str(tmp_path / "a.txt"), keep_columns=["text"])


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet", ".txt", ".csv", ".arrow"])
def test_a_fifo_in_place_of_a_file_is_not_waited_for(tmp_path, suffix):
    """A file that was listed may be another one when it is opened."""
    os.mkfifo(tmp_path / f"a{suffix}")
    with pytest.raises(CorpusError, match="a regular file, found a FIFO"):
        open_binary(str(tmp_path / f"a{suffix}"))
