"""A million rows: a page in under a minute, under 3 MB, and in memory of its own bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bench_report import measure
from tests.report.test_report import check_structure


@pytest.mark.full
@pytest.mark.parametrize(("domains", "most"), [(50, 250e6), (20_000, 350e6)])
def test_a_million_rows_have_a_page(tmp_path: Path, domains: int, most: float) -> None:
    """Seconds of the processor, all its cores together: the machine may have more to do."""
    took = measure(tmp_path, 1_000_000, domains)
    assert took["processor"] < 60
    assert took["peak"] - took["before"] < most
    assert took["page"] < 3_000_000
    check_structure((tmp_path / "report.html").read_text("utf-8"))
