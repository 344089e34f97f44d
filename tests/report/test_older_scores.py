"""Scores from before `partly_counted`, selected from and reported on."""

from __future__ import annotations

import pyarrow.parquet as pq

from attninfluence.report.write import write_report
from attninfluence.select.rule import Rule
from attninfluence.select.selector import select
from tests.kit.score_tables import older, score_row, write_scores


def test_older_scores_are_selected_from_and_reported_on(tmp_path):
    rows = [score_row("a", row, score=float(row)) for row in range(6)]
    scoring = {"mask": "uniform", "heads": [[1, 0]], "control": None, "kernel": "avx2"}
    folder = older(
        write_scores(tmp_path / "s", [rows], scoring=scoring, model={"fingerprint": "f"})
    )
    select(folder, tmp_path / "selected", Rule(fraction=0.5))
    selected = pq.read_table(tmp_path / "selected" / "part-00000.parquet")
    assert selected["partly_counted"].to_pylist() == [False] * 3
    assert write_report(folder, tmp_path / "report.html").is_file()


def test_a_report_of_partly_counted_rows_has_over_so_many_tokens(tmp_path):
    rows = [score_row("a", row, score=float(row), partly_counted=row > 1) for row in range(3)]
    scoring = {"mask": "uniform", "heads": [[1, 0]], "control": None, "kernel": "avx2"}
    totals = {"partly_counted": 1}
    folder = write_scores(
        tmp_path / "s", [rows], totals=totals, scoring=scoring, model={"fingerprint": "f"}
    )
    page = write_report(folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "over 30" in page
