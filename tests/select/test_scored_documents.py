"""The numbers of score runs in memory."""

from __future__ import annotations

import numpy as np

from attninfluence.output.score_runs import open_scores
from attninfluence.select.in_memory import read_documents
from tests.kit.score_tables import score_row, write_scores


def test_documents_are_read_as_they_are(tmp_path):
    rows = [score_row("b", i, domain="yx"[i % 2], score=float(i % 3), n_tokens=i) for i in range(9)]
    rows += [score_row("a", 0, score=None), score_row("a", 1, domain="", score=0.0)]
    folder = write_scores(tmp_path / "out", [rows[:4], rows[4:]])
    found = read_documents(open_scores(folder))
    assert found.domains == [None, "", "x", "y"]
    assert [found.domains[code] for code in found.domain] == [row["domain"] for row in rows]
    for name in ("score", "base_loss", "n_tokens"):
        values = [np.nan if row[name] is None else row[name] for row in rows]
        np.testing.assert_array_equal(getattr(found, name), values)
    assert found.scored.tolist() == [row["status"] == "ok" for row in rows]
    assert [found.members(i).tolist() for i in range(4)] == [
        [],
        [10],
        [1, 3, 5, 7],
        [0, 2, 4, 6, 8],
    ]
    assert found.best_first(3).tolist() == [2, 8, 4, 0, 6]


def test_no_rows_are_no_documents(tmp_path):
    found = read_documents(open_scores(write_scores(tmp_path / "out", [[]])))
    assert (found.domains, len(found.score)) == ([], 0)
