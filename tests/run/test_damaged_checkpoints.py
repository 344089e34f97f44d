"""Checkpoints and examples that were damaged, or made up: a run refuses them in words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attninfluence.output.files import OutputError
from attninfluence.run.checkpoint import read_examples
from tests.run.test_resume import make_corpus, run
from tests.run.test_score_files import stand_in


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", stand_in)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run that was killed before its _SUCCESS."""
    run(make_corpus(tmp_path / "corpus"), tmp_path / "out")
    parts = len(list((tmp_path / "out").glob("part-*")))
    (tmp_path / "out/_SUCCESS").unlink()
    (tmp_path / "out/_examples.parquet").rename(checkpoint_of(tmp_path / "out", parts))
    return tmp_path / "out"


def checkpoint_of(out: Path, parts: int = 5) -> Path:
    return out / f".checkpoint-{parts:05d}.parquet"


def again(out: Path) -> dict[str, Any]:
    return run(out.parent / "corpus", out)


def change(path: Path, changed: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(path)
    pq.write_table(changed(table).replace_schema_metadata(table.schema.metadata), path)


def with_value(table: pa.Table, name: str, at: int, value: Any) -> pa.Table:
    field = table.schema.field(name)
    values = table[name].to_pylist()
    values[at] = value
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


def change_state(path: Path, change_it: Callable[[dict[str, Any]], Any]) -> None:
    def changed(table: pa.Table) -> pa.Table:
        state = json.loads(table["state"][0].as_py())
        change_it(state)
        return with_value(table, "state", 0, json.dumps(state).encode())

    change(path, changed)


STATES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no place": (lambda s: s.pop("next"), "next is missing"),
    "a place before the first": (lambda s: s.update(next=[0, -1]), r"next\[1\] must be a whole"),
    "a place in no input": (lambda s: s.update(next=[3, 0]), "input must be one of 3, .* found 3"),
    "a file that is no input": (
        lambda s: s["files"].update({"7": s["files"]["0"]}),
        "input must be one of 3, from 0, found 7",
    ),
    "a bad file that is no input": (
        lambda s: s["bad_files"].update({"123456789": "bad"}),
        "input must be one of 3, from 0, found 123456789",
    ),
    "a file of no number": (
        lambda s: s["files"].update({"-1": s["files"]["0"]}),
        'a name in files must be the number of an input file, found "-1"',
    ),
    "totals that are none": (lambda s: s.update(totals=[]), "totals must be an object"),
    "rows below none": (
        lambda s: s["totals"]["domains"][0]["statuses"].update(ok=-1),
        r"totals.domains\[0\].statuses.ok must be a whole number",
    ),
    "time of a word": (lambda s: s.update(seconds="long"), "seconds must be a number"),
    "a time of change beyond all": (
        lambda s: s["files"]["0"].update(modified=1 << 70),
        "files.0.modified must be a whole number",
    ),
    "no digest": (lambda s: s["files"]["0"].pop("digest"), "files.0.digest is missing"),
    "rows that do not add up": (
        lambda s: s["files"]["0"].update(rows=s["files"]["0"]["rows"] + 7),
        "files must be of 30 rows, as its domains are, found 37",
    ),
    "tokens that do not add up": (
        lambda s: s["files"]["0"].update(tokens=0),
        "files must be of [0-9]+ tokens, as its domains are, found",
    ),
    "a file that was read and left out": (
        lambda s: s["bad_files"].update({"0": "bad"}),
        "bad_files must be files of which nothing was read",
    ),
    "kernels in a list": (lambda s: s.update(kernels=[]), "kernels must be an object"),
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_that_cannot_be_is_refused(out: Path, name: str) -> None:
    change_it, told = STATES[name]
    change_state(checkpoint_of(out), change_it)
    before = sorted(os.listdir(out))
    with pytest.raises(OutputError, match=rf"-00005\.parquet: state: .*{told}.*damaged"):
        again(out)
    assert sorted(os.listdir(out)) == before


@pytest.mark.parametrize("at", [[0, 3], [1, 0], [2, 1 << 40]])
def test_a_place_that_is_not_after_the_last_row_is_refused(out: Path, at: list[int]) -> None:
    change_state(checkpoint_of(out), lambda state: state.update(next=at))
    before = sorted(os.listdir(out))
    with pytest.raises(OutputError, match=r"part-00004\.parquet: its last row is row .* damaged"):
        again(out)
    assert sorted(os.listdir(out)) == before


def test_a_state_with_a_field_of_later_is_read(out: Path) -> None:
    change_state(checkpoint_of(out), lambda state: state["files"]["0"].update(later=1))
    assert again(out)["rows"] == 30


@pytest.mark.parametrize("stored", [None, b"", b"[]", b"[" * 100_000, b'{"next": NaN}', b"\xff"])
def test_a_state_that_is_no_object_is_refused(out: Path, stored: bytes | None) -> None:
    change(checkpoint_of(out), lambda table: with_value(table, "state", 0, stored))
    with pytest.raises(OutputError, match=r"checkpoint-00005\.parquet: state: .*damaged"):
        again(out)


TABLES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "no rows": (lambda t: t.slice(0, 0), "state: not valid JSON"),
    "a column less": (lambda t: t.drop_columns(["text"]), "is not the checkpoint of the run"),
    "a column of another type": (
        lambda t: t.set_column(1, "row", t["row"].cast(pa.int32())),
        "is not the checkpoint of the run",
    ),
    "no score": (lambda t: with_value(t, "score", 1, None), "score must be there in every row"),
    "an endless score": (
        lambda t: with_value(t, "score", 1, float("inf")),
        "score must be a number",
    ),
    "a row before the first": (lambda t: with_value(t, "row", 1, -1), "row must be a whole number"),
    "offsets of no token": (
        lambda t: with_value(t, "offsets", 1, [0]),
        "offsets must be 2 for each of .* tokens, found 1",
    ),
    "offsets beyond the text": (
        lambda t: with_value(t, "offsets", 1, [1 << 30] * len(t["offsets"][1])),
        "offsets must be places in .* characters",
    ),
    "a token of no number": (
        lambda t: with_value(t, "token_ids", 1, [None] * len(t["token_ids"][1])),
        "token_ids must be numbers",
    ),
    "a loss of no number": (
        lambda t: with_value(t, "losses", 1, [None] * len(t["losses"][1])),
        "losses must be numbers",
    ),
    "losses of no token": (
        lambda t: with_value(t, "losses", 1, [0.5]),
        "losses must be 2 for each of .* tokens, found 1",
    ),
    "readings without end": (
        lambda t: with_value(t, "readings", 1, 1 << 40),
        "readings must be 2 or 3",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_examples_that_cannot_be_are_refused(out: Path, name: str) -> None:
    changed, told = TABLES[name]
    change(checkpoint_of(out), changed)
    with pytest.raises(OutputError, match=rf"checkpoint-00005\.parquet: {told}"):
        again(out)
    os.rename(checkpoint_of(out), out / "_examples.parquet")
    if name != "no rows":  # which are no examples either
        with pytest.raises(OutputError, match=rf"_examples\.parquet: {told}"):
            read_examples(out, json.loads((out / "run.json").read_text())["run_id"])


def test_a_checkpoint_that_is_a_fifo_is_not_waited_for(out: Path) -> None:
    checkpoint_of(out).unlink()
    os.mkfifo(checkpoint_of(out))
    with pytest.raises(OutputError, match=r"checkpoint-00005\.parquet: expected a regular file"):
        again(out)


RECORDED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "inputs": (lambda run: run.update(inputs=[1]), r"inputs\[0\] must be an object, found 1"),
    "an input twice": (
        lambda run: run["inputs"].append(run["inputs"][0]),
        "names an input file twice; the file is damaged",
    ),
    "model": (lambda run: run.update(model=[]), "model must be an object, found a list of 0"),
    "no id": (lambda run: run.pop("run_id"), "run_id is missing"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_run_json_that_cannot_be_is_refused(out: Path, name: str) -> None:
    change_it, told = RECORDED[name]
    recorded = json.loads((out / "run.json").read_text())
    change_it(recorded)
    (out / "run.json").write_text(json.dumps(recorded))
    with pytest.raises(OutputError, match=rf"run\.json: {told}"):
        again(out)


def test_totals_that_are_told_are_looked_at(out: Path) -> None:
    again(out)
    totals = json.loads((out / "_SUCCESS").read_text()) | {"partly_counted": []}
    (out / "_SUCCESS").write_text(json.dumps(totals))
    with pytest.raises(OutputError, match="_SUCCESS: partly_counted must be a whole number"):
        again(out)


@pytest.mark.parametrize("name", ["seconds", "domains", "bad_files", "repeated_ids", "files"])
def test_totals_that_lack_what_is_told_of_them_are_refused(out: Path, name: str) -> None:
    again(out)
    totals = json.loads((out / "_SUCCESS").read_text())
    del totals[name]
    (out / "_SUCCESS").write_text(json.dumps(totals))
    with pytest.raises(OutputError, match=rf"_SUCCESS: {name} is missing"):
        again(out)
