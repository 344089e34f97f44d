"""The scoring block of attninfluence.integrations.datatrove, and the executors that run it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter, ParquetWriter

import attninfluence as ai
from attninfluence.integrations.datatrove import AttentionInfluenceScorer
from attninfluence.model import shared
from tests.integrations.trove import (
    HEADS,
    ODD_TEXTS,
    bits,
    documents,
    expected_bits,
    plain_texts,
    read_parquet,
    write_jsonl,
)
from tests.kit.child import ROOT, run_python

TEXTS = plain_texts(60)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Executors set variables in their own process, which is this one."""
    with patch.dict(os.environ):
        os.environ.pop("DATATROVE_CPUS_PER_TASK", None)
        yield


@pytest.fixture
def how(tiny_folder: Path) -> dict[str, Any]:
    return {"model": str(tiny_folder), "heads": HEADS, "control": 3}


# -------------------------------------------------------------------------------- documents


def test_every_document_is_annotated_with_the_bits_of_score(how: dict[str, Any]) -> None:
    texts = [*ODD_TEXTS, *TEXTS]
    found = list(AttentionInfluenceScorer(**how)(documents(texts)))
    assert [document.id for document in found] == [f"d{index}" for index in range(len(texts))]
    assert all(a.text is b for a, b in zip(found, texts, strict=True))
    assert [bits(document.metadata) for document in found] == expected_bits(texts, **how)
    statuses = {document.metadata["ai_status"] for document in found}
    assert statuses >= {"ok", "empty", "bad_type"}


def test_keys_and_types_are_those_of_every_document(how: dict[str, Any]) -> None:
    types: set[tuple[tuple[str, type], ...]] = set()
    for document in AttentionInfluenceScorer(prefix="x_", **how)(documents(ODD_TEXTS)):
        assert document.metadata["domain"] in ("a", "b")
        own = [(name, type(value)) for name, value in document.metadata.items() if name != "domain"]
        types.add(tuple(own))
    (only,) = types
    columns = ai.score(["a b c"], **how).columns()
    assert [name for name, _ in only] == [f"x_{name}" for name in columns]
    assert {kind for _, kind in only} == {int, float, str, bool}


def test_options_are_those_of_score(how: dict[str, Any]) -> None:
    options = {"long": "chunk", "max_length": 16, "mask": "zero", "bos": "never"}
    found = AttentionInfluenceScorer(**how, **options)(documents(TEXTS))
    assert [bits(document.metadata) for document in found] == expected_bits(TEXTS, **how, **options)
    with pytest.raises(ValueError, match="mask must be one of"):
        AttentionInfluenceScorer(mask="none")
    with pytest.raises(TypeError, match="maxlength"):
        AttentionInfluenceScorer(maxlength=3)
    with pytest.raises(ValueError, match="detail"):
        AttentionInfluenceScorer(detail="token")


def test_documents_stream(how: dict[str, Any]) -> None:
    """No more wait than a chunk holds, however many there are."""
    drawn = 0

    def source() -> Iterator[Any]:
        nonlocal drawn
        for document in documents(["a"] * 9000):
            drawn += 1
            yield document

    waiting = []
    for count, _ in enumerate(AttentionInfluenceScorer(**how)(source()), start=1):
        waiting.append(drawn - count)
    assert len(waiting) == 9000
    assert max(waiting) <= 3 * 2048


def test_a_task_without_documents(how: dict[str, Any]) -> None:
    assert list(AttentionInfluenceScorer(**how)(iter(()))) == []
    assert list(AttentionInfluenceScorer(**how)(None)) == []


def test_an_opened_model_is_used_as_it_is(how: dict[str, Any]) -> None:
    opened = ai.load(how["model"], threads=1)
    block = AttentionInfluenceScorer(model=opened, heads=iter(HEADS))
    assert block.opened is opened
    found = [bits(document.metadata) for document in block(documents(TEXTS))]
    assert found == expected_bits(TEXTS, model=opened, heads=HEADS)
    assert copy.deepcopy(block).opened.fingerprint == opened.fingerprint


# ------------------------------------------------------------------- pickles, threads, import


def test_it_pickles_without_the_model(how: dict[str, Any]) -> None:
    block = AttentionInfluenceScorer(**how)
    before = pickle.dumps(block)
    assert list(block(documents(TEXTS[:3])))
    assert block._opened is not None
    for made in (pickle.loads(pickle.dumps(block)), copy.deepcopy(block)):
        assert made._opened is None
    assert len(before) < 2000
    assert len(pickle.dumps(block)) < 3000


@pytest.mark.parametrize(
    ("asked", "cpus", "threads"),
    [(None, "3", 3), (None, "-1", None), (None, None, None), (2, "3", 2), (None, "0", None)],
)
def test_threads_are_those_that_the_executor_gives_a_task(
    asked: int | None, cpus: str | None, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def open_shared(model: Any, **options: Any) -> Any:
        given.append((model, options))
        return "opened"

    monkeypatch.setattr(shared, "open_shared", open_shared)
    if cpus is not None:
        monkeypatch.setenv("DATATROVE_CPUS_PER_TASK", cpus)
    block = AttentionInfluenceScorer(
        Path("m"), threads=asked, precision="fp32", kernel="portable", revision="r"
    )
    assert given == []
    assert (block.opened, block.opened) == ("opened", "opened")
    options = {"revision": "r", "precision": "fp32", "kernel": "portable", "threads": threads}
    shares = True if cpus == "3" else None  # other tasks of Slurm or Ray may be on the machine
    assert given == [("m", options | {"worker": shares})]


def test_without_datatrove_the_error_says_what_to_install() -> None:
    printed = run_python(
        "import sys; sys.modules['datatrove'] = None\n"
        "import attninfluence.integrations\n"
        "try:\n"
        "    import attninfluence.integrations.datatrove\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert "pip install 'attninfluence[datatrove]'" in printed


# ------------------------------------------------------------------------------- executors


def pipeline(how: dict[str, Any], tmp_path: Path) -> list[Any]:
    return [
        JsonlReader(str(tmp_path / "in")),
        AttentionInfluenceScorer(**how),
        ParquetWriter(str(tmp_path / "out")),
    ]


def written_bits(tmp_path: Path) -> list[dict[str, Any]]:
    found = read_parquet(tmp_path / "out")
    return [bits(found[f"d{index}"]["metadata"]) for index in range(len(found))]


@pytest.mark.parametrize("workers", [1, 2])
def test_local_workers_give_the_bits_of_score_and_resume(
    workers: int, how: dict[str, Any], tmp_path: Path
) -> None:
    odd = [text for text in ODD_TEXTS if isinstance(text, str) and text and "\ud800" not in text]
    texts = [*odd, *TEXTS]
    write_jsonl(tmp_path / "in", texts, files=3)

    def run() -> Any:
        logs = str(tmp_path / "logs")
        steps = pipeline(how, tmp_path)
        return LocalPipelineExecutor(steps, tasks=3, workers=workers, logging_dir=logs).run()

    run()
    expected = expected_bits(texts, **how)
    assert written_bits(tmp_path) == expected
    if workers == 1:
        # One task is run again, the others are not: their files are gone.
        (tmp_path / "logs" / "completions" / "00001").unlink()
        kept = (tmp_path / "out" / "000_00001.parquet").read_bytes()
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        run()
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["000_00001.parquet"]
        assert (tmp_path / "out" / "000_00001.parquet").read_bytes() == kept


def test_what_writers_keep(how: dict[str, Any], tmp_path: Path) -> None:
    """A score of exactly 0.0 survives; NaN is kept in Parquet and is null in JSON."""
    texts = ["a text of some words", "x", "", "\t"]
    found = list(AttentionInfluenceScorer(how["model"], [])(documents(texts)))
    assert found[0].metadata["ai_score"] == 0.0
    for writer in (
        ParquetWriter(str(tmp_path / "out")),
        JsonlWriter(str(tmp_path / "out"), compression=None),
    ):
        list(writer(iter(found)))
    parquet = read_parquet(tmp_path / "out")
    for document in found:
        assert bits(parquet[document.id]["metadata"]) == bits(document.metadata)
    lines = (tmp_path / "out" / "00000.jsonl").read_text().splitlines()
    rows = [json.loads(line)["metadata"] for line in lines]
    assert [row["ai_score"] for row in rows] == [0.0, 0.0, None, None]
    assert [row["ai_status"] for row in rows] == ["ok", "ok", "empty", "empty"]
    (read, *_) = JsonlReader(str(tmp_path / "out"), glob_pattern="*.jsonl")()
    assert bits(read.metadata) == bits(found[0].metadata)


SBATCH = """\
#!/bin/sh
# Runs the job's array one task after the other, as Slurm would.
for file in "$@"; do :; done
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$file")
for task in $(seq 0 "${last:-0}"); do
    SLURM_ARRAY_TASK_ID=$task SLURM_JOB_ID=7 SLURM_NODELIST=here bash "$file" >&2 || exit 1
done
echo Submitted batch job 7
"""
SRUN = """\
#!/bin/sh
while [ "${1#-}" != "$1" ]; do
    if [ "$1" = -n ]; then shift; fi
    shift
done
exec "$@"
"""
SCONTROL = '#!/bin/sh\necho "$3"\n'


def test_slurm_runs_its_launch_script(
    how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script that would be given to sbatch, with the pickled pipeline that it names."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {"sbatch": SBATCH, "srun": SRUN, "scontrol": SCONTROL}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_jsonl(tmp_path / "in", TEXTS, files=2)
    SlurmPipelineExecutor(
        pipeline(how, tmp_path),
        tasks=2,
        time="1:00:00",
        partition="cpu",
        cpus_per_task=2,
        logging_dir=str(tmp_path / "logs"),
    ).run()
    assert written_bits(tmp_path) == expected_bits(TEXTS, **how)
    assert (tmp_path / "logs" / "executor.pik").stat().st_size < 10_000
    assert len(list((tmp_path / "logs" / "completions").iterdir())) == 2
