"""Several score runs as one: their order, their totals, and what must not be joined."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from attninfluence.output.files import OutputError
from attninfluence.output.finished import FinishedRun
from attninfluence.output.schema import score_schema
from attninfluence.output.score_runs import ScoreRuns, open_scores
from tests.kit.score_tables import score_row, write_scores

MODEL = {"path": "m", "fingerprint": "f1", "tokenizer": "t1"}
SCORING = {"mask": "uniform", "heads": [[1, 0]], "control": None, "kernel": "fp32-haswell"}


def rows_of(file: str, start: int, stop: int, **values: object) -> list[dict]:
    return [
        score_row(file, row, domain=file[0], id=str(row), **values) for row in range(start, stop)
    ]


def scored(path: Path, *parts: list[dict], scoring: dict | None = None, **run: Any) -> Path:
    given = {"model": MODEL, "scoring": {**SCORING, **(scoring or {})}}
    return write_scores(path, parts, **{**given, **run})


def keys(runs: ScoreRuns | FinishedRun) -> list[tuple[str, int]]:
    table = pa.concat_tables(runs.tables(["file", "row"], rows=2))
    return list(zip(table["file"].to_pylist(), table["row"].to_pylist(), strict=True))


def sharded(tmp_path: Path, count: int = 3) -> list[Path]:
    """A run over two files in shards, the second of which has the end of one file and more."""
    inputs = [{"file": "a", "bytes": 0}, {"file": "b", "bytes": 0}]
    contents = [rows_of("a", 0, 4), rows_of("a", 4, 6) + rows_of("b", 0, 2), rows_of("b", 2, 5)]
    return [
        scored(
            tmp_path / f"shard{index}",
            contents[index],
            shard={"index": index, "count": count},
            inputs=inputs,
        )
        for index in range(3)
    ]


def test_shards_come_in_their_order_and_a_divided_file_is_one_file(tmp_path):
    folders = sharded(tmp_path)
    runs = open_scores([folders[2], folders[0], folders[1]])
    assert keys(runs) == [("a", i) for i in range(6)] + [("b", i) for i in range(5)]
    assert [run.path for run in runs.runs] == folders
    totals = runs.totals
    assert (totals["rows"], totals["tokens"], totals["statuses"]) == (11, 110, {"ok": 11})
    assert [(f["file"], f["rows"], f["tokens"]) for f in totals["files"]] == [
        ("a", 6, 60),
        ("b", 5, 50),
    ]
    assert [(d["domain"], d["rows"]) for d in totals["domains"]] == [("a", 6), ("b", 5)]
    assert [item["file"] for item in runs.inputs] == ["a", "b"]
    assert [run["shard"]["index"] for run in runs.describe()["runs"]] == [0, 1, 2]


def test_other_runs_come_as_they_are_given(tmp_path):
    one = scored(tmp_path / "one", rows_of("a", 0, 3), rows_of("b", 0, 1))
    two = scored(tmp_path / "two", rows_of("c", 0, 2, score=None))
    runs = open_scores([two, one])
    assert keys(runs) == [("c", 0), ("c", 1), ("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    assert runs.totals["statuses"] == {"bad_type": 2, "ok": 4}
    assert runs.schema().names[:3] == ["file", "row", "id"]
    assert runs.name == f"{two} and 1 more"


def test_one_folder_is_one_run(tmp_path):
    path = scored(tmp_path / "one", rows_of("a", 0, 3))
    for given in (path, str(path), [path]):
        runs = open_scores(given)
        assert runs.totals == runs.runs[0].totals
        assert keys(runs) == keys(runs.runs[0])
    with pytest.raises(ValueError, match="name at least one folder"):
        open_scores([])


def test_an_empty_shard_has_its_place(tmp_path):
    folders = sharded(tmp_path, count=4)
    inputs = [{"file": "a", "bytes": 0}, {"file": "b", "bytes": 0}]
    empty = scored(tmp_path / "empty", shard={"index": 3, "count": 4}, inputs=inputs)
    runs = open_scores([empty, *folders])
    assert len(keys(runs)) == runs.totals["rows"] == 11
    assert "score" in runs.schema().names


def test_missing_shards_are_named(tmp_path):
    folders = sharded(tmp_path, count=9)
    with pytest.raises(OutputError, match=r"shards 3, 4, 5, 6, 7, 8 of 9 are missing"):
        open_scores(folders)
    with pytest.raises(OutputError, match=r"shards 0, 2, 3, 4, 5, 6, 7, 8 of 9 are missing"):
        open_scores(folders[1])
    runs = open_scores(folders[1:], allow_missing_shards=True)
    assert runs.missing == [0, 3, 4, 5, 6, 7, 8] == runs.describe()["missing_shards"]
    assert runs.totals["rows"] == 7


OTHER = {
    "model": (
        {"model": {**MODEL, "fingerprint": "f2"}},
        "model.fingerprint: 'f1' there, 'f2' here",
    ),
    "tokenizer": ({"model": {**MODEL, "tokenizer": "x"}}, "model.tokenizer: 't1' there, 'x' here"),
    "heads": ({"scoring": {"heads": [[0, 0]]}}, r"scoring.heads: \[\[1, 0\]\] there, \[\[0, 0\]\]"),
    "control": ({"scoring": {"control": [[0, 1]]}}, "scoring.control: None there"),
    "option": ({"scoring": {"mask": "zero"}}, "scoring.mask: 'uniform' there, 'zero' here"),
    "kernel": (
        {"scoring": {"kernel": "bf16-amx"}},
        r"scoring.kernel: 'fp32-haswell' there, 'bf16-amx' here; allow it \(--mixed-kernels",
    ),
}


@pytest.mark.parametrize("what", OTHER)
def test_runs_of_another_scoring_are_refused_by_what_differs(tmp_path, what):
    changed, message = OTHER[what]
    one = scored(tmp_path / "one", rows_of("a", 0, 3))
    two = scored(tmp_path / "two", rows_of("b", 0, 3), **changed)
    with pytest.raises(OutputError, match=f"two cannot be joined to .*one: {message}"):
        open_scores([one, two])
    if what != "kernel":
        with pytest.raises(OutputError, match="cannot be joined"):
            open_scores([one, two], mixed_kernels=True)


def test_mixed_kernels_are_joined_when_asked_for_and_recorded(tmp_path):
    one = scored(tmp_path / "one", rows_of("a", 0, 3))
    two = scored(tmp_path / "two", rows_of("b", 0, 3), scoring={"kernel": "bf16-amx"})
    runs = open_scores([one, two], mixed_kernels=True)
    assert runs.kernels == runs.describe()["kernels"] == ["fp32-haswell", "bf16-amx"]
    assert len(keys(runs)) == 6


def test_where_the_model_lay_does_not_matter(tmp_path):
    one = scored(tmp_path / "one", rows_of("a", 0, 3))
    two = scored(tmp_path / "two", rows_of("b", 0, 3), model={**MODEL, "path": "elsewhere"})
    assert len(keys(open_scores([one, two]))) == 6


def test_other_columns_are_refused(tmp_path, monkeypatch):
    one = scored(tmp_path / "one", rows_of("a", 0, 3))
    monkeypatch.setattr("tests.kit.score_tables.score_schema", lambda: score_schema(text=True))
    two = scored(tmp_path / "two", rows_of("b", 0, 3))
    with pytest.raises(OutputError, match="columns.text: None there, 'large_string' here"):
        open_scores([one, two])


def test_a_file_by_other_names_would_count_twice(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    one = scored(tmp_path / "one", rows_of("a", 0, 3), folder=f"{tmp_path}/real")
    for number, name in enumerate((f"{tmp_path}/link/a", f"file://{tmp_path}/real/a", "../link/a")):
        other = scored(tmp_path / f"{number}", rows_of(name, 0, 3), folder=f"{tmp_path}/real")
        with pytest.raises(OutputError, match=r"the input file .*/real/a is also in .*one"):
            open_scores([one, other])


def test_rows_that_would_count_twice_are_refused(tmp_path):
    one = scored(tmp_path / "one", rows_of("a", 0, 3))
    with pytest.raises(OutputError, match="one: is named twice"):
        open_scores([one, tmp_path / "." / "one"])
    two = scored(tmp_path / "two", rows_of("a", 0, 3))
    with pytest.raises(OutputError, match=r"two: the input file .*/a is also in .*one"):
        open_scores([one, two])
    elsewhere = scored(tmp_path / "three", rows_of("a", 0, 3), folder="/elsewhere")
    with pytest.raises(OutputError, match="three: the name 'a' is that of another file in .*one"):
        open_scores([one, elsewhere])
    url = [scored(tmp_path / f"u{i}", rows_of("memory://a", 0, 1), folder=f"/{i}") for i in (0, 1)]
    with pytest.raises(OutputError, match="the input file memory://a is also in"):
        open_scores(url)


def test_a_copy_of_a_folder_is_refused(tmp_path):
    one = scored(tmp_path / "one", rows_of("a", 0, 3))
    shutil.copytree(one, tmp_path / "copy")
    with pytest.raises(OutputError, match="copy: is a copy of .*one"):
        open_scores([one, tmp_path / "copy"])


def test_shards_of_different_runs_are_refused(tmp_path):
    zero, one, _ = sharded(tmp_path)
    again = scored(
        tmp_path / "again",
        rows_of("a", 0, 4),
        shard={"index": 0, "count": 3},
        inputs=[{"file": "a", "bytes": 0}, {"file": "b", "bytes": 0}],
    )
    with pytest.raises(OutputError, match="again: is shard 0 of 3, as .*shard0 is"):
        open_scores([zero, one, again])
    other = scored(tmp_path / "other", rows_of("b", 0, 2), shard={"index": 1, "count": 4})
    with pytest.raises(OutputError, match=r"other is shard 1 of 4, and .*shard0 shard 0 of 3"):
        open_scores([zero, other])
    foreign = scored(
        tmp_path / "foreign",
        rows_of("b", 0, 2),
        shard={"index": 1, "count": 3},
        inputs=[{"file": "a", "bytes": 0}, {"file": "b", "bytes": 7}],
    )
    with pytest.raises(OutputError, match=r"foreign is no shard of the run .*b: 0 there, 7 here"):
        open_scores([zero, foreign])


def test_a_file_is_named_as_it_is_named(tmp_path):
    folders = [
        scored(
            tmp_path / f"shard{index}",
            shard={"index": index, "count": 2},
            inputs=[{"file": "news given/a.jsonl", "bytes": index}],
        )
        for index in range(2)
    ]
    with pytest.raises(OutputError, match=r": news given/a\.jsonl: 0 there, 1 here$"):
        open_scores(folders)


def two_shards(tmp_path: Path, *given: dict[str, Any]) -> list[Path]:
    """Two shards of the files `a` and `b`; `given` adds to the run.json of each, or replaces."""
    inputs = [{"file": "a", "bytes": 0}, {"file": "b", "bytes": 0}]
    contents = [rows_of("a", 0, 2), rows_of("a", 2, 4) + rows_of("b", 0, 2)]
    folders = []
    for index, (rows, own) in enumerate(zip(contents, given, strict=True)):
        shard = {"index": index, "count": 2}
        run = {"inputs": inputs, "shard": shard, **own}
        folders.append(scored(tmp_path / f"shard{index}", rows, **run))
    return folders


def test_shards_of_inputs_in_another_order_are_refused(tmp_path):
    """Else shard 0 of `a b` and shard 1 of `b a` would have rows of one file twice."""
    turned = {"inputs": [{"file": "b", "bytes": 0}, {"file": "a", "bytes": 0}]}
    with pytest.raises(
        OutputError, match=r"shard1 is no shard of the run of .*shard0: .* order, with 'b' where"
    ):
        open_scores(two_shards(tmp_path, {}, turned))


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        ({"columns": {"text": "a"}}, {"columns": {"text": "b"}}, "columns.text: 'a' there, 'b'"),
        ({"columns": {"id": None}}, {"columns": {"id": "url"}}, "columns.id: None there, 'url'"),
        ({"keep_text": False}, {"keep_text": True}, "keep_text: False there, True here"),
        ({"limit": None}, {"limit": 5}, "limit: None there, 5 here"),
    ],
)
def test_shards_that_read_different_things_are_refused(tmp_path, there, here, message):
    with pytest.raises(OutputError, match=f"shard1 is no shard of the run of .*0: {message}"):
        open_scores(two_shards(tmp_path, there, here))


def test_runs_over_different_files_may_read_different_columns(tmp_path):
    one = scored(tmp_path / "one", rows_of("a", 0, 3), columns={"text": "text"}, limit=3)
    two = scored(tmp_path / "two", rows_of("b", 0, 3), columns={"text": "body"})
    assert len(keys(open_scores([one, two]))) == 6


@pytest.mark.parametrize(("other", "is_same"), [("d1", True), ("d2", False), (None, True)])
def test_a_file_that_changed_between_its_shards_is_refused(tmp_path, other, is_same):
    """What is compared is its digest, where both shards have one."""
    entries = [
        {"file": "a", "rows": 2, "tokens": 20, **({} if digest is None else {"digest": digest})}
        for digest in ("d1", other)
    ]
    last = {"file": "b", "rows": 2, "tokens": 20, "digest": "d3"}
    totals = [{"files": [entries[0]]}, {"files": [entries[1], last]}]
    folders = two_shards(tmp_path, *({"totals": given} for given in totals))
    if is_same:
        assert open_scores(folders).totals["rows"] == 6
        return
    with pytest.raises(OutputError, match=r"shard1: the file 'a' .* not the one that .*shard0 has"):
        open_scores(folders)


def test_a_bad_file_is_listed_once(tmp_path):
    """Each shard on whose border it lies has found it."""
    bad = [{"file": "b", "error": "damaged"}, {"file": "c", "error": "no column 'text'"}]
    folders = two_shards(
        tmp_path, {"totals": {"bad_files": bad[:1]}}, {"totals": {"bad_files": bad}}
    )
    assert open_scores(folders).totals["bad_files"] == bad


def test_a_run_of_several_kernels_is_refused_unless_allowed(tmp_path):
    mixed = {"totals": {"kernels": {"fp32-haswell": 2, "fp32-zen": 1}}}
    one = scored(tmp_path / "one", rows_of("a", 0, 3), **mixed)
    two = scored(tmp_path / "two", rows_of("b", 0, 3))
    for given in ([one], [one, two], [two, one]):
        with pytest.raises(
            OutputError,
            match=r"scored by several kernels \(fp32-haswell, fp32-zen\), .*--mixed-kernels",
        ):
            open_scores(given)
        assert open_scores(given, mixed_kernels=True).kernels == ["fp32-haswell", "fp32-zen"]


def test_the_kernels_are_those_that_scored_rows(tmp_path):
    """A run that was carried on with another kernel before any row was kept has that one's only."""
    one = scored(tmp_path / "one", rows_of("a", 0, 3), totals={"kernels": {"fp32-zen": 3}})
    assert open_scores(one).kernels == ["fp32-zen"]


def test_long_rows_come_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("attninfluence.output.finished.BATCH_BYTES", 10_000)
    rows = rows_of("a", 0, 300)
    for number, row in enumerate(rows):
        row["id"] = f"{number}" * 1000
    runs = open_scores(scored(tmp_path / "one", rows))
    sizes = [table.num_rows for table in runs.tables()]
    assert sum(sizes) == 300 and max(sizes) <= 10
    assert [table.num_rows for table in runs.tables(["row"])] == [300]


def test_rows_come_by_their_positions(tmp_path, monkeypatch):
    """Of several folders, parts and row groups, and without reading others."""
    from attninfluence.output.finished import FinishedRun

    first = [
        [score_row("a", at, score=0.01 * at) for at in range(start, start + 7)] for start in (0, 7)
    ]
    second = [[score_row("b", at, score=-0.01 * at) for at in range(5)]]
    runs = open_scores([write_scores(tmp_path / "a", first), write_scores(tmp_path / "b", second)])
    monkeypatch.setattr(FinishedRun, "tables", None)  # which reads all
    rows = [*first[0], *first[1], *second[0]]
    found = runs.rows_at([18, 3, 6, 7, 14, 3])
    assert found == {at: rows[at] for at in (3, 6, 7, 14, 18)}
    assert runs.rows_at([]) == {}
