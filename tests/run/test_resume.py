"""A run over a corpus, stopped anywhere: the same call goes on, and the table is the same."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attninfluence.corpus import CorpusError
from attninfluence.output.files import OutputError
from attninfluence.output.finished import open_finished
from attninfluence.run.checkpoint import read_examples
from attninfluence.run.folder import KERNEL_KEY
from attninfluence.run.lock import LockedError, RunLock
from attninfluence.run.session import score_files
from attninfluence.run.shards import Shard
from attninfluence.run.source import Source
from tests.corpus.test_corpus import write_rows
from tests.kit.child import ROOT
from tests.run import disk
from tests.run.test_score_files import MODEL, stand_in


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", stand_in)


def make_corpus(folder: Path) -> Path:
    """Three files of 30 rows in all, which the stand-in scores in five chunks."""
    folder.mkdir()
    for name, rows in (("a.jsonl", 12), ("b.parquet", 10), ("c.jsonl.gz", 8)):
        texts = [f"{name} {i} " + "x" * i for i in range(rows)]
        write_rows(
            folder / name,
            [{"id": f"{name}{i}", "domain": name[0], "text": t} for i, t in enumerate(texts)],
        )
    return folder


def run(corpus: Path, out: Path, **options: Any) -> dict[str, Any]:
    source = options.pop("source", Source([str(corpus)]))
    return score_files(source, out, model=MODEL, **{"checkpoint_seconds": 0.0, **options})


def table(out: Path) -> list[dict[str, Any]]:
    return pa.concat_tables(open_finished(out, "scores").tables()).to_pylist()


def outcome(out: Path) -> dict[str, Any]:
    """What must not depend on interruptions."""
    totals = dict(open_finished(out, "scores").totals)
    for name in ("parts", "seconds"):
        del totals[name]
    examples = [
        (e.key, e.score, e.text, e.losses.tobytes())
        for e in read_examples(out, totals.pop("run_id"))
    ]
    return {"rows": table(out), "totals": totals, "examples": examples}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def whole(tmp_path: Path, corpus: Path) -> dict[str, Any]:
    """The outcome of a run that nothing interrupted."""
    run(corpus, tmp_path / "whole")
    return outcome(tmp_path / "whole")


def check_folder(out: Path) -> int:
    """Every file under a final name is whole; returns the rows that are published."""
    rows = 0
    for path in out.iterdir():
        if path.suffix == ".parquet":
            found = pq.read_table(path).num_rows
            rows += found if path.name.startswith("part-") else 0
        elif path.name in ("run.json", "_SUCCESS"):
            json.loads(path.read_bytes())
        else:
            assert path.name.endswith(".tmp") or path.name == ".lock", path
    return rows


def small_corpus(tmp_path: Path) -> Path:
    """Two files of 18 rows in all, three chunks."""
    (tmp_path / "corpus").mkdir()
    write_rows(tmp_path / "corpus" / "a.jsonl", [{"text": "x" * (i + 1)} for i in range(10)])
    write_rows(tmp_path / "corpus" / "b.parquet", [{"text": "y" * (i + 1)} for i in range(8)])
    return tmp_path / "corpus"


def find_steps(corpus: Path, out: Path) -> list[tuple[int, str]]:
    """The steps of a run, by number and kind; of the writes to a file the first and the last."""
    steps = disk.Steps(None, disk.die)
    with disk.watching(steps):
        run(corpus, out)
    writes = {}
    for at, (kind, path) in enumerate(steps.seen):
        if kind == "write":
            writes.setdefault(path, []).append(at)
    chosen = {at for places in writes.values() for at in (places[0], places[-1])}
    return [
        (at, kind) for at, (kind, _) in enumerate(steps.seen) if kind != "write" or at in chosen
    ]


def test_every_step_that_fails_is_named_and_the_next_run_completes(tmp_path):
    corpus, out = small_corpus(tmp_path), tmp_path / "out"
    found = find_steps(corpus, tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    assert {kind for _, kind in found} == {"open", "write", "close", "fsync", "rename", "unlink"}
    for at, kind in found:
        number = disk.FULL if kind == "write" else disk.BROKEN
        steps = disk.Steps(at, disk.fail_with(number))
        error = failure(corpus, out, steps)
        assert error.errno == number, (at, kind)
        assert error.filename == steps.seen[at][1], (at, kind)
        check_folder(out)
        run(corpus, out)
        assert outcome(out) == whole, (at, kind)
        shutil.rmtree(out)


def failure(corpus: Path, out: Path, steps: disk.Steps) -> OSError:
    """What a run raises when one of its steps fails."""
    with disk.watching(steps), pytest.raises(OSError) as caught:
        run(corpus, out)
    return caught.value


def test_a_machine_that_dies_at_any_step_loses_one_part_at_most(tmp_path):
    """One process that has everything imported is forked for each step, and killed there."""
    corpus, out = small_corpus(tmp_path), tmp_path / "out"
    found = find_steps(corpus, tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    for at, _ in found:
        child = os.fork()
        if child == 0:
            try:
                with disk.watching(disk.Steps(at, disk.die)):
                    run(corpus, out)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9, at
        published = check_folder(out)
        assert published + rows_scored(corpus, out) == 18
        assert outcome(out) == whole, at
        shutil.rmtree(out)


def rows_scored(corpus: Path, out: Path) -> int:
    """Carry the run on; returns the rows that it still had to score."""
    told: list[int] = []
    run(corpus, out, progress=SimpleNamespace(advance=lambda rows, *_: told.append(rows)))
    return sum(told)


KILLED = """
import os, sys
from attninfluence import load
from attninfluence.run import Source, score_files
class Log:
    def advance(self, documents, tokens, share):
        os.write(log, f"{documents}\\n".encode())
log = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
from attninfluence.scoring import batches
batches.CHUNK_DOCUMENTS = 8
score_files(Source([sys.argv[1]]), sys.argv[2], model=load(threads=1), control=3, progress=Log(),
            checkpoint_seconds=0.1)
"""


def start(corpus: Path, out: Path, log: Path) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", KILLED, str(corpus), str(out), str(log)]
    return subprocess.Popen(program, cwd=ROOT)


def kill_at_random(corpus: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill runs with the bundled model until `kills` of them died; the table stays the same."""
    import random

    random_seconds = random.Random(seed).uniform
    assert start(corpus, folder / "whole", folder / "log").wait() == 0
    expected = outcome(folder / "whole")
    done, survived = 0, 0
    while done < kills:
        out, log = folder / f"out{survived}", folder / f"log{survived}"
        killed = 0
        while True:
            process = start(corpus, out, log)
            try:
                assert process.wait(timeout=random_seconds(0.3, 2.0)) == 0
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                if out.exists():
                    check_folder(out)
                if done + killed >= kills:
                    assert start(corpus, out, log).wait() == 0
                    break
        assert outcome(out) == expected
        scored = sum(map(int, log.read_text().split()))
        largest = max(pq.read_metadata(part).num_rows for part in out.glob("part-*"))
        again = scored - len(expected["rows"])
        # A kill may fall between a chunk's rows and their line in the log.
        assert -8 * killed <= again <= killed * (largest + 8), (again, killed, largest)
        done, survived = done + killed, survived + 1


def make_real_corpus(folder: Path) -> Path:
    folder.mkdir()
    rows = [
        {"text": f"{i} is a number, and {i * i} its square. " * (1 + i % 8)} for i in range(300)
    ]
    write_rows(folder / "a.parquet", rows[:120])
    write_rows(folder / "b.jsonl.gz", rows[120:])
    return folder


def test_kills_at_random_instants(tmp_path):
    kill_at_random(make_real_corpus(tmp_path / "corpus"), tmp_path, kills=20, seed=1)


@pytest.mark.torture
def test_many_kills_at_random_instants(tmp_path):
    kill_at_random(make_real_corpus(tmp_path / "corpus"), tmp_path, kills=60, seed=2)


# ---------------------------------------------------------------------------- what is refused


CHANGES: dict[str, dict[str, Any]] = {
    "scoring.heads: [[0, 1]] recorded, [[0, 2]] given": {"heads": [[0, 2]]},
    "scoring.control: None recorded, [[1, 1]] given": {"control": [[1, 1]]},
    "keep_text: False recorded, True given": {"keep_text": True},
    "limit: None recorded, 29 given": {"limit": 29},
    "shard": {"shard": Shard(0, 2)},
    "columns.text: 'text' recorded, 'id' given": {"text_column": "id"},
    "columns.domain_from: 'column' recorded, 'path' given": {"domain_from": "path"},
    "columns.keep.more": {"keep_columns": ["more"]},
}


def interrupted(corpus: Path, out: Path, after: int = 2, **options: Any) -> None:
    """A run that is stopped with Ctrl-C after some chunks."""
    told: list[int] = []

    def advance(documents: int, *_: Any) -> None:
        told.append(documents)
        if len(told) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(corpus, out, progress=SimpleNamespace(advance=advance), **options)


@pytest.mark.parametrize("sentence", CHANGES)
def test_a_run_that_is_given_something_else_is_refused(tmp_path, sentence):
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_rows(folder / "a.jsonl", [{"id": "a", "text": "b", "more": "c"}] * 30)
    out = tmp_path / "out"
    interrupted(folder, out, heads=[[0, 1]])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    change = {"heads": [[0, 1]], **CHANGES[sentence]}
    of_source = {k: v for k, v in change.items() if k in Source.__dataclass_fields__}
    others = {k: v for k, v in change.items() if k not in of_source}
    with pytest.raises(OutputError) as refusal:
        run(folder, out, source=Source([str(folder)], **of_source), **others)
    assert f"holds a run that was given something else: {sentence}" in str(refusal.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    run(folder, out, heads=[[0, 1]])
    assert len(table(out)) == 30


@pytest.mark.parametrize("what", ["fingerprint", "tokenizer"])
def test_another_model_is_refused(tmp_path, corpus, what):
    interrupted(corpus, tmp_path / "out")
    changed = SimpleNamespace(fingerprint="9" * 64)
    model = SimpleNamespace(**vars(MODEL))
    setattr(model, what, "9" * 64 if what == "fingerprint" else changed)
    with pytest.raises(OutputError, match=f"model.{what}: 'f*t*' recorded, '9*' given"):
        score_files(Source([str(corpus)]), tmp_path / "out", model=model)
    run(corpus, tmp_path / "out")
    with pytest.raises(OutputError, match=f"model.{what}"):  # a finished one as well
        score_files(Source([str(corpus)]), tmp_path / "out", model=model)


def test_inputs_that_came_or_went_and_scored_ones_of_another_size_are_refused(tmp_path, corpus):
    interrupted(corpus, tmp_path / "out")
    write_rows(corpus / "d.jsonl", [{"text": "new"}])
    with pytest.raises(OutputError, match=r"inputs\..*d\.jsonl: None recorded, \d+ given"):
        run(corpus, tmp_path / "out")
    (corpus / "d.jsonl").unlink()
    write_rows(corpus / "a.jsonl", [{"text": "other"}])
    with pytest.raises(CorpusError, match=r"a\.jsonl: has changed since rows of it were scored"):
        run(corpus, tmp_path / "out")


def test_a_file_changed_in_place_is_refused_once_rows_of_it_are_scored(tmp_path, corpus, whole):
    out = tmp_path / "out"
    interrupted(corpus, out)  # after 14 rows: a.jsonl and two of b.parquet
    path = corpus / "a.jsonl"
    original = path.read_bytes()
    path.write_bytes(original.replace(b"xxx", b"yyy"))
    with pytest.raises(CorpusError, match=r"a\.jsonl: has changed since rows of it were scored"):
        run(corpus, out)
    path.write_bytes(original)  # another time of change, the same bytes
    run(corpus, out)
    assert outcome(out) == whole
    path.write_bytes(original.replace(b"xxx", b"yyy"))
    with pytest.raises(CorpusError, match="has changed"):
        run(corpus, out)


def test_another_kernel_is_refused_unless_asked_for_and_is_recorded_by_part(
    tmp_path, corpus, monkeypatch
):
    def other(*arguments: Any, **options: Any) -> Any:
        for scores in stand_in(*arguments, **options):
            scores.metadata["kernel"] = "other"
            yield scores

    out = tmp_path / "out"
    interrupted(corpus, out)
    monkeypatch.setattr("attninfluence.scoring.batches.score_batches", other)
    with pytest.raises(OutputError, match=r"scoring\.kernel: 'stand-in' .*--mixed-kernels"):
        run(corpus, out)
    totals = run(corpus, out, mixed_kernels=True)
    assert totals["kernels"] == {"stand-in": 14, "other": 16}
    kernels = [
        pq.read_schema(part).metadata[KERNEL_KEY].decode() for part in sorted(out.glob("part-*"))
    ]
    assert kernels == ["stand-in"] * 2 + ["other"] * 3


def test_what_decides_no_score_may_differ(tmp_path, corpus, monkeypatch):
    interrupted(corpus, tmp_path / "out")
    model = SimpleNamespace(**{**vars(MODEL), "path": "/elsewhere"})
    source = Source([str(corpus)], on_bad_shard="skip")
    monkeypatch.chdir(tmp_path)
    totals = score_files(source, "out", model=model, checkpoint_seconds=99.0)
    assert totals["rows"] == 30


# ------------------------------------------------------------------------- going on, and ending


def test_the_same_run_again_when_finished_changes_nothing(tmp_path, corpus):
    out = tmp_path / "out"
    first = run(corpus, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = run(corpus, out)
    assert first.items() <= again.items()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_stopped_before_the_first_part_and_after_the_last(tmp_path, corpus, whole):
    out = tmp_path / "out"
    interrupted(corpus, out, after=1, checkpoint_seconds=99.0)
    assert check_folder(out) == 7  # Ctrl-C writes what was scored
    run(corpus, out)
    assert outcome(out) == whole
    (out / "_SUCCESS").unlink()
    run(corpus, out)
    assert outcome(out) == whole


def test_a_bad_file_found_late_keeps_what_was_scored(tmp_path, corpus):
    out = tmp_path / "out"
    path = write_rows(corpus / "c.jsonl.gz", [{"text": os.urandom(999).hex()} for _ in range(300)])
    path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    with pytest.raises(CorpusError, match=r"c\.jsonl\.gz: the compressed file is damaged"):
        run(corpus, out, checkpoint_seconds=99.0)
    assert check_folder(out) == 21  # whole chunks before it
    totals = run(corpus, out, source=Source([str(corpus)], on_bad_shard="skip"))
    assert totals["rows"] == 22 and len(table(out)) == 22
    assert [Path(bad["file"]).name for bad in totals["bad_files"]] == ["c.jsonl.gz"]


def test_shards_divide_the_table(tmp_path, corpus, whole):
    rows: list[dict[str, Any]] = []
    for index in range(4):
        out = tmp_path / f"shard{index}"
        source = Source([str(corpus)], shard=Shard(index, 4))
        interrupted(corpus, out, after=1, source=source)
        run(corpus, out, source=source)
        rows += table(out)
    assert rows == whole["rows"]


@pytest.mark.parametrize("limit", [1, 7, 12, 13, 29, 30, 31])
def test_limit(tmp_path, corpus, whole, limit):
    out = tmp_path / "out"
    source = Source([str(corpus)], limit=limit)
    interrupted(corpus, out, after=1, source=source)
    run(corpus, out, source=source)
    assert table(out) == whole["rows"][:limit]


def test_kept_columns_survive_an_interruption(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [{"text": "x" * i, "year": 1900 + i, "tags": ["a", str(i)]} for i in range(40)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet", row_group_size=9)
    out = tmp_path / "out"
    source = Source([str(folder)], keep_columns=["year", "tags"])
    interrupted(folder, out, source=source)
    run(folder, out, source=source)
    found = pa.concat_tables(open_finished(out, "scores").tables())
    assert found.schema.field("year").type == pa.int64()
    assert found.select(["year", "tags"]).to_pylist() == [
        {"year": row["year"], "tags": row["tags"]} for row in rows
    ]


def test_a_second_run_into_the_folder_is_refused(tmp_path, corpus):
    out = tmp_path / "out"
    interrupted(corpus, out)
    with RunLock(out), pytest.raises(LockedError, match="is writing into it"):
        run(corpus, out)
    run(corpus, out)


def test_a_part_that_is_missing_is_noticed(tmp_path, corpus):
    out = tmp_path / "out"
    interrupted(corpus, out, after=3)
    (out / "part-00001.parquet").unlink()
    with pytest.raises(OutputError, match=r"part-00001.*: missing, though later parts are there"):
        run(corpus, out)


def test_a_folder_of_something_else_is_left_alone(tmp_path, corpus):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"is not empty .it holds 'notes.txt'. and has no run"):
        run(corpus, out)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_full_disk_is_reported_by_the_system_itself(tmp_path):
    """No stand-in: the system refuses to let the part grow, as a full disk would."""
    import resource

    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [{"text": os.urandom(3000).hex()} for _ in range(100)]
    write_rows(folder / "a.jsonl", rows)
    out = tmp_path / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"\.part-00000\..*\.tmp") as failure:
            run(folder, out, keep_text=True, checkpoint_seconds=99.0)
        assert failure.value.errno == errno.EFBIG
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert check_folder(out) == 0
    run(folder, out, keep_text=True)
    assert [row["text"] for row in table(out)] == [row["text"] for row in rows]


@pytest.mark.parametrize(
    "options", [{}, {"shard": Shard(1, 4)}, {"shard": Shard(3, 4)}, {"limit": 13}, {"limit": 99}]
)
def test_progress_ends_at_the_whole_of_what_was_asked_for(tmp_path, corpus, options):
    source = Source([str(corpus)], **options)
    shares: list[float] = []
    progress = SimpleNamespace(advance=lambda documents, tokens, share: shares.append(share))
    run(corpus, tmp_path / "out", source=source, progress=progress)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert shares[0] < 0.99 or len(shares) == 1
    interrupted(corpus, tmp_path / "again", after=1, source=source)
    told = len(shares)
    run(corpus, tmp_path / "again", source=source, progress=progress)
    assert shares[told:] == pytest.approx(shares[1:told])  # earlier sessions count
