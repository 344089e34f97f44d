"""Folders whose files were damaged, or made up by somebody: a sentence names what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attninfluence.mix.write import mix
from attninfluence.output import files as files_module
from attninfluence.output.files import OutputError
from attninfluence.output.finished import open_finished
from attninfluence.output.score_runs import open_scores
from attninfluence.report import write_report
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.kit.score_tables import score_row, write_scores

HUGE = 10**15


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.jsonl").write_text('{"text": "a"}\n' * 6)
    rows = [score_row("a.jsonl", row, score=float(row), domain="xy"[row % 2]) for row in range(6)]
    return write_scores(tmp_path / "scores", [rows[:3], rows[3:]], corpus)


@pytest.fixture
def selection(scores: Path) -> Path:
    select(scores, scores.parent / "sel", Rule(Fraction(1, 2)))
    return scores.parent / "sel"


def change(path: Path, **fields: Any) -> None:
    """Set fields of a JSON file; dots lead into objects and, by number, lists; None takes away."""
    value = json.loads(path.read_text())
    for name, new in fields.items():
        *outer, last = [int(key) if key.isdecimal() else key for key in name.split(".")]
        inner = value
        for key in outer:
            inner = inner[key]
        if new is None:
            del inner[last]
        else:
            inner[last] = new
    path.write_text(json.dumps(value))


def change_part(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def set_value(name: str, value: Any, at: int = 0) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        column = table.column_names.index(name)
        kind = table.schema.field(name).type
        values = table[name].to_pylist()
        values[at] = value
        return table.set_column(column, pa.field(name, kind), pa.array(values, kind))

    return change


def use(folder: Path) -> None:
    """What reads scores, all of it."""
    select(folder, folder.parent / "new", Rule(Fraction(1, 2)))
    write_report(folder, folder.parent / "r.html")


RUN_JSON = {
    "run_id": ("../../x", 'run_id must be an id of up to 64 letters and digits, found "../../x"'),
    "folder": ("", 'folder must be the name of a file, found ""'),
    "inputs": ({}, "inputs must be a list, found an object of 0"),
    "inputs.0.bytes": (-1, "inputs[0].bytes must be a whole number from 0 to 9007199254740992,"),
    "scoring": ({"heads": [[1]]}, "scoring.heads[0] must be a list of 2, found a list of 1"),
    "model": ({"path": "\0"}, r'model.path must be the name of a file, found "\u0000"'),
    "shard": ({"index": 0, "count": HUGE}, "shard.count must be a whole number from 1 to 1000000"),
    "columns": ([], "columns must be an object, found a list of 0"),
    "limit": ("5", 'limit must be a whole number from 0 to 9007199254740992, found "5"'),
}
SUCCESS = {
    "parts": (-1, "parts must be a whole number from 0 to 9007199254740992, found -1"),
    "rows": (1e308, "rows must be a whole number from 0 to 9007199254740992, found 1e+308"),
    "statuses": ([], "statuses must be an object, found a list of 0"),
    "domains.0.statuses": ({"ok": True}, "domains[0].statuses.ok must be a whole number from"),
    "files.0.file": (7, "files[0].file must be the name of a file, found 7"),
    "bad_files": ([{}], "bad_files[0].file is missing"),
    "passed_over": ([1], "passed_over[0] must be an object, found 1"),
    "kernels": ({"k": 2**62}, "kernels.k must be a whole number from 0 to 9007199254740992"),
    "seconds": (True, "seconds must be a number from 0 to 1e+15, found true"),
}


@pytest.mark.parametrize(
    ("file", "field"),
    [*(("run.json", name) for name in RUN_JSON), *(("_SUCCESS", name) for name in SUCCESS)],
)
def test_a_field_that_cannot_be_is_named(scores: Path, file: str, field: str) -> None:
    value, told = (RUN_JSON if file == "run.json" else SUCCESS)[field]
    change(scores / file, **{field: value})
    with pytest.raises(OutputError) as found:
        open_scores(scores)
    assert str(found.value).startswith(f"{scores / file}: {told}")
    assert str(found.value).endswith("; the file is damaged")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": 1, "a": 2}', '{"rows": NaN}', "\xff"])
@pytest.mark.parametrize("file", ["run.json", "_SUCCESS"])
def test_what_is_not_json_is_told(scores: Path, file: str, text: str) -> None:
    (scores / file).write_text(text, encoding="latin-1")
    with pytest.raises(OutputError, match=rf"{file}: not "):
        open_scores(scores)


def test_a_fifo_is_not_waited_for(scores: Path) -> None:
    for name, told in (("part-00001.parquet", "expected a regular file"), ("run.json", "run.json")):
        (scores / name).unlink()
        os.mkfifo(scores / name)
        with pytest.raises(OutputError, match=told):
            use(scores)


def test_parts_are_looked_for_before_they_are_listed(scores: Path) -> None:
    change(scores / "_SUCCESS", parts=HUGE)
    with pytest.raises(OutputError, match=r"part-00002\.parquet: missing, though _SUCCESS counts"):
        open_scores(scores)


NUMBERS = {
    "n_tokens": (-1, "column 'n_tokens' must hold whole numbers from 0 to 1099511627776, found -1"),
    "n_scored": (2**62, f"column 'n_scored' must hold whole numbers from 0 to .*, found {2**62}"),
    "row": (None, "column 'row' must have a value in every row, found null"),
    "status": (None, "column 'status' must have a value in every row, found null"),
    "score": (1e308, r"column 'score' must hold numbers of a size of up to 1e\+100, found 1e\+308"),
    "ref_loss": (float("nan"), "column 'ref_loss' must hold numbers .*, found nan"),
    "base_loss": (None, "column 'base_loss' must have a number where there is a score"),
}


@pytest.mark.parametrize("column", NUMBERS)
def test_a_value_that_cannot_be_is_named(scores: Path, column: str) -> None:
    value, told = NUMBERS[column]
    change_part(scores / "part-00001.parquet", set_value(column, value, 1))
    with pytest.raises(OutputError, match=rf"part-00001\.parquet: {told}"):
        use(scores)
    run = open_finished(scores, "scores")
    with pytest.raises(OutputError, match=told):
        run.rows_at([4])


def test_the_largest_numbers_are_read(scores: Path) -> None:
    for score, at in ((1e100, 0), (-1e100, 1), (1e-320, 2)):
        change_part(scores / "part-00000.parquet", set_value("score", score, at))
    use(scores)
    for name in ("score", "base_loss"):
        rule = Rule(Fraction(1, 2), rank_by=name, temperature=1.0)
        select(scores, scores.parent / name, rule)


@pytest.mark.parametrize("tokens", [11, 9, 1 << 40])
def test_tokens_are_those_of_the_totals(scores: Path, tokens: int) -> None:
    change_part(scores / "part-00001.parquet", set_value("n_tokens", tokens))
    with pytest.raises(OutputError, match=f"_SUCCESS promises 60 tokens, found {50 + tokens}"):
        use(scores)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"domains.0.rows": 4}, "domains must add up to 6 rows, found 7"),
        ({"domains.1.tokens": 31}, "domains must add up to 60 tokens, found 61"),
        ({"domains.0.statuses.ok": 2}, "the statuses of domains must add up to 6 rows, found 5"),
        ({"statuses.empty": 3}, "statuses must add up to 6 rows, found 9"),
        ({"files.0.rows": 7}, "files must add up to 6 rows, found 7"),
        ({"files.0.tokens": 0}, "files must add up to 60 tokens, found 0"),
    ],
)
def test_totals_that_do_not_add_up_are_refused(
    scores: Path, fields: dict[str, Any], told: str
) -> None:
    change(scores / "_SUCCESS", **fields)
    with pytest.raises(OutputError, match=f"_SUCCESS: {told}; the file is damaged"):
        open_finished(scores, "scores")


COLUMNS: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "missing": (lambda t: t.drop_columns(["score"]), "has no column 'score'"),
    "renamed": (
        lambda t: t.rename_columns([f"{name}_" for name in t.column_names]),
        "has no column 'file'",
    ),
    "twice": (lambda t: t.append_column("score", t["score"]), "has the column 'score' twice"),
    "another type": (
        lambda t: t.set_column(4, "n_tokens", t["n_tokens"].cast(pa.float64())),
        "column 'n_tokens' must be of int64, found double",
    ),
    "more": (
        lambda t: t.append_column("more", t["score"]),
        "its columns are not those of the first part of the run",
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_that_are_not_those_of_scores_are_named(scores: Path, name: str) -> None:
    change, told = COLUMNS[name]
    change_part(scores / "part-00001.parquet", change)
    with pytest.raises(OutputError, match=rf"part-00001\.parquet: {told}"):
        use(scores)


def test_text_that_is_no_utf8_is_told(scores: Path) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        spoilt = pa.array([b"\xff"] * len(table)).view(pa.string())
        return table.set_column(3, table.schema.field(3), spoilt)

    change_part(scores / "part-00001.parquet", spoil)
    with pytest.raises(OutputError, match=r"part-00001\.parquet: not a readable Parquet file"):
        use(scores)


@pytest.mark.parametrize("size", [0, 4, 500, -4])
def test_a_part_that_was_cut_is_told(scores: Path, size: int) -> None:
    part = scores / "part-00001.parquet"
    part.write_bytes(part.read_bytes()[:size])
    with pytest.raises(OutputError, match=r"part-00001\.parquet: not a readable Parquet file"):
        use(scores)


MIXED = {
    "run.json": {
        "scores.inputs": None,
        "scores.inputs.0.folder": None,
        "scores.missing_shards": [None],
        "scores_totals.files.0.rows": -1,
        "scores_totals.domains": None,
        "scores.runs": [{"limit": "x"}],
        "scores.inputs.0.file": "b.jsonl",
        "scores_totals": [],
    },
    "_SUCCESS": {"tokens": None, "rows": "3"},
}


@pytest.mark.parametrize(
    ("file", "field"), [(file, field) for file, fields in MIXED.items() for field in fields]
)
def test_a_selection_without_what_a_mix_needs_is_refused(
    selection: Path, file: str, field: str
) -> None:
    change(selection / file, **{field: MIXED[file][field]})
    with pytest.raises(OutputError, match=rf"sel/{file}: .*; the file is damaged"):
        mix(selection, selection.parent / "mix")
    assert not (selection.parent / "mix").exists()


def test_a_shard_that_is_none_is_refused(tmp_path: Path) -> None:
    folders = [
        write_scores(
            tmp_path / str(at),
            [[score_row("a.jsonl", at)]],
            shard={"index": at + 1, "count": 2},
        )
        for at in range(2)
    ]
    with pytest.raises(OutputError, match="is shard 2 of 2, which does not exist"):
        open_scores(folders)


def test_a_run_json_that_could_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(files_module.MOST_RUN_BYTES, "scores", 1000)
    write_scores(tmp_path / "small", [])
    inputs = [{"file": "a.jsonl", "bytes": 1}] * 100
    with pytest.raises(OutputError, match=r"run\.json: would have 0 MiB, and 0 are read; divide"):
        write_scores(tmp_path / "large", [], inputs=inputs)
    assert os.listdir(tmp_path / "large") == []
