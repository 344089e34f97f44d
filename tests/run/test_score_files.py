"""Scoring files: one row out for each row in, and a bad file counts as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attninfluence.base.text import as_text
from attninfluence.corpus import CorpusError
from attninfluence.output.files import OutputError
from attninfluence.output.finished import open_finished
from attninfluence.run.checkpoint import read_examples
from attninfluence.run.examples import RANDOM_DOCUMENTS
from attninfluence.run.session import score_files
from attninfluence.run.source import Source
from attninfluence.scores.scores import Scores
from attninfluence.scores.token_losses import TokenRows
from tests.corpus.test_corpus import NASTY, SUFFIXES, write_rows

MODEL: Any = SimpleNamespace(
    path="/model",
    commit=None,
    fingerprint="f" * 64,
    core=SimpleNamespace(model_type="llama"),
    tokenizer=SimpleNamespace(fingerprint="t" * 64),
)


def stand_in(
    texts: Iterable[Any], *, control: Any = None, heads: Any = None, chunk: int = 7, **_: Any
) -> Iterator[Scores]:
    """A scorer without a model: the score of a text is its length, in chunks of 7."""
    texts = list(texts) if chunk == 0 else texts
    pending: list[Any] = []
    metadata = {"heads": heads, "control": control, "kernel": "stand-in"}

    def flush() -> Scores:
        scores = Scores.empty(
            len(pending), control=control is not None, detail="token", metadata=metadata
        )
        assert scores.token_rows is not None
        for row, value in enumerate(pending):
            text, repaired = as_text(value)
            scores.repaired[row] = repaired
            scores.status[row] = "bad_type" if text is None else "ok" if text.strip() else "empty"
            if scores.status[row] == "ok" and text is not None:
                scores.base_loss[row], scores.ref_loss[row] = 1.0, 1.0 + len(text)
                scores.score[row] = len(text)
                scores.n_tokens[row], scores.n_scored[row] = len(text) + 1, len(text)
            scores.token_rows.append(_a_token_a_character(text or ""))
        pending.clear()
        return scores

    one = False
    for text in texts:
        pending.append(text)
        if len(pending) == chunk:
            yield flush()
            one = True
    if pending or not one:
        yield flush()


def _a_token_a_character(text: str) -> TokenRows:
    places = np.arange(len(text))
    offsets = np.stack([places, places + 1], axis=1)
    return TokenRows(places.astype(np.int32), offsets, np.ones((2, len(text)), np.float32))


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", stand_in)


def rows_of(path: Path) -> list[dict[str, Any]]:
    tables = list(open_finished(path, "scores").tables())
    return pa.concat_tables(tables).to_pylist() if tables else []


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_row_for_each_row(tmp_path, suffix):
    rows = [{"id": f"d{i}", "domain": "d", "text": text} for i, text in enumerate(NASTY * 60)]
    path = write_rows(tmp_path / f"a{suffix}", rows)
    totals = score_files(Source([str(path)]), tmp_path / "out", model=MODEL)
    found = rows_of(tmp_path / "out")
    assert [row["row"] for row in found] == list(range(len(rows)))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    has_null = ".csv" not in suffix and ".tsv" not in suffix  # there it is an empty text
    for row, text in zip(found, NASTY * 60, strict=True):
        text = text if text is not None or has_null else ""
        expected = "bad_type" if text is None else "ok" if text.strip() else "empty"
        assert row["status"] == expected
        assert row["score"] == (len(text) if expected == "ok" else None)
        assert row["base_loss"] == (1.0 if expected == "ok" else None)
    assert totals["rows"] == len(rows)
    unscored = {"bad_type": 60, "empty": 120} if has_null else {"empty": 180}
    assert totals["statuses"] == {**unscored, "ok": len(rows) - 180}
    assert totals["tokens"] == sum(row["n_tokens"] for row in found)


@pytest.mark.usefixtures("no_model")
def test_examples_say_what_the_rows_say(tmp_path):
    rows = [{"id": f"d{i}", "domain": f"e{i % 2}", "text": "x" * (i + 1)} for i in range(40)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    score_files(Source([str(path)]), tmp_path / "out", model=MODEL)
    run_id = open_finished(tmp_path / "out", "scores").totals["run_id"]
    found = read_examples(tmp_path / "out", run_id)
    table = {(row["file"], row["row"]): row for row in rows_of(tmp_path / "out")}
    assert len(found) >= 2 * RANDOM_DOCUMENTS
    numbers = "score base_loss ref_loss n_tokens n_scored".split()
    for one in found:
        for name in ("id", "domain", *numbers):
            assert getattr(one, name) == table[one.key][name], name
        assert one.text == rows[one.row]["text"]


LABELS = st.one_of(st.none(), st.integers(-(10**20), 10**20), st.text(max_size=3))
VALUES = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=4),
    st.integers(),
    st.booleans(),
    st.lists(st.text(max_size=2), max_size=2),
)


@pytest.mark.usefixtures("no_model")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.fixed_dictionaries({}, optional={"text": VALUES, "id": LABELS}), max_size=30)
)
def test_rows_are_neither_lost_nor_mixed_up(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("run")
    path = write_rows(folder / "a.jsonl", [{"text": "first"}, *rows])
    score_files(Source([str(path)]), folder / "out", model=MODEL, keep_text=True)
    found = rows_of(folder / "out")
    assert len(found) == len(rows) + 1
    for row, given_row in zip(found[1:], rows, strict=True):
        text = given_row.get("text")
        assert (row["text"] is None) == (not isinstance(text, str))
        clean = as_text(text)[0]
        assert row["status"] == (
            "bad_type" if clean is None else "ok" if clean.strip() else "empty"
        )
        label = given_row.get("id")
        assert (row["id"] is None) == (label is None)
        if isinstance(label, int):
            assert row["id"] == str(label)


@pytest.mark.usefixtures("no_model")
def test_run_json_says_what_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "a.jsonl", [{"text": "a"}])
    score_files(Source(["a.jsonl"]), "out", model=MODEL, heads=[[0, 1]], control=[[1, 1]])
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["model"]["fingerprint"] == "f" * 64
    assert run["model"]["tokenizer"] == "t" * 64
    assert run["scoring"]["heads"] == [[0, 1]]
    assert run["scoring"]["control"] == [[1, 1]]
    assert run["folder"] == str(tmp_path)
    assert run["inputs"] == [{"file": "a.jsonl", "bytes": os.path.getsize("a.jsonl")}]
    assert open_finished("out", "scores").schema().names[-2:] == ["control_loss", "control_score"]


@pytest.mark.usefixtures("no_model")
def test_totals_by_domain_and_repeated_ids(tmp_path):
    texts = ["aa", "b", "", None]
    rows = [{"text": t, "id": i % 2, "domain": d} for i, t in enumerate(texts) for d in ("x", None)]
    write_rows(tmp_path / "a.jsonl", rows[:5])
    write_rows(tmp_path / "b.jsonl", rows[5:])
    totals = score_files(Source([str(tmp_path / "[ab].jsonl")]), tmp_path / "out", model=MODEL)
    assert totals["repeated_ids"] == 6
    assert totals["domains"] == [
        {
            "domain": domain,
            "rows": 4,
            "tokens": 5,
            "scored_tokens": 3,
            "partly_counted": 0,
            "statuses": {"bad_type": 1, "empty": 1, "ok": 2},
        }
        for domain in (None, "x")
    ]
    assert [entry["rows"] for entry in totals["files"]] == [5, 3]


@pytest.mark.usefixtures("no_model")
def test_domain_from_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("math", "web"):
        Path(name).mkdir()
        write_rows(Path(name, "a.jsonl"), [{"text": "a", "domain": "column"}])
    score_files(Source(["math", "*/a.jsonl"], domain_from="path"), "out", model=MODEL)
    assert [row["domain"] for row in rows_of(Path("out"))] == ["a", "web"]
    with pytest.raises(ValueError, match="not from both"):
        Source(["math"], domain_from="path", domain_column="domain")


def three_files(folder: Path, bad: bytes) -> None:
    for name in ("a", "c"):
        write_rows(folder / f"{name}.jsonl", [{"text": name}] * 300)
    (folder / "b.jsonl").write_bytes(b'{"text": "b"}\n' * 300 + bad)


@pytest.mark.usefixtures("no_model")
def test_bad_file_stops_the_run_and_is_not_published(tmp_path):
    three_files(tmp_path, b'{"text": "cut\n')
    with pytest.raises(CorpusError, match=r"b\.jsonl: line 301 is not valid JSON"):
        score_files(Source([str(tmp_path / "*.jsonl")]), tmp_path / "out", model=MODEL)
    assert sorted(os.listdir(tmp_path / "out")) == [
        ".checkpoint-00001.parquet",
        "part-00000.parquet",
        "run.json",
    ]
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert table["row"].to_pylist() == list(range(294))  # whole chunks of 7, of the first file
    with pytest.raises(OutputError, match="the run did not finish"):
        open_finished(tmp_path / "out", "scores")


@pytest.mark.usefixtures("no_model")
def test_skipped_file_is_named_and_the_others_are_whole(tmp_path):
    three_files(tmp_path, b"[]\n")
    source = Source([str(tmp_path / "*.jsonl")], on_bad_shard="skip")
    totals = score_files(source, tmp_path / "out", model=MODEL)
    assert [bad["file"] for bad in totals["bad_files"]] == [str(tmp_path / "b.jsonl")]
    assert "line 301 is not a JSON object" in totals["bad_files"][0]["error"]
    found = rows_of(tmp_path / "out")
    assert [(Path(row["file"]).name, row["row"]) for row in found] == [
        (f"{name}.jsonl", i) for name in "ac" for i in range(300)
    ]
    assert totals["rows"] == 600 == sum(entry["rows"] for entry in totals["files"])
    again = score_files(source, tmp_path / "out", model=MODEL)
    assert again["bad_files"] == totals["bad_files"]


@pytest.mark.usefixtures("no_model")
def test_columns_are_looked_at_before_anything_is_scored(tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": "a"}])
    write_rows(tmp_path / "b.parquet", [{"body": "a"}])
    with pytest.raises(CorpusError, match=r"b\.parquet: no column 'text'; the file has 'body'"):
        score_files(Source([str(tmp_path)]), tmp_path / "out", model=MODEL)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_model")
def test_used_folder_is_refused_before_reading(tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"text": "a"}])
    with pytest.raises(OutputError, match="is not empty"):
        score_files(Source([str(tmp_path / "a.jsonl")]), tmp_path, model=MODEL)


@pytest.mark.usefixtures("no_model")
def test_progress_ends_at_all_bytes(tmp_path):
    for name in ("a.jsonl", "b.parquet", "c.jsonl.gz"):
        write_rows(tmp_path / name, [{"text": "a" * 50}] * 500)
    seen: list[tuple[int, int, float]] = []
    progress = SimpleNamespace(advance=lambda *told: seen.append(told))
    score_files(Source([str(tmp_path)]), tmp_path / "out", model=MODEL, progress=progress)
    assert sum(documents for documents, _, _ in seen) == 1500
    shares = [share for _, _, share in seen]
    assert shares == sorted(shares)
    assert shares[-1] > 0.9
    assert max(shares) <= 1.0


@pytest.mark.parametrize("lost", [1, -1])
def test_scorer_that_loses_a_row_is_noticed(tmp_path, monkeypatch, lost):
    def careless(texts: Iterable[Any], **options: Any) -> Iterator[Scores]:
        values = list(texts)
        yield from stand_in(values[1:] if lost == 1 else [*values, "more"] if values else [])

    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", careless)
    write_rows(tmp_path / "a.jsonl", [{"text": "a"}] * 10)
    with pytest.raises(RuntimeError, match="row"):
        score_files(Source([str(tmp_path / "a.jsonl")]), tmp_path / "out", model=MODEL)
    assert os.listdir(tmp_path / "out") == ["run.json"]


@pytest.mark.usefixtures("no_model")
def test_memory_does_not_grow_with_a_file(tmp_path, monkeypatch):
    """At no time are more than a few batches of texts alive."""
    alive: list[int] = []

    def counting(texts: Iterable[Any], **options: Any) -> Iterator[Scores]:
        count = 0

        def counted() -> Iterator[Any]:
            nonlocal count
            for text in texts:
                count += 1
                yield text

        done = 0
        for scores in stand_in(counted(), **options):
            done += len(scores)
            alive.append(count - done)
            yield scores

    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", counting)
    write_rows(tmp_path / "a.jsonl", [{"text": "a"}] * 5000)
    score_files(Source([str(tmp_path / "a.jsonl")]), tmp_path / "out", model=MODEL)
    assert max(alive) <= 7


def test_scores_are_those_of_the_library(tmp_path, tiny_folder):
    """The files' numbers are those of `attninfluence.score` on the same texts, bit for bit."""
    import attninfluence as ai

    texts = ["alpha beta", "", None, "gamma " * 30, "\ud800x", "q" * 500, "z"] * 3
    path = write_rows(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    model = ai.load(tiny_folder, threads=1)
    options = {"heads": [(1, 2), (2, 0)], "control": 5, "max_length": 64, "long": "chunk"}
    score_files(Source([str(path)]), tmp_path / "out", model=model, **options)
    expected = ai.score(texts, model=model, **options)
    table = pa.concat_tables(open_finished(tmp_path / "out", "scores").tables())
    for name in ("base_loss", "ref_loss", "score", "control_loss", "control_score"):
        found = np.array(table[name].to_pylist(), dtype=np.float64)
        np.testing.assert_array_equal(found, getattr(expected, name))
    for name in ("n_tokens", "n_scored", "truncated", "repaired", "status"):
        assert table[name].to_pylist() == list(getattr(expected, name)), name
    assert "ok" in expected.status
