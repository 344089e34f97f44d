"""The page of docs/ACCURACY.md, from one family."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import error_table
from benchmarks.error_table import Error


def test_a_page_of_one_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_table, "FAMILIES", {"opt": error_table.FAMILIES["opt"]})
    monkeypatch.setattr(error_table, "PAGE", tmp_path / "ACCURACY.md")
    error_table.main()
    lines = (tmp_path / "ACCURACY.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Accuracy" and "python -m benchmarks.error_table" in "\n".join(lines)
    cells = [cell.strip() for cell in lines[-1].strip("|").split("|")]
    assert cells[0] == "`opt`" and len(cells) == 9
    fp32, peaked, bf16, int8 = (Error(*map(float, cells[i : i + 2])) for i in (1, 3, 5, 7))
    assert all(0 < error.mean < error.largest for error in (fp32, peaked, bf16, int8))
    assert fp32.largest <= peaked.largest < 1e-4 < bf16.largest < int8.largest


def test_the_page_in_the_repository_has_every_family() -> None:
    page = error_table.PAGE.read_text(encoding="utf-8")
    named = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert named == list(error_table.FAMILIES)
