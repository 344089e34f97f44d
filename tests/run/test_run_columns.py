"""Columns of a run: what is refused before the first row, and what is only told."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import attninfluence as ai
from attninfluence import cli
from attninfluence.corpus import CorpusError
from attninfluence.run import dry_run
from attninfluence.run.source import Source, open_inputs
from tests.corpus.test_corpus import write_rows
from tests.run.test_resume import interrupted, run, table
from tests.run.test_score_files import stand_in


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", stand_in)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three files whose ids are strings, doubles and now and then a list."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, ids in (
        ("a.jsonl", [f"d{i}" for i in range(10)]),
        ("b.parquet", [float(i) for i in range(10)]),
        ("c.jsonl", [[i] if i % 4 == 0 else i for i in range(10)]),
    ):
        write_rows(folder / name, [{"text": f"text {i}", "id": id_} for i, id_ in enumerate(ids)])
    return folder


def test_ids_that_are_none_stop_no_run_and_are_told(tmp_path, corpus):
    expected = [{"column": "id", "rows": 13, "files": 2, "first_file": str(corpus / "b.parquet")}]
    interrupted(corpus, tmp_path / "out", after=4)
    assert run(corpus, tmp_path / "out")["no_label"] == expected
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text())["no_label"] == expected
    ids = [row["id"] for row in table(tmp_path / "out")]
    assert ids[:10] == [f"d{i}" for i in range(10)]
    assert ids[10:20] == [None] * 10
    assert ids[20:] == [None if i % 4 == 0 else str(i) for i in range(10)]
    unread = Source([str(corpus)], id_column="")
    assert run(corpus, tmp_path / "none", source=unread)["no_label"] == []


def test_the_command_says_how_many_ids_there_are_not(tmp_path, corpus, capsys):
    assert cli.main(["score", str(corpus), "-o", str(tmp_path / "out")]) == 0
    told = "no id: 13 rows of 2 files hold something else there, the first in "
    assert told in " ".join(capsys.readouterr().err.split())


def test_ids_that_were_asked_for_are_refused_before_the_first_row(tmp_path, corpus):
    with pytest.raises(CorpusError, match=r"b\.parquet: column 'id' has the type double, no label"):
        run(corpus, tmp_path / "out", source=Source([str(corpus)], id_column="id"))
    assert not (tmp_path / "out").exists()


def test_a_type_that_holds_no_text_is_refused_wherever_it_is(tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": "a"}])
    write_rows(tmp_path / "b.parquet", [{"text": ["a"], "body": "a"}])
    told = r"b\.parquet: column 'text' has the type list<.*these would do: 'body'"
    with pytest.raises(CorpusError, match=told):
        open_inputs(Source([str(tmp_path)]))
    (bad,) = open_inputs(Source([str(tmp_path)], on_bad_shard="skip")).bad.values()
    assert "'body'" in bad


def test_files_without_one_text_are_refused(tmp_path):
    pq.write_table(pa.table({"text": pa.nulls(3)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": pa.nulls(2)}), tmp_path / "b.parquet")
    with pytest.raises(CorpusError, match=r"a\.parquet: column 'text' has the type null"):
        open_inputs(Source([str(tmp_path)]))
    write_rows(tmp_path / "c.jsonl", [{"text": "a"}])
    assert run(tmp_path, tmp_path / "out")["rows"] == 6


def test_the_dry_run_says_so_too(tmp_path, capsys):
    write_rows(tmp_path / "b.parquet", [{"text": ["a"], "body": "a"}])
    assert cli.main(["score", str(tmp_path), "--dry-run"]) == 1
    assert "column 'text' has the type list<" in capsys.readouterr().err


@pytest.mark.parametrize(
    "suffix", [".arrow", ".feather", ".array.json", ".csv.gz", ".tsv", ".jsonl"]
)
def test_every_format_is_run_and_expected(tmp_path, tiny_folder, monkeypatch, suffix):
    """With a kept column, interrupted and gone on with, and dry."""
    monkeypatch.setattr(dry_run, "SAMPLE_SECONDS", 0.1)
    rows = [{"text": f"text {i}", "id": i, "n": i / 2} for i in range(30)]
    path = write_rows(tmp_path / f"a{suffix}", rows)
    source = Source([str(path)], keep_columns=["n"])
    interrupted(tmp_path, tmp_path / "out", source=source)
    assert run(tmp_path, tmp_path / "out", source=source)["rows"] == 30
    found = table(tmp_path / "out")
    assert [row["id"] for row in found] == [str(i) for i in range(30)]
    is_table = suffix in (".arrow", ".feather")
    assert [row["n"] for row in found] == [i / 2 if is_table else str(i / 2) for i in range(30)]
    model = ai.load(tiny_folder, precision="fp32")
    expected = dry_run.dry_run(source, model=model, heads=[(1, 1)])
    assert (expected["documents"], expected["bad_files"]) == (30, [])
    assert expected["no_label"] == []


def test_a_dry_run_tells_of_ids_that_are_none(corpus, tiny_folder, monkeypatch):
    monkeypatch.setattr(dry_run, "SAMPLE_SECONDS", float("inf"))
    model = ai.load(tiny_folder, precision="fp32")
    expected = dry_run.dry_run(Source([str(corpus)]), model=model, heads=[(1, 1)])
    assert expected["sampled_documents"] == 30
    assert expected["no_label"] == [
        {"column": "id", "rows": 13, "files": 2, "first_file": str(corpus / "b.parquet")}
    ]


@pytest.mark.parametrize("option", [["--text-column", ""], ["--keep-columns", '["", "n"]']])
def test_an_empty_name_is_no_column_even_where_a_file_has_one(tmp_path, capsys, option):
    table = pa.table({"": ["a text"], "text": ["another"], "n": [1]})
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text(",text,n\n0,a text,1\n")  # as pandas writes an index
    for name in ("a.parquet", "b.csv"):
        output = tmp_path / "out"
        assert cli.main(["score", str(tmp_path / name), "-o", str(output), *option]) == 2
        assert "empty name" in capsys.readouterr().err
        assert not output.exists()
