"""`select` and `report` on the command line: several folders as one, and how to select."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from attninfluence import cli
from attninfluence.output.finished import open_finished
from tests.kit.score_tables import score_row, write_scores

INPUTS = [{"file": "a", "bytes": 0}, {"file": "b", "bytes": 0}]
ROWS = [
    score_row("ab"[i // 30], i % 30, domain="xy"[i % 2], score=i * 7 % 60 / 9, n_tokens=2 + i)
    for i in range(60)
]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A run in three shards, `s0` to `s2`, and the same in one folder, `whole`."""
    monkeypatch.chdir(tmp_path)
    write_scores(Path("whole"), [ROWS], inputs=INPUTS, scoring={"kernel": "avx2"})
    for index in range(3):
        shard = {"index": index, "count": 3}
        rows = ROWS[20 * index : 20 * index + 20]
        write_scores(
            Path(f"s{index}"), [rows], inputs=INPUTS, shard=shard, scoring={"kernel": "avx2"}
        )
    return ["s2", "s0", "s1"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """(exit status, JSON on stdout or None, stderr) of one command."""
    status = cli.main(arguments)
    captured = capsys.readouterr()
    return status, json.loads(captured.out) if captured.out.strip() else None, captured.err


def places(folder: str) -> list[tuple[str, int]]:
    tables = list(open_finished(folder, "selection").tables())
    rows = pa.concat_tables(tables).to_pylist()
    return [(row["file"], row["row"]) for row in rows]


def test_shards_are_selected_from_as_the_whole_run(capsys, folders):
    status, summary, _ = run(capsys, "select", *folders, "-o", "joined")
    assert status == 0
    _, alone, _ = run(capsys, "select", "whole", "-o", "alone")
    assert places("joined") == places("alone") and len(places("joined")) == 12
    assert summary["domains"] == alone["domains"]


def test_missing_shards_and_mixed_kernels_are_allowed_when_asked(capsys, folders):
    status, _, told = run(capsys, "select", "s0", "s1", "-o", "o")
    assert status == 2
    assert "shards 2 of 3 are missing" in told and "--allow-missing-shards" in told
    arguments = ["select", "s0", "s1", "-o", "o", "--allow-missing-shards"]
    status, summary, _ = run(capsys, *arguments)
    assert (status, summary["all"]["rows"]) == (0, 40)
    assert open_finished("o", "selection").run["scores"]["missing_shards"] == [2]
    other = [score_row("c", i, score=float(i)) for i in range(5)]
    write_scores(Path("other"), [other], scoring={"kernel": "amx"})
    status, _, told = run(capsys, "select", "whole", "other", "-o", "o2")
    assert status == 2
    assert "scoring.kernel: 'avx2' there, 'amx' here; allow it (--mixed-kernels)" in told
    assert run(capsys, "select", "whole", "other", "-o", "o2", "--mixed-kernels")[0] == 0
    assert open_finished("o2", "selection").run["scores"]["kernels"] == ["avx2", "amx"]


def test_every_way_to_select_is_recorded(capsys, folders):
    arguments = ["--temperature", "0.5", "--seed", "3", "--min-tokens", "12", "--fraction", "0.1"]
    status, summary, told = run(capsys, "select", "whole", "-o", "o", *arguments, "--approximate")
    assert status == 0
    assert summary["rule"] == {
        "by": "domain",
        "approximate": True,
        "rank_by": "score",
        "bottom": False,
        "temperature": 0.5,
        "seed": 3,
        "min_tokens": 12,
        "fraction": 0.1,
    }
    assert open_finished("o", "selection").run["rule"] == summary["rule"]
    assert summary["all"]["candidates"] == 50 and summary["all"]["selected"] == 6
    assert "10 documents have too few tokens and were not considered" in told
    assert all(row >= 10 or file == "b" for file, row in places("o"))


def test_what_was_asked_and_what_was_filled_is_told(capsys, folders):
    arguments = ["--tokens", "x=200,y=1K", "--random-control", "1"]
    status, summary, told = run(capsys, "select", "whole", "-o", "o", *arguments)
    assert status == 0
    filled = [entry["selected_tokens"] for entry in summary["domains"]]
    assert [entry["budget"] for entry in summary["domains"]] == [200, 1000]
    assert f"selected: {sum(filled):,} tokens of 1,200 asked for" in told
    of_control = summary["control"]["all"]["selected_tokens"]
    assert f"random control: {of_control:,} tokens of {sum(filled):,} asked for" in told
    assert "asked" in told.splitlines()[1]
    _, _, told = run(capsys, "select", "whole", "-o", "o2")
    assert "asked" not in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--temperature", "0"], "is no number above 0"),
        (["--temperature", "warm"], "is no number above 0"),
        (["--temperature", "1", "--rank-by", "random"], "a random order has no temperature"),
        (["--min-tokens", "1000"], "none of its 60 rows that have a score has 1000 tokens"),
    ],
)
def test_what_cannot_be_selected_is_told(capsys, folders, arguments, sentence):
    status, printed, told = run(capsys, "select", "whole", "-o", "o", *arguments)
    assert (status, printed) == (2, None)
    assert sentence in told
    assert not Path("o").exists()


def test_a_report_of_shards_has_the_numbers_of_the_whole_run(capsys, folders):
    assert run(capsys, "report", *folders, "-o", "joined.html")[0] == 0
    assert run(capsys, "report", "whole", "-o", "whole.html")[0] == 0
    joined, whole = Path("joined.html").read_text(), Path("whole.html").read_text()
    start, stop = '<section id="domains"', '<section id="documents"'
    assert (
        joined[joined.index(start) : joined.index(stop)]
        == (whole[whole.index(start) : whole.index(stop)])
    )
    for folder in folders:
        assert open_finished(folder, "scores").run["run_id"] in joined
    status, _, told = run(capsys, "report", "s0", "-o", "r.html")
    assert status == 2 and "shards 1, 2 of 3 are missing" in told
    assert run(capsys, "report", "s0", "-o", "r.html", "--allow-missing-shards")[0] == 0
    assert "missing shards" in Path("r.html").read_text()
