"""The scripts of examples/ run as they stand, on the bundled model."""

from __future__ import annotations

import ast
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import attninfluence as ai
from tests.house.doc_blocks import make_corpus
from tests.kit.child import ROOT, run_python


def run_example(name: str, *arguments: object) -> str:
    return run_python((ROOT / "examples" / name).read_text(), *arguments)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Forty short documents, one of them without text, in a folder that a command may glob."""
    return make_corpus(tmp_path)


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_what_an_example_does_stands_behind_the_main_guard(script: Path) -> None:
    """Worker processes that are not forked import the script."""
    *before, guard = ast.parse(script.read_text()).body
    assert isinstance(guard, ast.If) and ast.unparse(guard.test) == "__name__ == '__main__'"
    for statement in before:
        defines = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        assert isinstance(statement, defines) or is_docstring, ast.unparse(statement)
        if isinstance(statement, ast.Assign):
            assert not any(isinstance(node, ast.Call) for node in ast.walk(statement.value))


def test_score_texts() -> None:
    printed = run_example("score_texts.py")
    assert len(re.findall(r"^[+-]\d\.\d{4}  ", printed, re.MULTILINE)) == 3
    assert len(re.findall(r"nats  '.*' at \d+$", printed, re.MULTILINE)) == 5


def test_find_heads(tmp_path: Path) -> None:
    printed = run_example("find_heads.py", "", tmp_path / "found.json", 4)
    saved = json.loads((tmp_path / "found.json").read_text())
    assert saved["samples"] == 4
    assert printed.count("retrieval score") == len(saved["selected"])


def test_select_from_jsonl(corpus: Path, tmp_path: Path) -> None:
    best = tmp_path / "best.jsonl"
    printed = run_example("select_from_jsonl.py", corpus, best)
    assert printed == "8 of 40 lines chosen, 1 without a score\n"
    chosen = best.read_text().splitlines()
    assert len(chosen) == 8
    assert set(chosen) < set(corpus.read_text().splitlines())


def test_score_dataset(corpus: Path, tmp_path: Path) -> None:
    best = tmp_path / "best.parquet"
    script = (ROOT / "examples" / "score_dataset.py").read_text()
    printed = run_python(script, corpus, best, env={"HF_HOME": str(tmp_path / "home")})
    assert re.match(r"8 of 40 documents kept\na: score at least -?\d\.\d{4}\nb: ", printed)
    kept = pq.read_table(best).to_pylist()
    rows = [json.loads(line) for line in corpus.read_text().splitlines()]
    scores = ai.score(row["text"] for row in rows).score
    for domain, count in (("a", 4), ("b", 4)):
        of_domain = [s for s, row in zip(scores, rows, strict=True) if row["domain"] == domain]
        highest = sorted((s for s in of_domain if s == s), reverse=True)[:count]
        found = [row["ai_score"] for row in kept if row["domain"] == domain]
        assert sorted(found, reverse=True) == highest


def test_datatrove_pipeline(corpus: Path, tmp_path: Path) -> None:
    """datatrove drops the document without text; the best fifth of each domain is there twice."""
    printed = run_example("datatrove_pipeline.py", corpus.parent, tmp_path / "out", 2, 1)
    found = re.findall(r"^(\w+): (\d+) documents, [\d,]+ tokens$", printed, re.MULTILINE)
    assert found == [("corpus", "39"), ("selected", "8")]
    everything, best = (read_jsonl_gz(tmp_path / "out" / part) for part in ("corpus", "selected"))
    for domain in "ab":
        scores = sorted(r["ai_score"] for r in everything if r["domain"] == domain)
        assert sorted(r["ai_score"] for r in best if r["domain"] == domain) == scores[-4:]


def read_jsonl_gz(folder: Path) -> list[dict[str, Any]]:
    """The metadata of all documents that datatrove wrote."""
    files = [gzip.decompress(path.read_bytes()) for path in sorted(folder.glob("*.gz"))]
    return [json.loads(line)["metadata"] for text in files for line in text.splitlines()]
