"""The small files that say how far a run has come, and the documents it keeps to be shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attninfluence.output.files import (
    RUN_ID_KEY,
    OutputError,
)
from attninfluence.run.examples import Example, from_table

if TYPE_CHECKING:
    import pyarrow as pa

EXAMPLES_NAME = "_examples.parquet"


def checkpoint_name(parts: int) -> str:
    return f".checkpoint-{parts:05d}.parquet"


def read_checkpoint(path: Path, run_id: str) -> pa.Table:
    """The state in the first row, an example in each other one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise OutputError(f"{path}: not a readable checkpoint ({error})") from error
    found = (table.schema.metadata or {}).get(RUN_ID_KEY, b"none").decode("ascii", "replace")
    if found != run_id or "state" not in table.column_names:
        raise OutputError(f"{path}: is not the checkpoint of the run in its folder")
    return table


def read_examples(folder: Path, run_id: str) -> list[Example]:
    """The examples of a finished run; none where the folder has none.

    OutputError when they are damaged or another run's.
    """
    if not (folder / EXAMPLES_NAME).exists():
        return []
    table = read_checkpoint(folder / EXAMPLES_NAME, run_id)
    return from_table(table.slice(1).drop_columns("state"))
