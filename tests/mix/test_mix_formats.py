"""A file of every suffix on the way through a mix, and its recipe opened by those it is for."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from attninfluence.corpus import iter_rows, resolve_columns
from attninfluence.corpus.files import FORMATS
from attninfluence.mix.recipe import Count, Recipe
from attninfluence.mix.write import mix
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.corpus.test_corpus import compress, write_rows
from tests.kit.score_tables import score_row, write_scores

NAMES = [*(f"a{suffix}" for suffix in FORMATS), "a.array.json"]
# Of these datatrove has no reader, or none that reads all of them; that the last two are compressed
# neither fsspec nor datatrove can tell.
WITHOUT = re.compile(r"\.(txt|csv|tsv|arrow|feather|json$|.*\.gzip|.*\.zstd)")


def write_texts(path: Path) -> list[str]:
    """Write a file and return its texts; of a text file its one."""
    if ".txt" in path.name:
        path.write_bytes(compress(path.name.encode(), path.name))
        return [path.name]
    texts = [f"{path.name} {i}" for i in range(6)]
    write_rows(path, [{"text": text, "n": i} for i, text in enumerate(texts)])
    return texts


@pytest.fixture(params=[False, True], ids=["copied", "recipe only"])
def made(request, tmp_path: Path) -> tuple[dict[str, Any], Counter[str]]:
    """The recipe of a mix of all suffixes, with paths from the root, and its texts."""
    (tmp_path / "corpus").mkdir()
    parts, texts = [], Counter()
    for name in NAMES:
        found = write_texts(tmp_path / "corpus" / name)
        parts.append([score_row(name, i, domain=name, score=i % 3) for i in range(len(found))])
        texts.update(found + (found[2::3] or found))  # of one row, a third is that row
    write_scores(tmp_path / "out", parts, tmp_path / "corpus")
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 3)))
    mix(tmp_path / "sel", tmp_path / "mix", recipe_only=request.param)
    recipe = json.loads((tmp_path / "mix" / "recipe.json").read_text())
    for source in recipe["sources"]:
        source["files"] = [os.path.join(tmp_path / "mix", file) for file in source["files"]]
        for key in ("data_folder", "paths_file") if source["datatrove"] else ():
            source["datatrove"][key] = os.path.join(tmp_path / "mix", source["datatrove"][key])
    return recipe, texts


def test_the_files_of_a_mix_hold_its_texts(made):
    recipe, texts = made
    files = [file for source in recipe["sources"] for file in source["files"]]
    assert Counter(text for file in files for text in texts_of(file)) == texts


def texts_of(file: str) -> list[str]:
    return [text for batch in iter_rows(file, resolve_columns(file)) for text in batch.texts]


def streamed(recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The texts that `datasets` reads by the recipe."""
    import datasets

    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # 5 s after a stream
    found: Counter[str] = Counter()
    for source in recipe["sources"]:
        rows = datasets.load_dataset(
            source["builder"],
            data_files=source["files"],
            split="train",
            streaming=True,
            **source["options"],
        )
        found.update(row["text"] for row in rows)
    return found


def test_datasets_opens_every_source(made, monkeypatch):
    recipe, texts = made
    assert streamed(recipe, monkeypatch) == texts


def test_datatrove_opens_the_sources_that_it_has_a_reader_for(made):
    from datatrove.pipeline import readers

    recipe, texts = made
    found: Counter[str] = Counter()
    for source in recipe["sources"]:
        if source["datatrove"] is None:  # no reader: these come to be all texts without it
            assert all(map(WITHOUT.search, source["files"]))
            found.update(text for file in source["files"] for text in texts_of(file))
            continue
        given = source["datatrove"]
        reader = getattr(readers, given["reader"])(
            given["data_folder"], given["paths_file"], text_key=given["text_key"]
        )
        found.update(document.text for document in reader.run(None, 0, 1))
    assert found == texts


def test_datatrove_is_not_sent_for_a_text_within_an_object():
    recipe = Recipe("doc.text")
    recipe.add("corpus", "corpus/a.jsonl", Count(1, 2))
    (source,) = recipe.describe()["sources"]
    assert (source["builder"], source["datatrove"]) == ("json", None)
    assert recipe.paths_files() == {}


def test_a_file_without_documents_is_in_no_source():
    """`datasets` fails at a Parquet file without rows, be it one of many."""
    recipe = Recipe()
    recipe.add("corpus", "corpus/empty.parquet", Count(0, 0))
    recipe.add("corpus", "corpus/a.parquet", Count(2, 4))
    recipe.add("corpus", "corpus/empty.jsonl", Count(0, 0))
    (source,) = recipe.describe()["sources"]
    assert source["files"] == ["corpus/a.parquet"]
    assert recipe.paths_files() == {"corpus-parquet.txt": "a.parquet\n"}


def test_files_of_unlike_columns_are_sources_of_their_own(tmp_path, monkeypatch):
    """`datasets` casts all files of a source to the columns of the first, or fails."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = {"a": pa.array([0, 1], pa.int8()), "b": pa.array(["x", "y"]), "c": pa.array(["z", "z"])}
    for name, column in ids.items():
        pq.write_table(
            pa.table({"text": [f"{name} 0", f"{name} 1"], "id": column}),
            tmp_path / f"{name}.parquet",
        )
    (tmp_path / "d.csv").write_text("text,n\nd 0,1\nd 1,2\n")
    (tmp_path / "e.csv").write_text("m,text\nu,e 0\nv,e 1\n")
    names = ["a.parquet", "b.parquet", "c.parquet", "d.csv", "e.csv"]
    rows = [[score_row(name, i, score=float(i)) for i in range(2)] for name in names]
    write_scores(tmp_path / "out", rows, tmp_path)
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 2)))
    mix(tmp_path / "sel", tmp_path / "mix")
    recipe = json.loads((tmp_path / "mix" / "recipe.json").read_text())
    corpus = [source for source in recipe["sources"] if source["part"] == "corpus"]
    assert [len(source["files"]) for source in corpus] == [1, 2, 1, 1]
    lists = [source["datatrove"]["paths_file"] for source in corpus if source["datatrove"]]
    assert lists == ["corpus-parquet.txt", "corpus-parquet-2.txt"]
    monkeypatch.chdir(tmp_path / "mix")
    assert Path(lists[1]).read_text().split() == ["00001-b.parquet", "00002-c.parquet"]
    found = streamed(recipe, monkeypatch)
    assert sum(found.values()) == 10 + 5 and len(found) == 10
