"""The mix: the corpus as it is, the selected rows once more, and totals that add up."""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attninfluence.corpus import iter_rows, resolve_columns
from attninfluence.corpus.files import FORMATS
from attninfluence.mix import write as write_module
from attninfluence.mix.recipe import KINDS, Count, Recipe, common_folder
from attninfluence.mix.write import mix
from attninfluence.output.files import OutputError
from attninfluence.output.finished import open_finished
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.corpus.test_corpus import write_rows
from tests.kit.score_tables import score_row, write_scores

NAMES = ("math/a.jsonl", "math/b.parquet", "web/a.jsonl.gz", "web/c.jsonl.zst", "web/none.jsonl")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Five files of ten documents in two domains, scored and a third of it selected."""
    root = tmp_path / "corpus"
    parts = []
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        texts = [{"text": f"{name} {i}", "extra": i} for i in range(10)]
        write_rows(root / name, texts)
        low = -9.0 if "none" in name else 0.0
        parts.append(
            [
                score_row(name, i, domain=name.split("/")[0], score=low + i % 4, n_tokens=2 + i)
                for i in range(10)
            ]
        )
    write_scores(tmp_path / "out", parts, root)
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 3)))
    return root


def texts_of(path: Path) -> list[str]:
    batches = iter_rows(str(path), resolve_columns(str(path)))
    return [text for batch in batches for text in batch.texts]


def selected_of(folder: Path) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for table in open_finished(folder, "selection").tables(["file", "row"]):
        for row in table.to_pylist():
            rows.setdefault(row["file"], []).append(row["row"])
    return rows


def located(folder: Path, file: str) -> str:
    """What datasets opens a file of a recipe by: names are patterns, so the folder becomes one."""
    return file if "://" in file else os.path.join(glob.escape(str(folder)), file)


def load_sources(folder: Path, recipe: dict[str, Any], *, streaming: bool = True) -> list[Any]:
    """The recipe's sources, as its readers are told to open them."""
    import datasets

    return [
        datasets.load_dataset(
            source["builder"],
            data_files=[located(folder, file) for file in source["files"]],
            split="train",
            streaming=streaming,
            **source["options"],
        )
        for source in recipe["sources"]
    ]


def read_by_datatrove(folder: Path, recipe: dict[str, Any]) -> list[list[str]]:
    """The texts of each of the recipe's sources, as datatrove is told to read them."""
    from datatrove.pipeline import readers

    texts = []
    for source in recipe["sources"]:
        given = source["datatrove"]
        reader = getattr(readers, given["reader"])(
            os.path.join(folder, given["data_folder"]),
            os.path.join(folder, given["paths_file"]),
            text_key=given["text_key"],
        )
        found = (document.text for rank in (0, 1) for document in reader.run(None, rank, 2))
        texts.append(list(found))
    return texts


def test_a_recipe_knows_every_format() -> None:
    assert set(KINDS) == set(FORMATS.values())


def test_mix_is_the_corpus_and_the_selected_rows(tmp_path, corpus):
    mix(tmp_path / "sel", tmp_path / "mix")
    selected = selected_of(tmp_path / "sel")
    assert "web/none.jsonl" not in selected
    for index, name in enumerate(NAMES):
        stored = f"{index:05d}-{os.path.basename(name)}"
        copy = tmp_path / "mix" / "corpus" / stored
        assert copy.read_bytes() == (corpus / name).read_bytes()
        part = tmp_path / "mix" / "selected" / stored
        assert part.exists() == (name in selected)
        if name in selected:
            assert texts_of(part) == [f"{name} {i}" for i in sorted(selected[name])]
    assert (tmp_path / "mix" / "_SUCCESS").exists()
    assert pq.read_schema(tmp_path / "mix/selected/00001-b.parquet").names == ["text", "extra"]


def test_totals_are_those_of_the_files(tmp_path, corpus):
    summary = mix(tmp_path / "sel", tmp_path / "mix")
    selected = selected_of(tmp_path / "sel")
    tokens = {d: sum(2 + i for f in selected for i in selected[f] if f.startswith(d)) for d in "mw"}
    assert [entry["domain"] for entry in summary["domains"]] == ["math", "web"]
    assert [entry["selected_tokens"] for entry in summary["domains"]] == list(tokens.values())
    assert [entry["corpus_tokens"] for entry in summary["domains"]] == [130, 195]
    whole = summary["all"]
    assert whole["tokens"] == 325 + sum(tokens.values())
    assert whole["documents"] == 50 + sum(map(len, selected.values()))
    assert sum(entry["share"] for entry in summary["domains"]) == pytest.approx(1)
    assert json.loads((tmp_path / "mix" / "summary.json").read_text()) == summary


@pytest.mark.parametrize("recipe_only", [False, True])
def test_recipe_names_files_and_weights(tmp_path, corpus, recipe_only):
    summary = mix(tmp_path / "sel", tmp_path / "mix", recipe_only=recipe_only)
    recipe = json.loads((tmp_path / "mix" / "recipe.json").read_text())
    sources = recipe["sources"]
    assert {(s["part"], s["builder"]) for s in sources} == {
        (part, builder) for part in ("corpus", "selected") for builder in ("json", "parquet")
    }
    for source in sources:
        texts = []
        for file in source["files"]:
            texts += texts_of(tmp_path / "mix" / file)
        assert len(texts) == source["documents"]
        assert source["weight"] == pytest.approx(source["tokens"] / summary["all"]["tokens"])
    assert sum(source["probability"] for source in sources) == pytest.approx(1)
    assert sum(source["weight"] for source in sources) == pytest.approx(1)
    assert (tmp_path / "mix" / "corpus").exists() != recipe_only
    if recipe_only:
        assert sources[0]["files"][0] == str(corpus / NAMES[0])


def all_texts(tmp_path: Path) -> Counter[str]:
    """The texts of the mix, as often as they should come."""
    selected = selected_of(tmp_path / "sel")
    texts = Counter(f"{name} {i}" for name in NAMES for i in range(10))
    texts.update(f"{name} {i}" for name, rows in selected.items() for i in rows)
    return texts


@pytest.mark.parametrize("recipe_only", [False, True])
def test_datasets_follows_the_recipe(tmp_path, corpus, recipe_only, monkeypatch):
    """Sources load as a stream, and interleaved they give every row once, evenly mixed."""
    import datasets

    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # 5 s after a stream
    mix(tmp_path / "sel", tmp_path / "mix", recipe_only=recipe_only)
    recipe = json.loads((tmp_path / "mix" / "recipe.json").read_text())
    sources = load_sources(tmp_path / "mix", recipe)
    for source, dataset in zip(recipe["sources"], sources, strict=True):
        assert len(list(dataset)) == source["documents"]
    mixed = datasets.interleave_datasets(
        sources,
        probabilities=[source["probability"] for source in recipe["sources"]],
        seed=0,
        stopping_strategy=recipe["stopping_strategy"],
    )
    assert Counter(row["text"] for row in mixed) == all_texts(tmp_path)


def test_the_share_of_a_source_in_the_beginning_is_its_probability(tmp_path):
    """So a training that stops early has seen the mix as well."""
    import datasets

    rows = [{"text": str(i)} for i in range(6000)]
    (tmp_path / "corpus").mkdir()
    write_rows(tmp_path / "corpus/a.jsonl", rows)
    scored = [score_row("a.jsonl", i, score=i / 7) for i in range(6000)]
    write_scores(tmp_path / "out", [scored], tmp_path / "corpus")
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 2)))
    mix(tmp_path / "sel", tmp_path / "mix", recipe_only=True)
    recipe = json.loads((tmp_path / "mix" / "recipe.json").read_text())
    sources = []
    for source in recipe["sources"]:
        files = [os.path.join(tmp_path / "mix", file) for file in source["files"]]
        dataset = datasets.load_dataset("json", data_files=files, split="train", streaming=True)
        sources.append(dataset.add_column("part", [source["part"]] * source["documents"]))
    shares = [source["probability"] for source in recipe["sources"]]
    assert shares == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    mixed = datasets.interleave_datasets(
        sources,
        probabilities=shares,
        seed=0,
        stopping_strategy=recipe["stopping_strategy"],
    )
    first = [row["part"] for row in mixed.take(3000)]
    assert first.count("selected") == pytest.approx(1000, abs=100)


@pytest.mark.parametrize("recipe_only", [False, True])
def test_datatrove_follows_the_recipe(tmp_path, corpus, recipe_only):
    mix(tmp_path / "sel", tmp_path / "mix", recipe_only=recipe_only)
    recipe = json.loads((tmp_path / "mix" / "recipe.json").read_text())
    texts = read_by_datatrove(tmp_path / "mix", recipe)
    assert list(map(len, texts)) == [source["documents"] for source in recipe["sources"]]
    assert sum(map(Counter, texts), Counter()) == all_texts(tmp_path)


def test_shards_make_the_mix_of_the_whole_run(tmp_path, corpus, monkeypatch):
    """A file that two shards divide has one file in the mix, however its rows are read."""
    mix(tmp_path / "sel", tmp_path / "mix")
    monkeypatch.setattr("attninfluence.output.finished.BATCH_BYTES", 1)  # a row at a time
    whole = open_finished(tmp_path / "out", "scores")
    rows = [row for table in whole.tables() for row in table.to_pylist()]
    folders = [
        write_scores(
            tmp_path / f"shard{index}",
            [rows[start : start + 15]],
            corpus,
            shard={"index": index, "count": 4},
            inputs=whole.run["inputs"],
        )
        for index, start in enumerate(range(0, 50, 15))
    ]
    select(folders, tmp_path / "joined", Rule(Fraction(1, 3)))
    assert mix(tmp_path / "joined", tmp_path / "again") == mix(tmp_path / "sel", tmp_path / "once")
    for path in sorted((tmp_path / "mix").glob("*/*")):
        again = tmp_path / "again" / path.relative_to(tmp_path / "mix")
        assert again.read_bytes() == path.read_bytes(), path


def test_runs_that_started_in_different_folders(tmp_path):
    """Each name starts where its own run did."""
    for folder, name in (("one", "a.jsonl"), ("two", "b.jsonl")):
        (tmp_path / folder).mkdir()
        write_rows(tmp_path / folder / name, [{"text": f"{folder} {i}"} for i in range(4)])
        rows = [score_row(name, i, score=float(i)) for i in range(4)]
        write_scores(tmp_path / f"out-{folder}", [rows], tmp_path / folder)
    select([tmp_path / "out-one", tmp_path / "out-two"], tmp_path / "sel", Rule(Fraction(1, 4)))
    mix(tmp_path / "sel", tmp_path / "mix")
    files = sorted((tmp_path / "mix/selected").iterdir())
    assert [texts_of(path) for path in files] == [["one 3"], ["two 3"]]


def test_totals_that_do_not_add_up_are_refused(tmp_path, corpus, monkeypatch):
    add = write_module.Recipe.add
    monkeypatch.setattr(
        write_module.Recipe,
        "add",
        lambda self, part, file, count, *of: add(self, part, file, Count(count.documents, 1), *of),
    )
    with pytest.raises(
        OutputError, match=r"its files add up to 67 documents and 9 tokens, the sco"
    ):
        mix(tmp_path / "sel", tmp_path / "mix")
    assert not (tmp_path / "mix" / "_SUCCESS").exists()


def test_text_files_are_mixed_whole(tmp_path):
    """One file is one document: a selected one is copied, and loads as one row of many lines."""

    texts = {f"{name}.txt": f"{name} one\n{name} two\n" for name in "abc"}
    (tmp_path / "corpus").mkdir()
    for name, text in texts.items():
        (tmp_path / "corpus" / name).write_text(text)
    parts = [[score_row(name, 0, score=float(i))] for i, name in enumerate(texts)]
    write_scores(tmp_path / "out", parts, tmp_path / "corpus")
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 3)))
    mix(tmp_path / "sel", tmp_path / "mix")
    (selected,) = (tmp_path / "mix" / "selected").iterdir()
    assert selected.read_text() == texts["c.txt"]
    recipe = json.loads((tmp_path / "mix" / "recipe.json").read_text())
    loaded = load_sources(tmp_path / "mix", recipe)
    found = [row["text"] for dataset in loaded for row in dataset]
    assert found == [*texts.values(), texts["c.txt"]]


def test_text_files_are_sources_of_their_own_kind():
    recipe = Recipe("body")
    recipe.add("corpus", "corpus/00000-a.txt", Count(1, 7))
    recipe.add("corpus", "corpus/00001-b.jsonl", Count(3, 21))
    text, json_lines = recipe.describe()["sources"]
    assert (text["builder"], text["options"]) == ("text", {"sample_by": "document"})
    assert text["datatrove"] is None and text["probability"] == 0.25
    assert json_lines["datatrove"]["text_key"] == "body"
    assert recipe.paths_files() == {"corpus-json.txt": "00001-b.jsonl\n"}


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["corpus/a", "corpus/b"], "corpus"),
        (["/data/x/a", "/data/y/b"], "/data"),
        (["/a", "/b/c"], "/"),
        (["s3://bucket/x/a", "s3://bucket/x/y/b"], "s3://bucket/x"),
        (["s3://bucket/a", "/data/b"], None),
    ],
)
def test_the_folder_that_files_share(names, folder):
    assert common_folder(names) == folder


def scored_anew(tmp_path: Path, corpus: Path, **given: Any) -> Path:
    """The scores of the corpus, with other totals or another run.json."""
    whole = open_finished(tmp_path / "out", "scores")
    rows = [row for table in whole.tables() for row in table.to_pylist()]
    return write_scores(tmp_path / "anew", [rows], corpus, **given)


def test_a_bad_file_is_no_part_of_the_mix(tmp_path, corpus):
    """Its rows were left out, all of them; here it is not even there any more."""
    inputs = open_finished(tmp_path / "out", "scores").run["inputs"]
    inputs.insert(2, {"file": "web/bad.jsonl", "bytes": 9})
    totals = {"bad_files": [{"file": "web/bad.jsonl", "error": "damaged"}]}
    scores = scored_anew(tmp_path, corpus, totals=totals, inputs=inputs)
    select(scores, tmp_path / "sel2", Rule(Fraction(1, 3)))
    mix(tmp_path / "sel2", tmp_path / "mix")
    assert len(list((tmp_path / "mix" / "corpus").iterdir())) == len(NAMES)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"limit": 50}, r"anew has a limit of 50 rows \(--limit\), so .* score it without one"),
        ({"shard": {"index": 1, "count": 3}}, r"shards 0, 2 are missing \(--allow-missing-shards"),
        (
            {"totals": {"bad_files": [{"file": NAMES[1], "error": "gone"}]}},
            r"some rows of 'math/b.parquet' were left out: gone",
        ),
    ],
)
def test_the_mix_of_a_part_of_a_corpus_is_refused(tmp_path, corpus, given, sentence):
    """Files are copied whole, but only the rows that were scored would be counted."""
    scores = scored_anew(tmp_path, corpus, **given)
    select(scores, tmp_path / "sel2", Rule(Fraction(1, 3)), allow_missing_shards=True)
    with pytest.raises(OutputError, match=f"sel2: .*{sentence}"):
        mix(tmp_path / "sel2", tmp_path / "mix")
    assert not (tmp_path / "mix").exists()


def test_the_limit_of_any_run_counts(tmp_path):
    for name, limit in (("a", None), ("b", 1)):
        write_rows(tmp_path / f"{name}.jsonl", [{"text": "x"}] * 2)
        rows = [score_row(f"{name}.jsonl", 0)]
        write_scores(tmp_path / name, [rows], tmp_path, limit=limit)
    select([tmp_path / "a", tmp_path / "b"], tmp_path / "sel", Rule(Fraction(1)))
    with pytest.raises(OutputError, match="b has a limit of 1 rows"):
        mix(tmp_path / "sel", tmp_path / "mix")


def test_changed_file_is_refused(tmp_path, corpus):
    with open(corpus / NAMES[0], "a") as file:
        file.write('{"text": "more"}\n')
    with pytest.raises(OutputError, match=r"math/a\.jsonl: changed since it was scored: "):
        mix(tmp_path / "sel", tmp_path / "mix")
    assert not (tmp_path / "mix").exists()


def test_a_file_with_other_bytes_of_the_same_number_is_not_copied(tmp_path, corpus):
    """Its scores are those of other documents."""
    files = open_finished(tmp_path / "out", "scores").totals["files"]
    for entry in files:
        entry["digest"] = hashlib.sha256((corpus / entry["file"]).read_bytes()).hexdigest()
    select(
        scored_anew(tmp_path, corpus, totals={"files": files}),
        tmp_path / "sel2",
        Rule(Fraction(1, 3)),
    )
    mix(tmp_path / "sel2", tmp_path / "sound")
    path = corpus / NAMES[4]
    path.write_bytes(path.read_bytes().replace(b"none", b"some"))
    with pytest.raises(OutputError, match=r"none\.jsonl: changed since .*: as many bytes, but"):
        mix(tmp_path / "sel2", tmp_path / "mix")
    assert not (tmp_path / "mix" / "_SUCCESS").exists()


def test_shorter_file_of_the_same_size_is_refused(tmp_path, corpus):
    path = corpus / NAMES[0]
    line = path.read_bytes()
    path.write_bytes(b'{"text": "' + b"x" * (len(line) - 13) + b'"}\n')
    with pytest.raises(OutputError, match=r"changed since it was scored: row \d is selected"):
        mix(tmp_path / "sel", tmp_path / "mix")
    assert not (tmp_path / "mix" / "_SUCCESS").exists()


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
@pytest.mark.parametrize("rows", [[2, 2], [3, 2]])
def test_selected_rows_that_do_not_ascend_are_refused(tmp_path, name, rows):
    write_rows(tmp_path / name, [{"text": str(at)} for at in range(4)])
    scored = [score_row(name, row, score=float(row)) for row in range(4)]
    write_scores(tmp_path / "scores", [scored], tmp_path)
    select(tmp_path / "scores", tmp_path / "sel", Rule(Fraction(1, 2)))
    part = tmp_path / "sel" / "part-00000.parquet"
    table = pq.read_table(part)
    pq.write_table(table.set_column(1, table.schema.field(1), pa.array(rows, pa.int64())), part)
    with pytest.raises(OutputError, match=f"{name}' must ascend, found 2 after {rows[0]}; "):
        mix(tmp_path / "sel", tmp_path / "mix")


def test_moved_corpus_is_found_by_root(tmp_path, corpus):
    corpus.rename(tmp_path / "moved")
    with pytest.raises(OutputError, match=r"the scored file is not there; name the folder that"):
        mix(tmp_path / "sel", tmp_path / "mix")
    summary = mix(tmp_path / "sel", tmp_path / "mix", root=tmp_path / "moved")
    assert summary["all"]["corpus_documents"] == 50


def test_relative_names_start_where_the_scores_were_made(tmp_path, corpus, monkeypatch):
    monkeypatch.chdir("/")
    assert mix(tmp_path / "sel", tmp_path / "mix")["all"]["corpus_documents"] == 50


def test_failed_copy_leaves_no_file_under_its_name(tmp_path, corpus, monkeypatch):
    class Full(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_module, "open_binary", lambda path: Full())
    with pytest.raises(OSError, match="No space left"):
        mix(tmp_path / "sel", tmp_path / "mix")
    assert os.listdir(tmp_path / "mix" / "corpus") == []
    assert not (tmp_path / "mix" / "_SUCCESS").exists()


def test_scores_are_no_selection(tmp_path, corpus):
    with pytest.raises(OutputError, match="expected a folder that `attninfluence select` wrote"):
        mix(tmp_path / "out", tmp_path / "mix")
