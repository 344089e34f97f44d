"""What a page says of inputs that were not read."""

from __future__ import annotations

from attninfluence.report import write_report
from tests.kit.score_tables import score_row, write_scores
from tests.report.test_report import section


def test_what_was_passed_over_is_among_the_facts(tmp_path):
    entry = {"reason": "another kind of file", "count": 2, "names": ["a.md", "<b>.md"]}
    totals = {"passed_over": [{**entry, "suffixes": {".md": 2}}]}
    rows = [score_row("a.jsonl", row, score=float(row)) for row in range(4)]
    write_scores(tmp_path / "out", [rows], totals=totals)
    page = write_report(tmp_path / "out", tmp_path / "report.html").read_text("utf-8")
    facts = section(page, "run")
    assert "passed over" in facts
    assert "2 (another kind of file; .md 2): a.md, &lt;b&gt;.md" in facts
