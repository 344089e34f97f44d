"""Files of any name in a mix, opened by the readers that a recipe is for."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from attninfluence.mix import names
from attninfluence.mix.recipe import Count, Recipe
from attninfluence.mix.write import mix
from attninfluence.output.files import OutputError
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.corpus.test_corpus import write_rows
from tests.kit.score_tables import score_row, write_scores
from tests.mix.test_mix import load_sources, read_by_datatrove

ESCAPED = [
    *(
        "plain",
        "part[1]",
        "[!a]",
        "[[]",
        "]",
        "a*b",
        "**",
        "q?x",
        "{a,b}",
        "~",
        "~root",
        "\\",
        "b\\[s",
    ),
    *(
        " lead",
        "trail ",
        "tab\tx",
        "\x01c",
        "\x85nel",
        "\u2028ls",
        "\u00a0nb",
        "\u200bz",
        "\ufeffbom",
    ),
    *(
        "h#x",
        "pc%20x",
        "pc%5B",
        "a;b",
        "a&b",
        "a:b",
        "a|b",
        "'q'",
        '"dq"',
        "x!y",
        "@at",
        "a=b",
        "$",
    ),
    *(
        ".dot",
        "_und",
        "__dun",
        "-dash",
        "é",
        "e\u0301",
        "文書",
        "🙂",
        "a b",
        "(c)",
        "^",
        "file:",
        "README",
    ),
    "long" * 50,
]
REFUSED = {
    "a::b": "'::', which fsspec takes for a chain",
    "$HOME": "a '$', which datasets takes for a variable",
    "x${HOME}": "a '$', which datasets takes for a variable",
    "n\nl": "a line end, and datatrove reads a list of files by lines",
    "r\rl": "a line end, and datatrove reads a list of files by lines",
}
KINDS = (".jsonl", ".parquet")


def selected_from(
    tmp_path: Path, stems: list[str], suffixes: tuple[str, ...] = KINDS
) -> Counter[str]:
    """A corpus of two rows a file, half of it selected (``sel``); the texts that its mix has.

    Each name is that of a file and that of a folder with a file of another.
    """
    parts, texts = [], Counter[str]()
    for number, stem in enumerate(stems):
        suffix = suffixes[number % len(suffixes)]
        for name in (f"{stem}{suffix}", f"{stem}/f{suffix}"):
            path = tmp_path / "corpus" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(path, [{"text": f"{name} {row}"} for row in range(2)])
            parts.append([score_row(name, row, score=float(row)) for row in range(2)])
            texts.update([f"{name} 0", f"{name} 1", f"{name} 1"])
    write_scores(tmp_path / "out", parts, tmp_path / "corpus")
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 2)))
    return texts


@pytest.fixture
def quick_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # 5 s after a stream
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def check_readers(folder: Path, texts: Counter[str]) -> None:
    """All sources of a mix give all of its texts, streamed, downloaded and read by datatrove."""
    recipe = json.loads((folder / "recipe.json").read_text())
    for streaming in (True, False):
        loaded = load_sources(folder, recipe, streaming=streaming)
        assert Counter(row["text"] for source in loaded for row in source) == texts
    assert Counter(text for source in read_by_datatrove(folder, recipe) for text in source) == texts


def test_files_of_any_name_are_mixed_under_names_that_readers_open(tmp_path, quick_datasets):
    texts = selected_from(tmp_path, [*ESCAPED, *REFUSED])
    mix(tmp_path / "sel", tmp_path / "mix")
    for path in tmp_path.glob("mix/*/*"):
        assert names.check_nameable(path.name) is None
        assert names.pattern(path.name) == path.name == path.name.strip()
        assert len(os.fsencode(path.name)) <= 255
    check_readers(tmp_path / "mix", texts)


def test_a_recipe_escapes_what_its_readers_expand(tmp_path, quick_datasets):
    """Of the files, of the folders above them, and its reader of the folder it lies in."""
    texts = selected_from(tmp_path, ESCAPED)
    folder = tmp_path / "mix[1]*? {a}\n"
    mix(tmp_path / "sel", folder, recipe_only=True)
    check_readers(folder, texts)


@pytest.mark.parametrize("stem", REFUSED)
def test_a_name_that_no_recipe_can_have_is_refused(tmp_path, stem):
    selected_from(tmp_path, ["plain", stem], (".jsonl",))
    with pytest.raises(OutputError) as told:
        mix(tmp_path / "sel", tmp_path / "mix", recipe_only=True)
    assert f"{str(tmp_path / 'corpus' / stem)!r}"[:-1] in str(told.value)
    assert REFUSED[stem] in str(told.value) and "mix without --recipe" in str(told.value)
    assert not (tmp_path / "mix").exists()


@pytest.mark.parametrize("recipe_only", [False, True])
@pytest.mark.parametrize("name", ["mix::1", "$USER/mix"])
def test_a_mix_in_a_folder_that_no_reader_finds_is_refused(tmp_path, name, recipe_only):
    selected_from(tmp_path, ["plain"])
    with pytest.raises(OutputError, match=r"has (a '\$'|'::'), .*; name another folder"):
        mix(tmp_path / "sel", tmp_path / name, recipe_only=recipe_only)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/x y/a b[1].jsonl.gz", "00007-a_b_1_.jsonl.gz"),
        ("/x/.A.JSONL.ZST", "00007-.A.JSONL.ZST"),
        ("zip://maths/a.jsonl::c.zip", "00007-a.jsonl"),
        ("zip://a?.jsonl::s3://bucket/c.zip", "00007-a_.jsonl"),
        ("simplecache::s3://bucket/m/a.parquet", "00007-a.parquet"),
        ("/x/a::b.parquet", "00007-a__b.parquet"),
        ("/x/é文🙂\ud800\u200b.txt", "00007-é文🙂__.txt"),
    ],
)
def test_a_name_is_made_safe(path, stored):
    assert names.stored_name(7, path) == stored


@pytest.mark.parametrize("stem", ["a", "é", "文", "🙂"])
@pytest.mark.parametrize("index", [0, 123_456])
def test_a_long_name_is_cut_between_characters(stem, index):
    stored = names.stored_name(index, f"/x/{stem * 300}.jsonl.zst")
    size = len(stored.encode())
    assert 255 - len(stem.encode()) < size <= 255
    assert stored.startswith(f"{index:05d}-{stem}") and stored.endswith(f"{stem}.jsonl.zst")


def test_compressions_are_called_as_readers_know_them(monkeypatch):
    """Of ``.gzip`` and ``.zstd`` fsspec, with which datatrove reads, knows nothing."""
    from fsspec.utils import infer_compression

    suffixes = (".jsonl.gzip", ".jsonl.zstd", ".JSONL.GZIP")
    monkeypatch.setattr(
        names, "file_suffix", lambda name: next(s for s in suffixes if name.endswith(s)).lower()
    )
    for suffix in suffixes:
        assert infer_compression(f"a{suffix}") is None
        stored = names.stored_name(0, f"/x/a{suffix}")
        assert infer_compression(stored) in ("gzip", "zstd")


def test_chained_urls_are_named_by_a_recipe(tmp_path, quick_datasets, monkeypatch):
    """The archive is named from the folder where scoring began; datatrove opens no chain."""
    with zipfile.ZipFile(tmp_path / "c[1].zip", "w") as archive:
        for inner in ("m/a[1].jsonl", "m/b.jsonl", "m/a1.jsonl"):
            archive.writestr(inner, json.dumps({"text": inner}) + "\n")
    recipe = Recipe()
    for inner in ("m/a[1].jsonl", "m/b.jsonl"):
        path = names.located(f"zip://{inner}::c[1].zip", str(tmp_path))
        assert path == f"zip://{inner}::{tmp_path}/c[1].zip"
        names.check_nameable(path)
        recipe.add("corpus", path, Count(1, 3))
    recipe.add("corpus", "/x/a.jsonl", Count(1, 3))
    chained, plain = recipe.describe()["sources"]
    assert chained["datatrove"] is None
    assert plain["datatrove"]["paths_file"] == "corpus-json.txt"
    assert recipe.paths_files() == {"corpus-json.txt": "a.jsonl\n"}
    monkeypatch.chdir("/")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)  # a chain is no local path to it
    for streaming in (True, False):
        (loaded,) = load_sources(tmp_path / "mix", {"sources": [chained]}, streaming=streaming)
        assert [row["text"] for row in loaded] == ["m/a[1].jsonl", "m/b.jsonl"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/b.jsonl", "/start/a/b.jsonl"),
        ("/a/b.jsonl", "/a/b.jsonl"),
        ("file:///a/b.jsonl", "/a/b.jsonl"),
        ("s3://b/a.jsonl", "s3://b/a.jsonl"),
        ("zip://a.jsonl::file:///c.zip", "zip://a.jsonl::/c.zip"),
        ("zip://a.jsonl::s3://b/c.zip", "zip://a.jsonl::s3://b/c.zip"),
        ("simplecache::s3://b/a.jsonl", "simplecache::s3://b/a.jsonl"),
        ("a::b.jsonl", "/start/a::b.jsonl"),
    ],
)
def test_where_an_input_is(name, found):
    assert names.located(name, "/start") == found


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("s3://b/$HOME/a\nb.jsonl", "a line end"),
        ("zip://a.jsonl::/x/$HOME.zip", "'$'"),
        ("https://h/a[1].jsonl", "'*' or '[', which cannot be escaped there"),
        ("https://h/a.jsonl", None),
        ("s3://b/$HOME/a[1]*.jsonl", None),
    ],
)
def test_urls_that_no_recipe_can_name(path, sentence):
    if sentence is None:
        names.check_nameable(path)
        return
    with pytest.raises(OutputError, match=re.escape(sentence)):
        names.check_nameable(path)


def test_files_without_documents_are_in_no_source(tmp_path, quick_datasets):
    """They are copied; `datasets` opens no source that has nothing in it."""
    texts = selected_from(tmp_path, ["plain"], (".parquet",))
    (tmp_path / "corpus/none.jsonl").touch()
    inputs = [{"file": "none.jsonl", "bytes": 0}]
    inputs += json.loads((tmp_path / "out/run.json").read_text())["inputs"]
    files = json.loads((tmp_path / "out/_SUCCESS").read_text())["files"]
    rows: list[list[dict[str, Any]]] = []
    for name in ("plain.parquet", "plain/f.parquet"):
        rows.append([score_row(name, row, score=float(row)) for row in range(2)])
    none = {"file": "none.jsonl", "rows": 0, "tokens": 0}
    totals = {"files": [none, *files]}
    write_scores(tmp_path / "again", rows, tmp_path / "corpus", totals=totals, inputs=inputs)
    select(tmp_path / "again", tmp_path / "sel2", Rule(Fraction(1, 2)))
    mix(tmp_path / "sel2", tmp_path / "mix")
    assert (tmp_path / "mix/corpus/00000-none.jsonl").exists()
    check_readers(tmp_path / "mix", texts)
