"""Output folders: a part is there whole or not at all, whatever fails and whenever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attninfluence.output import part as part_module
from attninfluence.output.files import OutputError, write_json
from attninfluence.output.finished import open_finished
from attninfluence.output.folder import OutputFolder
from attninfluence.output.schema import score_schema
from tests.kit.child import ROOT
from tests.kit.score_tables import score_row, write_scores


def a_table(n: int) -> pa.Table:
    return pa.Table.from_pylist([score_row("a.jsonl", i) for i in range(n)], score_schema())


def write_run(path: Path, parts: int = 2, rows: int = 3) -> None:
    folder = OutputFolder(path, "scores")
    folder.start({"some": "options"})
    for _ in range(parts):
        with folder.part(score_schema()) as part:
            part.write(a_table(rows))
    folder.finish({"rows": parts * rows})


def test_columns_are_those_of_the_design():
    names = "file row id domain n_tokens n_scored base_loss ref_loss score status truncated"
    assert score_schema().names == [*names.split(), "repaired", "partly_counted"]
    more = score_schema(control=True, text=True).names[13:]
    assert more == ["control_loss", "control_score", "text"]


def test_finished_run_reads_back(tmp_path):
    write_run(tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == [
        "_SUCCESS",
        "part-00000.parquet",
        "part-00001.parquet",
        "run.json",
    ]
    run = open_finished(tmp_path / "out", "scores")
    assert run.run["some"] == "options"
    assert run.totals["rows"] == 6
    tables = list(run.tables(rows=2))
    assert [table.num_rows for table in tables] == [2, 1, 2, 1]
    assert pa.concat_tables(tables).to_pylist() == a_table(3).to_pylist() * 2
    assert run.schema().equals(score_schema())


def test_part_streams_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(part_module, "ROW_GROUP_ROWS", 10)
    folder = OutputFolder(tmp_path / "out", "scores")
    folder.start({})
    with folder.part(score_schema()) as part:
        for _ in range(9):
            part.write(a_table(4))
            assert sum(table.num_rows for table in part._pending) < 10
    metadata = pq.read_metadata(tmp_path / "out" / "part-00000.parquet")
    assert metadata.num_rows == 36
    assert metadata.num_row_groups == 3


def test_empty_part_is_a_part(tmp_path):
    folder = OutputFolder(tmp_path / "out", "scores")
    folder.start({})
    with folder.part(score_schema()):
        pass
    folder.finish({"rows": 0})
    assert sum(t.num_rows for t in open_finished(tmp_path / "out", "scores").tables()) == 0


@pytest.mark.parametrize("held", ["finished", "unfinished", "other"])
def test_used_folder_is_refused_and_left_alone(tmp_path, held):
    path = tmp_path / "out"
    if held == "other":
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    else:
        write_run(path)
        if held == "unfinished":
            (path / "_SUCCESS").unlink()
    before = {name: (path / name).read_bytes() for name in os.listdir(path)}
    sentence = {
        "finished": "holds a finished run",
        "unfinished": "holds a run that did not finish, or that another process still writes",
        "other": "is not empty .it holds 'notes.txt'.",
    }[held]
    with pytest.raises(OutputError, match=f"out: {sentence}; nothing is overwritten"):
        OutputFolder(path, "scores").start({})
    assert {name: (path / name).read_bytes() for name in os.listdir(path)} == before


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out: is a file"):
        OutputFolder(tmp_path / "out", "scores").check_unused()


class Crash(Exception):
    """Stands for a failing disk."""


def failing_at(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> None:
    """Let the given call of a function of os fail, counted from 0."""
    real, calls = getattr(os, name), iter(range(10**9))

    def fail(*arguments):
        if next(calls) == call:
            raise Crash(name)
        return real(*arguments)

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("name", ["replace", "fsync"])
@pytest.mark.parametrize("call", range(8))
def test_failure_at_each_step_publishes_only_whole_files(tmp_path, monkeypatch, name, call):
    path = tmp_path / "out"
    with monkeypatch.context() as patch:
        failing_at(patch, name, call)
        try:
            write_run(path)
            finished = True
        except Crash:
            finished = False
    names = os.listdir(path)
    assert not [name for name in names if name.endswith(".tmp")]
    for part in path.glob("part-*.parquet"):
        assert pq.read_metadata(part).num_rows == 3
    if "_SUCCESS" in names:
        assert open_finished(path, "scores").totals["rows"] == 6
        assert sum(table.num_rows for table in open_finished(path, "scores").tables()) == 6
    else:
        assert not finished
    assert finished == (call >= {"replace": 4, "fsync": 8}[name])


@pytest.mark.parametrize("call", range(4))
def test_kill_before_each_rename_leaves_no_half_file(tmp_path, call):
    """The process dies at once: temporary files may stay, but under names nobody reads."""
    program = f"""
import itertools, os, pathlib
from tests.output.test_output import write_run
real, calls = os.replace, itertools.count()
os.replace = lambda *a: os._exit(9) if next(calls) == {call} else real(*a)
write_run(pathlib.Path({str(tmp_path / "out")!r}))
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert killed.returncode == 9
    names = os.listdir(tmp_path / "out")
    assert "_SUCCESS" not in names
    assert [name for name in names if name.endswith(".tmp")]
    assert all(name.startswith(".") for name in names if name.endswith(".tmp"))
    parts = list((tmp_path / "out").glob("part-*.parquet"))
    assert len(parts) == max(call - 1, 0)
    assert all(pq.read_metadata(part).num_rows == 3 for part in parts)
    with pytest.raises(OutputError):
        open_finished(tmp_path / "out", "scores")
    with pytest.raises(OutputError, match="out: "):
        OutputFolder(tmp_path / "out", "scores").check_unused()


def test_error_inside_a_part_publishes_nothing(tmp_path):
    folder = OutputFolder(tmp_path / "out", "scores")
    folder.start({})

    def interrupted() -> None:
        with folder.part(score_schema()) as part:
            part.write(a_table(20_000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path / "out") == ["run.json"]
    assert folder.parts == 0


def test_row_count_is_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(pq.ParquetWriter, "write_table", lambda *_: None)
    folder = OutputFolder(tmp_path / "out", "scores")
    folder.start({})
    with (
        pytest.raises(OutputError, match="wrote 3 rows, read back 0"),
        folder.part(score_schema()) as part,
    ):
        part.write(a_table(3))
    assert os.listdir(tmp_path / "out") == ["run.json"]


def test_publishing_keeps_a_file_that_is_there(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(OutputError, match=r"a\.json: already exists"):
        write_json(tmp_path / "a.json", {"a": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_json_refuses_nan_and_keeps_any_text(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    value = {"path": "caf\u00e9 \udcff"}
    write_json(tmp_path / "b.json", value)
    assert json.loads((tmp_path / "b.json").read_bytes()) == value


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: (p / "_SUCCESS").unlink(), "no _SUCCESS: the run did not finish"),
        (lambda p: (p / "run.json").unlink(), "no run.json; expected a folder that `attninf"),
        (lambda p: (p / "run.json").write_text("{"), "run.json: not valid JSON"),
        (lambda p: (p / "part-00001.parquet").unlink(), "part-00001.parquet: missing"),
        (lambda p: (p / "part-00001.parquet").write_bytes(b"PAR1"), "not a readable Parquet"),
        (lambda p: change(p / "_SUCCESS", rows=7), "_SUCCESS promises 7 rows, found 6"),
        (lambda p: change(p / "_SUCCESS", run_id="x"), "are of different runs"),
        (lambda p: change(p / "run.json", version=1), "format version 1; this package reads 2"),
        (lambda p: change(p / "run.json", format="attninfluence-mix"), "says 'attninfluence-mix'"),
    ],
)
def test_damaged_run_is_refused(tmp_path, damage, sentence):
    write_run(tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(OutputError, match=sentence):
        list(open_finished(tmp_path / "out", "scores").tables())


def change(path: Path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_part_of_another_run_is_refused(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name)
    part = "part-00001.parquet"
    (tmp_path / "a" / part).write_bytes((tmp_path / "b" / part).read_bytes())
    with pytest.raises(OutputError, match="part-00001.parquet: belongs to run "):
        list(open_finished(tmp_path / "a", "scores").tables())


def test_helper_writes_what_the_package_reads(tmp_path):
    rows = [score_row("a", 0, domain="x"), score_row("a", 1, score=None)]
    run = open_finished(write_scores(tmp_path / "out", [rows]), "scores")
    assert run.totals["statuses"] == {"bad_type": 1, "ok": 1}
    assert [entry["domain"] for entry in run.totals["domains"]] == [None, "x"]
