"""attninfluence score --count: the option, what it writes and what is told."""

from __future__ import annotations

from attninfluence.output.finished import open_finished
from tests.cli.test_cli import run
from tests.corpus.test_corpus import write_rows


def test_the_totals_tell_of_texts_that_were_not_counted_to_their_end(capsys, tmp_path):
    long = "the thing of an inner ring\n" * 12_000
    path = write_rows(tmp_path / "a.jsonl", [{"text": text} for text in ("the thing", long)])
    for count, partly in (("window", 1), ("document", 0)):
        status, totals, told = run(
            capsys,
            *("score", str(path), "-o", str(tmp_path / count), "--count", count),
            *("--max-length", "16"),
        )
        assert (status, totals["partly_counted"]) == (0, partly)
        assert ("partly counted: 1 row, of which the text goes on" in told) is bool(partly)
        recorded = open_finished(tmp_path / count, "scores")
        assert recorded.run["scoring"]["count"] == count
        rows = next(recorded.tables()).to_pylist()
        assert [row["partly_counted"] for row in rows] == [False, bool(partly)]
