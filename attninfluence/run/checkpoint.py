"""The small files that say how far a run has come, and the documents it keeps to be shown.

A checkpoint is a table: the state in its first row, an example in each other one. The last one
stays, under another name, as the examples of the finished run.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from attninfluence.base.json_shapes import ShapeError
from attninfluence.base.json_values import STRICT, JSONError, parse_json_object
from attninfluence.base.replacing import sync
from attninfluence.output.files import OutputError
from attninfluence.output.part import PartWriter, check_is_file, run_id_of
from attninfluence.output.part_rows import reading_part
from attninfluence.run.examples import Example, Reservoir, example_schema, from_table, to_table
from attninfluence.run.state import RunState

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES_NAME = "_examples.parquet"

_CHECKPOINT = re.compile(r"\.checkpoint-\d{5,}\.parquet")


def _name(parts: int) -> str:
    return f".checkpoint-{parts:05d}.parquet"


def write_checkpoint(
    folder: Path, parts: int, run_id: str, state: RunState, examples: Reservoir
) -> None:
    """Publish the checkpoint that counts so many parts; other ones stay."""
    import pyarrow as pa

    schema = _schema()
    stored = json.dumps(state.to_json(), ensure_ascii=True).encode()
    final = folder / _name(parts)
    final.unlink(missing_ok=True)  # of an attempt whose part could not be written
    writer = PartWriter(final, run_id, schema)
    try:
        writer.write(pa.Table.from_pylist([{"state": stored}], schema))
        for table in to_table(examples).to_batches():
            nothing = pa.nulls(table.num_rows, pa.large_binary())
            writer.write(pa.table([*table.columns, nothing], schema))
        writer.publish()
    finally:
        writer.discard()


def read_checkpoint(
    folder: Path, parts: int, run_id: str, inputs: int
) -> tuple[RunState, Reservoir]:
    """What the checkpoint that counts so many parts holds, the examples' file if need be.

    OutputError for one that is damaged, or speaks of more than so many inputs.
    """
    for name in (_name(parts), EXAMPLES_NAME):
        if (folder / name).exists():
            table = _read(folder / name, run_id)
            return _state(folder / name, table, inputs), Reservoir(_examples(folder / name, table))
    raise OutputError(
        f"{folder}: has {parts} parts and no checkpoint that counts them; the run is "
        "damaged: name another folder"
    )


def remove_checkpoints(folder: Path, *, but: int) -> None:
    """Remove all checkpoints but the one that counts so many parts."""
    for name in os.listdir(folder):
        if _CHECKPOINT.fullmatch(name) and name != _name(but):
            (folder / name).unlink()


def keep_as_examples(folder: Path, parts: int) -> None:
    """Give the last checkpoint of a run, if there is one, the name of its examples."""
    checkpoint = folder / _name(parts)
    if checkpoint.exists():
        os.replace(checkpoint, folder / EXAMPLES_NAME)
        sync(folder)


def read_examples(folder: Path, run_id: str) -> list[Example]:
    """The examples of a finished run; none where the folder has none.

    OutputError when they are damaged or another run's.
    """
    if not (folder / EXAMPLES_NAME).exists():
        return []
    return _examples(folder / EXAMPLES_NAME, _read(folder / EXAMPLES_NAME, run_id))


def _schema() -> pa.Schema:
    """The columns of an example and, in a row of its own, the state.

    Metadata could not hold what a million domains add up to.
    """
    import pyarrow as pa

    return example_schema().append(pa.field("state", pa.large_binary()))


def _read(path: Path, run_id: str) -> pa.Table:
    import pyarrow.parquet as pq

    check_is_file(path)
    with reading_part(path, "checkpoint"):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        table.validate(full=True)
    if run_id_of(table.schema) != run_id or not table.schema.equals(_schema()):
        raise OutputError(f"{path}: is not the checkpoint of the run in its folder")
    return table


def _state(path: Path, table: pa.Table, inputs: int) -> RunState:
    stored = table["state"][0].as_py() if table.num_rows else None
    try:
        return RunState.from_json(parse_json_object(stored or b"", **STRICT), inputs)
    except (JSONError, ShapeError) as error:
        raise OutputError(f"{path}: state: {error}; the file is damaged") from None


def _examples(path: Path, table: pa.Table) -> list[Example]:
    try:
        return from_table(table.slice(1).drop_columns("state"))
    except ShapeError as error:
        raise OutputError(f"{path}: {error}; the file is damaged") from None
