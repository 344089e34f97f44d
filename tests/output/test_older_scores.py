"""Scores from before `partly_counted`: read, joined and gone on with as what they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from attninfluence.output.files import OutputError
from attninfluence.output.finished import open_finished
from attninfluence.output.schema import score_schema
from attninfluence.output.score_runs import open_scores
from attninfluence.output.tally import Tally
from tests.kit.score_tables import older, score_row, write_scores

SCORING = {"mask": "uniform", "heads": [[1, 0]], "control": None, "kernel": "avx2"}


def scores(path: Path, file: str, **scoring: str) -> Path:
    rows = [[score_row(file, row, score=float(row)) for row in range(at, at + 3)] for at in (0, 3)]
    return write_scores(path, rows, scoring=SCORING | scoring, model={"fingerprint": "f"})


@pytest.mark.parametrize("parts", [1, 2])  # a run that went on has both kinds
def test_an_older_table_is_read_with_the_column(tmp_path, parts):
    run = open_finished(older(scores(tmp_path / "s", "a"), parts), "scores")
    table = pa.concat_tables(run.tables())
    assert table.schema.equals(score_schema()) and run.schema().equals(score_schema())
    assert table["partly_counted"].to_pylist() == [False] * 6
    assert [row["partly_counted"] for row in run.rows_at([0, 5]).values()] == [False, False]
    assert table.select(["row"]).equals(pa.concat_tables(run.tables(["row"])))


def test_older_scores_join_those_that_count_whole_documents(tmp_path):
    first = older(scores(tmp_path / "old", "a"))
    runs = open_scores([first, scores(tmp_path / "new", "b", count="document")])
    table = pa.concat_tables(runs.tables())
    assert table.schema.equals(score_schema()) and len(table) == 12
    assert runs.totals["partly_counted"] == 0
    with pytest.raises(OutputError, match="scoring.count: 'document' there, 'window' here"):
        open_scores([first, scores(tmp_path / "other", "c", count="window")])


def test_partly_counted_rows_are_totalled():
    tally = Tally()
    tally.add("a", "ok", 10, 9)
    tally.add("a", "ok", 10, 9, True)
    other = Tally.from_summary(tally.summary())
    other.merge(tally)
    assert other.summary()["partly_counted"] == 2
    assert [entry["partly_counted"] for entry in other.summary()["domains"]] == [2]
