"""What a page says of inputs that were not read, and of heads that scores lead to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attninfluence.report import write_report
from tests.kit.score_tables import score_row, write_scores
from tests.report.test_report import FINGERPRINT, make_run, section


def test_what_was_passed_over_is_among_the_facts(tmp_path):
    entry = {"reason": "another kind of file", "count": 2, "names": ["a.md", "<b>.md"]}
    totals = {"passed_over": [{**entry, "suffixes": {".md": 2}}]}
    rows = [score_row("a.jsonl", row, score=float(row)) for row in range(4)]
    write_scores(tmp_path / "out", [rows], totals=totals)
    page = write_report(tmp_path / "out", tmp_path / "report.html").read_text("utf-8")
    facts = section(page, "run")
    assert "passed over" in facts
    assert "2 (another kind of file; .md 2): a.md, &lt;b&gt;.md" in facts


@pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "deep", "not JSON"])
def test_stored_heads_that_nobody_can_read_are_none(tmp_path: Path, kind: str) -> None:
    """The scores name their folder, whoever wrote them: nothing there is waited for."""
    stored = tmp_path / "heads.json"
    if "fifo" in kind:
        os.mkfifo(place := (stored if kind == "fifo" else tmp_path / "fifo"))
        if place != stored:
            stored.symlink_to(place)
    else:
        stored.write_text("[" * (100_000 if kind == "deep" else 1))
    model = {"path": str(tmp_path), "fingerprint": FINGERPRINT}
    make_run(tmp_path / "scores", [{"score": 0.1}], model=model)
    page = write_report(tmp_path / "scores", tmp_path / "r.html").read_text("utf-8")
    assert "<svg" not in section(page, "heads")
