"""The rows that a task keeps while it runs: killed anywhere, it goes on, with the same result."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.io import get_datafolder

from attninfluence import _core
from attninfluence.integrations.datatrove import AttentionInfluenceScorer, CheckpointError, files
from attninfluence.scoring import reader
from tests.integrations.trove import (
    HEADS,
    ODD_TEXTS,
    bits,
    documents,
    expected_bits,
    plain_texts,
    read_parquet,
)
from tests.kit.child import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
TEXTS = [*(text for text in ODD_TEXTS if not hasattr(text, "__len__") or len(text) < 1000)]
TEXTS += plain_texts(60)
MANY_TEXTS = plain_texts(700)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts from few texts."""
    monkeypatch.setattr(reader, "CHUNK_TOKENS_PER_THREAD", 700)


@pytest.fixture
def how(tiny_folder: Path) -> dict[str, Any]:
    return {"model": str(tiny_folder), "heads": HEADS}


Made = Callable[..., AttentionInfluenceScorer]


@pytest.fixture
def block(how: dict[str, Any], tmp_path: Path) -> Made:
    """A maker of blocks with a checkpoint, a part each chunk."""

    def make(**options: Any) -> AttentionInfluenceScorer:
        given = {
            **how,
            "threads": 1,
            "checkpoint_folder": str(tmp_path / "kept"),
            "checkpoint_seconds": 0.0,
        }
        return AttentionInfluenceScorer(**(given | options))

    return make


def parts(tmp_path: Path, task: int = 0) -> list[Path]:
    return sorted((tmp_path / "kept" / f"{task:05d}").glob("rows-*.parquet"))


def replayed(block: AttentionInfluenceScorer) -> int:
    return int(block.stats["from_checkpoint"].total)


def test_stored_scores_are_not_computed_again(
    block: Made, how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = expected_bits(TEXTS, **how)
    assert [bits(document.metadata) for document in block()(documents(TEXTS))] == expected
    assert len(parts(tmp_path)) > 2
    again = block()
    assert [bits(document.metadata) for document in again(documents(TEXTS))] == expected
    assert replayed(again) == len(TEXTS)


@pytest.mark.parametrize("taken", [0, 1, 40, len(TEXTS) - 1])
def test_a_task_that_stopped_goes_on(
    taken: int, block: Made, how: dict[str, Any], tmp_path: Path
) -> None:
    """Scores that the next step did not take are stored all the same."""
    run = block(checkpoint_seconds=3600.0)(documents(TEXTS))
    for _ in range(taken):
        next(run)
    run.close()
    again = block()
    found = [bits(document.metadata) for document in again(documents(TEXTS))]
    assert found == expected_bits(TEXTS, **how)
    assert replayed(again) >= taken


def test_a_failing_next_step_costs_nothing(block: Made, tmp_path: Path) -> None:
    def fail() -> None:
        for count, _ in enumerate(block(checkpoint_seconds=3600.0)(documents(TEXTS))):
            if count == 30:
                raise OSError(errno.ENOSPC, "the writer's disk is full")

    with pytest.raises(OSError, match="the writer's"):
        fail()
    again = block()
    assert len(list(again(documents(TEXTS)))) == len(TEXTS)
    assert replayed(again) > 30


def test_each_task_has_its_own(block: Made, tmp_path: Path) -> None:
    for rank in (0, 3):
        assert list(block().run(documents(TEXTS[rank : rank + 30]), rank, 4))
    assert parts(tmp_path, 0) and parts(tmp_path, 3)
    again = block()
    assert list(again.run(documents(TEXTS[3:33]), 3, 4))
    assert replayed(again) == 30


def test_a_part_that_was_not_published_does_not_count(block: Made, tmp_path: Path) -> None:
    list(block()(documents(TEXTS)))
    last = parts(tmp_path)[-1]
    stray = last.with_name(".rows-000000000.parquet.0123abcd.tmp")
    stray.write_bytes(last.read_bytes()[:100])
    last.unlink()
    again = block()
    assert len(list(again(documents(TEXTS)))) == len(TEXTS)
    assert 0 < replayed(again) < len(TEXTS)
    assert not stray.exists()


# ------------------------------------------------------------------------ launched twice


def test_a_second_launch_is_refused_and_spoils_nothing(
    block: Made, how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first has written a part under a temporary name."""
    real = os.replace
    refused: list[str] = []

    def launch_again(temporary: Path, final: Path) -> None:
        if not refused:
            refused.append(launch(how, tmp_path))
        real(temporary, final)

    monkeypatch.setattr(os, "replace", launch_again)
    found = [bits(document.metadata) for document in block()(documents(TEXTS))]
    assert found == expected_bits(TEXTS, **how)
    holder = f"CheckpointError: {tmp_path / 'kept' / '00000'}: process {os.getpid()} on "
    assert holder in refused[0]
    assert refused[0].endswith("wait for that run of the task, or end it\n")
    assert stored_rows(tmp_path) == len(TEXTS)
    again = block()
    assert len(list(again(documents(TEXTS)))) == replayed(again)


@pytest.mark.parametrize("taken", [1, 30])
def test_a_task_is_locked_while_it_replays_and_while_it_scores(
    taken: int, block: Made, how: dict[str, Any], tmp_path: Path
) -> None:
    list(block()(documents(TEXTS[:20])))
    run = block()(documents(TEXTS))
    for _ in range(taken):
        next(run)
    assert "wait for that run" in launch(how, tmp_path)
    list(block().run(documents(TEXTS), 1, 4))  # another task of the folder
    run.close()
    assert not list((tmp_path / "kept").rglob(".*"))
    assert len(list(block()(documents(TEXTS)))) == len(TEXTS)


def test_a_task_that_failed_goes_on_in_the_same_process(block: Made) -> None:
    """Its exception, still held, holds the generator of the scorer."""
    run = block(checkpoint_seconds=3600.0)(documents(TEXTS))
    for _ in range(30):
        next(run)
    again = block()
    assert len(list(again(documents(TEXTS)))) == len(TEXTS)
    assert replayed(again) >= 30
    with pytest.raises(CheckpointError, match="goes on with it in this process"):
        list(run)


def test_a_part_that_cannot_be_written_ends_the_lock(
    block: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = block(checkpoint_seconds=3600.0)(documents(TEXTS))
    next(run)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        run.close()
    assert not list((tmp_path / "kept").rglob(".*"))


def fail(*_: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_where_no_lock_is_the_slower_launch_keeps_what_is_there(block: Made) -> None:
    kept = {"checkpoint_folder": "memory://twice", "checkpoint_seconds": 3600.0}
    slower = block(**kept)(documents(TEXTS))
    next(slower)
    assert len(list(block(**kept)(documents(TEXTS)))) == len(TEXTS)
    slower.close()
    again = block(**kept)
    assert len(list(again(documents(TEXTS)))) == replayed(again)


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        ({"max_length": 64}, "max_length is 2048 there and 64 now"),
        ({"mask": "zero"}, "mask is 'uniform' there and 'zero' now"),
        ({"heads": [(0, 0)]}, r"heads is \[\[1, 2\], \[2, 0\]\] there and \[\[0, 0\]\] now"),
        ({"control": 3}, "control is None there and"),
        ({"precision": "fp32", "kernel": "portable"}, "kernel is .* there and 'portable' now"),
    ],
)
def test_scores_made_in_another_way_are_refused(
    options: dict[str, Any], differs: str, block: Made, tmp_path: Path
) -> None:
    fastest = {"precision": "fp32", "kernel": _core.kernels("fp32")[0]}
    assert fastest["kernel"] != "portable"
    list(block(**fastest)(documents(TEXTS)))
    with pytest.raises(CheckpointError, match=differs) as caught:
        list(block(**(fastest | options))(documents(TEXTS)))
    assert str(parts(tmp_path)[0]) in str(caught.value)
    assert "name another checkpoint folder" in str(caught.value)


def test_the_order_of_heads_is_no_difference(block: Made) -> None:
    list(block()(documents(TEXTS)))
    again = block(heads=HEADS[::-1])
    assert len(list(again(documents(TEXTS)))) == replayed(again)


def test_another_model_is_refused(block: Made, llama_folder: Callable[..., Path]) -> None:
    list(block()(documents(TEXTS)))
    other = str(llama_folder(n_kv_heads=2, seed=5))
    with pytest.raises(CheckpointError, match="model is"):
        list(block(model=other)(documents(TEXTS)))


def test_another_number_of_tasks_is_refused(block: Made) -> None:
    list(block().run(documents(TEXTS), 1, 4))
    with pytest.raises(CheckpointError, match="tasks is 4 there and 5 now"):
        list(block().run(documents(TEXTS), 1, 5))


@pytest.mark.parametrize("row", [0, len(TEXTS) - 1])
def test_another_text_is_refused(row: int, block: Made) -> None:
    list(block()(documents(TEXTS)))
    changed = [*TEXTS[:row], "something else", *TEXTS[row + 1 :]]
    with pytest.raises(CheckpointError, match=f"'d{row}' has another text"):
        list(block()(documents(changed)))


def test_fewer_documents_are_refused_and_more_are_scored(block: Made, how: dict[str, Any]) -> None:
    list(block()(documents(TEXTS[:-3])))
    with pytest.raises(CheckpointError, match="more documents than the task has now"):
        list(block()(documents(TEXTS[:-5])))
    found = [bits(document.metadata) for document in block()(documents(TEXTS))]
    assert found == expected_bits(TEXTS, **how)


@pytest.mark.parametrize("content", [b"", b"PAR1 and so on"])
def test_a_part_that_cannot_be_read_is_named(content: bytes, block: Made, tmp_path: Path) -> None:
    list(block()(documents(TEXTS)))
    parts(tmp_path)[1].write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable part") as caught:
        list(block()(documents(TEXTS)))
    assert str(parts(tmp_path)[1]) in str(caught.value)


def test_a_part_with_a_bit_of_a_score_changed_is_named(block: Made, tmp_path: Path) -> None:
    list(block()(documents(TEXTS)))
    part = parts(tmp_path)[0]
    column = pq.read_metadata(part).schema.names.index("score")
    chunk = pq.read_metadata(part).row_group(0).column(column)
    data = bytearray(part.read_bytes())
    data[chunk.dictionary_page_offset + chunk.total_compressed_size // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{part.name}: not a readable part"):
        list(block()(documents(TEXTS)))


def changed(table: pa.Table, name: str) -> pa.Table:
    """A part of a checkpoint as no task writes it."""
    if name == "no rows":
        return table.slice(0, 0)
    if name == "a null":
        status = pa.array([None, *table["status"].to_pylist()[1:]], pa.string())
        return table.set_column(table.column_names.index("status"), "status", status)
    if name == "another type":
        at = table.column_names.index("n_tokens")
        return table.set_column(at, "n_tokens", table["n_tokens"].cast(pa.float64()))
    if name == "twice":
        return table.append_column("score", table["score"])
    return table.drop_columns(["text_digest" if name == "no digests" else "score"])


@pytest.mark.parametrize(
    "name", ["no rows", "a null", "another type", "twice", "no digests", "no scores"]
)
def test_a_part_that_no_task_wrote_is_refused(name: str, block: Made, tmp_path: Path) -> None:
    """A part without rows was read again without end."""
    list(block()(documents(TEXTS)))
    path = parts(tmp_path)[0]
    table = pq.read_table(path)
    pq.write_table(changed(table, name).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(CheckpointError, match=f"{path}: not a part of a checkpoint: expected"):
        list(block()(documents(TEXTS)))


@pytest.mark.parametrize("made_how", [b"[]", b"null", b"[" * 100_000, b'{"a": NaN}', b"\xff"])
def test_how_scores_were_made_is_an_object(made_how: bytes, block: Made, tmp_path: Path) -> None:
    list(block()(documents(TEXTS)))
    path = parts(tmp_path)[0]
    table = pq.read_table(path).replace_schema_metadata({b"attninfluence.made_how": made_how})
    pq.write_table(table, path)
    with pytest.raises(CheckpointError, match=f"{path}: not a readable part"):
        list(block()(documents(TEXTS)))


@pytest.mark.parametrize("step", ["fsync", "replace", "open"])
def test_a_step_that_fails_is_reported_and_the_next_run_completes(
    step: str,
    block: Made,
    how: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = getattr(os, step) if step != "open" else Path.open
    calls = 0

    def fail_third(first: Any, *rest: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(first))
        return real(first, *rest, **named)

    warm = block(checkpoint_folder=None)  # the model's own files are opened before
    list(warm(documents(TEXTS)))
    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "open" else os, step, fail_third)
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            list(block()(documents(TEXTS)))
    assert not list((tmp_path / "kept").rglob(".*.tmp"))
    again = block()
    found = [bits(document.metadata) for document in again(documents(TEXTS))]
    assert found == expected_bits(TEXTS, **how)
    assert 0 < replayed(again) < len(TEXTS)


def test_a_part_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def noted(*arguments: Any, name: str = name, real: Any = real) -> Any:
            steps.append(name)
            return real(*arguments)

        monkeypatch.setattr(os, name, noted)
    files.publish_bytes(get_datafolder(str(tmp_path)), "a/b", b"content")
    assert steps == ["fsync", "replace", "fsync"]
    assert (tmp_path / "a" / "b").read_bytes() == b"content"


def test_a_folder_that_is_not_local(block: Made) -> None:
    """An object store has no names to change; here the one that fsspec has in memory."""
    list(block(checkpoint_folder="memory://kept")(documents(TEXTS)))
    again = block(checkpoint_folder="memory://kept")
    assert len(list(again(documents(TEXTS)))) == replayed(again)


# ------------------------------------------------------------------------------------ kills

TASK = """\
import sys
from datatrove.pipeline.writers import ParquetWriter
from datatrove.io import get_datafolder

from attninfluence.integrations.datatrove import AttentionInfluenceScorer
from attninfluence.scoring import reader
from tests.run.disk import die_at
from tests.integrations.trove import HEADS, documents, plain_texts
reader.CHUNK_TOKENS_PER_THREAD = 700
model, kept, out, step = sys.argv[1:]
block = AttentionInfluenceScorer(
    model, HEADS, threads=1, checkpoint_folder=kept, checkpoint_seconds=0.0
)
die_at(int(step), kept)
list(ParquetWriter(out)(block(documents(plain_texts(700)))))
print(int(block.stats["from_checkpoint"].total))
"""


def task(how: dict[str, Any], tmp_path: Path, dies: int = 0) -> subprocess.CompletedProcess[str]:
    """The task in a process of its own, killed before step `dies` of writing, if that is not 0."""
    command = [sys.executable, "-c", TASK, how["model"], tmp_path / "kept", tmp_path / "out"]
    return subprocess.run(
        [*command, str(dies)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_killed_at_random_a_task_ends_with_the_undisturbed_result(
    how: dict[str, Any], tmp_path: Path
) -> None:
    """The lock is two steps at most and a part two, so that each launch publishes one or more."""
    steps = random.Random(0)
    rows = 0
    for _ in range(3):
        assert task(how, tmp_path, steps.randrange(5, 20)).returncode == -signal.SIGKILL
        assert stored_rows(tmp_path) > rows
        rows = stored_rows(tmp_path)
    done = task(how, tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == rows
    found = read_parquet(tmp_path / "out")
    assert [bits(found[f"d{row}"]["metadata"]) for row in range(700)] == expected_bits(
        MANY_TEXTS, **how
    )


def launch(how: dict[str, Any], tmp_path: Path) -> str:
    """What the task says when it fails in a process of its own."""
    done = task(how, tmp_path)
    assert done.returncode == 1
    return done.stderr


def stored_rows(tmp_path: Path) -> int:
    """Rows in the published parts, each of which must be readable and begin where one ends."""
    import pyarrow.parquet as pq

    rows = 0
    for part in parts(tmp_path):
        assert part.name == f"rows-{rows:09d}.parquet"
        rows += pq.read_metadata(part).num_rows
    return rows


def test_a_job_of_killed_tasks_scores_every_row_once() -> None:
    """A small sample of `make simulate-scale`, which checks its own result."""
    command = [sys.executable, "tools/simulate_scale.py"]
    command += "--tasks 8 --kills 6 --rows 20 --sample 60".split()
    done = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert (figures["tasks"], figures["rows"], figures["compared_scores"]) == (8, 160, 60)
    assert (figures["kills"], figures["launches"]) == (6, 8 + 6)
    assert 0 < figures["rows_scored_again"] < 60


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path, block: Made) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "checkpoint" / "00000"
    victim.write_text("precious")
    folder.mkdir(parents=True)
    (folder / ".lock").symlink_to(victim)
    task = block(checkpoint_folder=str(tmp_path / "checkpoint"))
    with pytest.raises(CheckpointError, match="found a link; remove it, or name another folder$"):
        list(task.run(documents(TEXTS[:3])))
    assert victim.read_text() == "precious"


def test_a_file_is_not_published_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "merged.json").symlink_to(tmp_path / "victim")
    files.publish_bytes(get_datafolder(str(tmp_path)), "merged.json", b"{}")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "merged.json").read_bytes() == b"{}"
