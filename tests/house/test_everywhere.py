"""One text has one score, whichever way it takes: 2,000 mixed rows, compared to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import ParquetWriter

import attninfluence as ai
from attninfluence.integrations.arrow import score_record_batches
from attninfluence.integrations.datatrove import AttentionInfluenceScorer
from attninfluence.output.finished import open_finished
from attninfluence.run.session import score_files
from attninfluence.run.source import Source
from tests.corpus.test_corpus import write_rows
from tests.kit.mixed_rows import mixed_rows, string_array

N_ROWS = 2000
HEADS = [(1, 0), (2, 3)]
NUMBERS = ("n_tokens", "n_scored", "base_loss", "ref_loss", "score", "control_loss")
ROWS = mixed_rows(N_ROWS)
TEXTS = [row["text"] for row in ROWS]
STRINGS = [index for index, text in enumerate(TEXTS) if isinstance(text, str)]


def rows_of(columns: dict[str, Any]) -> list[tuple[Any, ...]]:
    """A tuple a row: the bits of each number, NaN for null, and the status."""
    names = (*NUMBERS, "truncated", "repaired")
    numbers = [np.array(columns[name], dtype=np.float64).view(np.int64).tolist() for name in names]
    return list(zip(*numbers, list(columns["status"]), strict=True))


def of_table(table: pa.Table, prefix: str = "") -> list[tuple[Any, ...]]:
    """The rows of a table, null as NaN."""
    names = (*NUMBERS, "truncated", "repaired", "status")
    return rows_of(
        {
            name: [np.nan if value is None else value for value in table[prefix + name].to_pylist()]
            for name in names
        }
    )


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> ai.Model:
    return ai.load(tiny_folder, threads=2)


@pytest.fixture(scope="module")
def expected(model: ai.Model) -> list[tuple[Any, ...]]:
    found = ai.score(TEXTS, model=model, heads=HEADS, control=3)
    assert {"ok", "empty", "bad_type"} <= set(found.status) and found.repaired.any()
    return rows_of(found.columns())


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "a.parquet"
    columns = {name: [row[name] for row in ROWS] for name in ("id", "domain")}
    pq.write_table(pa.table({**columns, "text": string_array(TEXTS)}), path, row_group_size=300)
    return path


def test_files(parquet: Path, model: ai.Model, expected: Any, tmp_path: Path) -> None:
    score_files(Source([str(parquet)]), tmp_path / "out", model=model, heads=HEADS, control=3)
    table = pa.concat_tables(open_finished(tmp_path / "out", "scores").tables())
    assert of_table(table) == expected
    assert table["row"].to_pylist() == list(range(N_ROWS))
    assert table["id"].to_pylist() == [row["id"] for row in ROWS]  # repeated ones as they are


@pytest.mark.parametrize("num_proc", [None, 2])
def test_datasets(
    model: ai.Model, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_proc: Any
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    dataset = datasets.Dataset.from_dict({"text": [TEXTS[index] for index in STRINGS]})
    scorer = ai.Scorer(model, HEADS, control=3)
    scored = dataset.map(scorer, batched=True, batch_size=170, num_proc=num_proc)
    found = {name: scored["ai_" + name] for name in (*NUMBERS, "truncated", "repaired", "status")}
    assert rows_of(found) == [expected[index] for index in STRINGS]


def test_arrow(parquet: Path, model: ai.Model, expected: Any) -> None:
    batches = pq.ParquetFile(parquet).iter_batches(batch_size=77)
    scored = score_record_batches(batches, model=model, heads=HEADS, control=3)
    assert of_table(pa.Table.from_batches(scored), "ai_") == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_datatrove(tiny_folder: Path, expected: Any, tmp_path: Path, workers: int) -> None:
    """Its readers drop empty texts, and lone surrogates cannot be in its JSON lines."""
    kept = [index for index in STRINGS if TEXTS[index] and "\ud800" not in TEXTS[index]]
    for part in range(2):
        documents = [
            {"text": TEXTS[index], "id": f"{index:05d}"} for index in kept if index % 2 == part
        ]
        write_rows(tmp_path / f"{part}.jsonl", documents)
    LocalPipelineExecutor(
        [
            JsonlReader(str(tmp_path), glob_pattern="*.jsonl"),
            AttentionInfluenceScorer(str(tiny_folder), HEADS, control=3),
            ParquetWriter(str(tmp_path / "out")),
        ],
        tasks=2,
        workers=workers,
        logging_dir=str(tmp_path / "logs"),
    ).run()
    found = dict(read_documents(tmp_path / "out"))
    assert found == {index: expected[index] for index in kept}


def read_documents(folder: Path) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for path in folder.glob("*.parquet"):
        table = pq.read_table(path)
        columns = {
            name.removeprefix("ai_"): [row[name] for row in table["metadata"].to_pylist()]
            for name in table["metadata"][0].as_py()
            if name.startswith("ai_")
        }
        yield from zip(map(int, table["id"].to_pylist()), rows_of(columns), strict=True)


def test_documents_in_memory(model: ai.Model, expected: Any) -> None:
    """Whatever stands in a document's text."""
    documents = [Document(text=text, id=str(index)) for index, text in enumerate(TEXTS)]
    block = AttentionInfluenceScorer(model, HEADS, control=3)
    metadata = [document.metadata for document in block(iter(documents))]
    columns = {name[3:]: [row[name] for row in metadata] for name in metadata[0]}
    assert rows_of(columns) == expected
