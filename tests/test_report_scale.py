"""A million rows: a page in under a minute, under 3 MB, and in memory of its own bound."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.child import ROOT
from tests.made_scores import make_columns, write_made
from tests.score_tables import score_row, write_scores
from tests.test_report import check_structure

CHILD = """
import json, sys, time
from attninfluence.report import write_report
from benchmarks.peak_memory import peak

small, scores, page = sys.argv[1:]
write_report(small, page)  # imports what it needs
before, started = peak(), time.process_time()
write_report(scores, page)
print(json.dumps({"bytes": peak() - before, "seconds": time.process_time() - started}))
"""


@pytest.mark.full
@pytest.mark.parametrize(("domains", "most"), [(50, 250e6), (20_000, 350e6)])
def test_a_million_rows_have_a_page(tmp_path, domains, most):
    """Seconds of the processor, all its cores together: the machine may have more to do."""
    folder = write_made(tmp_path / "out", make_columns(1_000_000, domains))
    small = write_scores(tmp_path / "small", [[score_row("a", 0)]])
    page = tmp_path / "r.html"
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(small), str(folder), str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    took = json.loads(run.stdout)
    assert took["seconds"] < 60
    assert took["bytes"] < most
    assert page.stat().st_size < 3_000_000
    check_structure(page.read_text("utf-8"))
