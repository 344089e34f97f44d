"""A bad input found late, mended, and the same command again."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from attninfluence.corpus import CorpusError
from attninfluence.mix.write import mix
from attninfluence.output.files import OutputError
from attninfluence.output.score_runs import open_scores
from attninfluence.run.folder import ResumableFolder
from attninfluence.run.shards import Shard
from attninfluence.run.source import Source
from attninfluence.run.state import FileTotals
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.corpus.test_corpus import write_rows
from tests.kit.closed_folder import close_folder
from tests.run.test_resume import make_corpus, outcome, run, table
from tests.run.test_score_files import stand_in

BAD = "b2.jsonl.gz"
ROWS = 130  # of more text than is looked at for the columns


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", stand_in)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four files, of which the third is cut near its end."""
    folder = make_corpus(tmp_path / "corpus")
    mend(folder)
    (folder / BAD).write_bytes((folder / BAD).read_bytes()[:-20])
    return folder


def mend(corpus: Path, letters: int = 4000) -> None:
    rows = [{"id": str(i), "text": os.urandom(letters // 2).hex()} for i in range(ROWS)]
    write_rows(corpus / BAD, rows)


def stopped(corpus: Path, out: Path) -> None:
    """The run, which stops at the bad file and keeps what came before."""
    with pytest.raises(CorpusError, match=f"{BAD}: the compressed file is damaged"):
        run(corpus, out)
    assert len(list(out.glob("part-*"))) == 3


def files_of(totals: dict[str, Any]) -> dict[str, int]:
    return {Path(entry["file"]).name: entry["rows"] for entry in totals["files"]}


def test_a_mended_file_is_gone_on_with(tmp_path, corpus):
    out = tmp_path / "out"
    stopped(corpus, out)
    mend(corpus)
    totals = run(corpus, out)
    assert files_of(totals) == {"a.jsonl": 12, "b.parquet": 10, BAD: ROWS, "c.jsonl.gz": 8}
    assert totals["bad_files"] == []
    run(corpus, tmp_path / "uninterrupted")
    assert outcome(out) == outcome(tmp_path / "uninterrupted")
    assert run(corpus, out)["rows"] == 30 + ROWS  # told again


def test_so_is_one_that_was_skipped_when_no_row_after_it_was_scored(tmp_path, corpus, monkeypatch):
    """What the checkpoint says of it does not stay."""
    (corpus / "c.jsonl.gz").unlink()
    out, source = tmp_path / "out", Source([str(corpus)], on_bad_shard="skip")

    def finish(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(ResumableFolder, "finish", finish)
        with pytest.raises(KeyboardInterrupt):
            run(corpus, out, source=source, checkpoint_seconds=99.0)
    mend(corpus)
    totals = run(corpus, out, source=source)
    assert totals["bad_files"] == []
    assert totals["rows"] == 22 + ROWS


def test_another_size_may_be_skipped(tmp_path, corpus):
    out = tmp_path / "out"
    stopped(corpus, out)
    (corpus / BAD).write_bytes((corpus / BAD).read_bytes()[:-5])
    totals = run(corpus, out, source=Source([str(corpus)], on_bad_shard="skip"))
    assert files_of(totals) == {"a.jsonl": 12, "b.parquet": 10, "c.jsonl.gz": 8}


def test_what_was_scored_must_stay(tmp_path, corpus):
    out = tmp_path / "out"
    stopped(corpus, out)
    mend(corpus)
    before = (corpus / "a.jsonl").stat()
    with (corpus / "a.jsonl").open("ab") as file:
        file.write(b"\n")
    os.utime(corpus / "a.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CorpusError, match=r"a\.jsonl: has changed since rows of it were scored"):
        run(corpus, out)


def test_a_run_of_before_sizes_were_kept_by_file_goes_on(tmp_path, corpus, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr("attninfluence.run.writer.FileTotals", _without_bytes)
    stopped(corpus, out)
    monkeypatch.undo()
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", stand_in)
    mend(corpus)
    assert run(corpus, out)["rows"] == 30 + ROWS


def _without_bytes(*arguments: Any, bytes: int, **others: Any) -> FileTotals:
    return FileTotals(*arguments, **others)


def test_shards_stay_what_they_were(tmp_path, corpus):
    """Their borders come from sizes, and another size of one file would move them all."""
    write_rows(corpus / "a.jsonl", [{"text": "x" * 9000} for _ in range(90)])
    outs = [tmp_path / f"out{index}" for index in range(6)]
    sources = [Source([str(corpus)], shard=Shard(index, 6)) for index in range(6)]
    refused = []
    for out, source in zip(outs, sources, strict=True):
        try:
            run(corpus, out, source=source)
        except CorpusError:
            refused.append(out)
    assert 0 < len(refused) < 6
    mend(corpus, letters=8000)
    for out, source in zip(outs, sources, strict=True):
        run(corpus, out, source=source)
    runs = open_scores(outs)
    rows = [(row["file"], row["row"]) for part in runs.tables() for row in part.to_pylist()]
    run(corpus, tmp_path / "whole")
    assert rows == [(row["file"], row["row"]) for row in table(tmp_path / "whole")]


def test_a_file_scored_apart_after_it_was_skipped_is_in_the_mix(tmp_path, corpus):
    run(corpus, tmp_path / "one", source=Source([str(corpus)], on_bad_shard="skip"))
    mend(corpus)
    run(corpus, tmp_path / "two", source=Source([str(corpus / BAD)]))
    both = [tmp_path / "one", tmp_path / "two"]
    assert open_scores(both).totals["bad_files"] == []
    assert open_scores(both[:1]).totals["bad_files"] != []
    select(both, tmp_path / "sel", Rule(Fraction(1, 3)))
    assert mix(tmp_path / "sel", tmp_path / "mix")["all"]["corpus_documents"] == 30 + ROWS


def test_a_file_that_one_shard_skipped_stays_bad(tmp_path, corpus):
    names = [str(corpus / BAD)]
    shards = [Source(names, shard=Shard(index, 2), on_bad_shard="skip") for index in range(2)]
    run(corpus, tmp_path / "0", source=shards[0])
    mend(corpus)
    run(corpus, tmp_path / "1", source=shards[1])
    with pytest.raises(OutputError, match="its input files"):
        open_scores([tmp_path / "0", tmp_path / "1"])


def test_a_file_that_shards_skipped_is_scored_apart(tmp_path, corpus):
    for index in range(2):
        source = Source([str(corpus)], shard=Shard(index, 2), on_bad_shard="skip")
        run(corpus, tmp_path / str(index), source=source)
    mend(corpus)
    run(corpus, tmp_path / "two", source=Source([str(corpus / BAD)]))
    folders = [tmp_path / name for name in ("two", "1", "0")]
    joined = open_scores(folders)
    assert [run.path.name for run in joined.runs] == ["0", "1", "two"]
    assert joined.totals["bad_files"] == []
    select(folders, tmp_path / "sel", Rule(Fraction(1, 3)))
    assert mix(tmp_path / "sel", tmp_path / "mix")["all"]["corpus_documents"] == 30 + ROWS
    run(corpus, tmp_path / "again", source=Source([str(corpus / "a.jsonl")]))
    with pytest.raises(OutputError, match=r"again: the input file .*a\.jsonl is also in .*0; its"):
        open_scores([*folders, tmp_path / "again"])


def test_a_mix_looks_for_the_bytes_that_were_scored(tmp_path, corpus):
    stopped(corpus, tmp_path / "out")
    mend(corpus)
    run(corpus, tmp_path / "out")
    select(tmp_path / "out", tmp_path / "sel", Rule(Fraction(1, 3)))
    assert mix(tmp_path / "sel", tmp_path / "mix")["all"]["corpus_documents"] == 30 + ROWS


# -------------------------------------------------------------- what is told of the inputs


def test_the_totals_name_what_was_passed_over(tmp_path, corpus):
    mend(corpus)
    (corpus / "README.md").touch()
    run(corpus, corpus / "scores", keep_text=True)
    assert run(corpus, corpus / "scores", keep_text=True)["rows"] == 30 + ROWS
    totals = run(corpus, tmp_path / "again", source=Source([str(corpus), str(corpus / "*")]))
    assert totals["rows"] == 30 + ROWS
    told = {entry["reason"]: entry["names"] for entry in totals["passed_over"]}
    assert told == {
        "another kind of file": [str(corpus / "README.md")],
        "written by attninfluence": [str(corpus / "scores")],
    }
    assert json.loads((tmp_path / "again" / "_SUCCESS").read_text())["passed_over"]


def test_a_folder_that_cannot_be_listed_counts_as_a_bad_file(tmp_path, corpus, monkeypatch):
    mend(corpus)
    (corpus / "closed").mkdir()
    close_folder(monkeypatch, "closed")
    with pytest.raises(CorpusError, match=r"closed: the folder cannot be listed \(Permission den"):
        run(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    totals = run(corpus, tmp_path / "out", source=Source([str(corpus)], on_bad_shard="skip"))
    assert totals["rows"] == 30 + ROWS
    (bad,) = totals["bad_files"]
    assert bad["file"] == str(corpus / "closed")


def test_a_run_needs_an_input():
    with pytest.raises(ValueError, match="name at least one input"):
        Source([])
