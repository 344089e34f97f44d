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

from attninfluence.base.json_values import STRICT, parse_json_object
from attninfluence.base.replacing import sync
from attninfluence.output.files import OutputError
from attninfluence.output.part import PartWriter, run_id_of
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

    # In a row of its own, as metadata could not hold what a million domains add up to.
    schema = example_schema().append(pa.field("state", pa.large_binary()))
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


def read_checkpoint(folder: Path, parts: int, run_id: str) -> tuple[RunState, Reservoir]:
    """What the checkpoint that counts so many parts holds, the examples' file if need be."""
    for name in (_name(parts), EXAMPLES_NAME):
        if (folder / name).exists():
            table = _read(folder / name, run_id)
            state = RunState.from_json(parse_json_object(table["state"][0].as_py(), **STRICT))
            return state, Reservoir(_examples(table))
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
    return _examples(_read(folder / EXAMPLES_NAME, run_id))


def _read(path: Path, run_id: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise OutputError(f"{path}: not a readable checkpoint ({error})") from error
    if run_id_of(table.schema) != run_id or "state" not in table.column_names:
        raise OutputError(f"{path}: is not the checkpoint of the run in its folder")
    return table


def _examples(table: pa.Table) -> list[Example]:
    return from_table(table.slice(1).drop_columns("state"))
