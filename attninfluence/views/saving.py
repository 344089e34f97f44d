"""What can be shown, saved: a page, or a table as Parquet or JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.replacing import replacing

if TYPE_CHECKING:
    import pyarrow as pa

    from attninfluence.views.view import View


def save_result(
    path: str | PathLike[str], *, view: Callable[[], View], table: Callable[[], pa.Table]
) -> None:
    """Write a view to a .html file, or a table to a .parquet or .jsonl file, whole or not at all.

    What is written is made once the suffix is known to be right; ValueError for another one.
    """
    path = Path(path)
    if path.suffix == ".html":
        view().save(path)
        return
    writers: dict[str, Callable[[pa.Table, Path], None]] = {
        ".parquet": _write_parquet,
        ".jsonl": _write_jsonl,
    }
    if path.suffix not in writers:
        raise ValueError(f"{str(path)!r}: expected a name that ends in .parquet, .jsonl or .html")
    made = table()
    with replacing(path) as file:
        writers[path.suffix](made, file)


def null_for_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _write_parquet(table: pa.Table, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path, compression="zstd")


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in table.to_batches(max_chunksize=1024):
            for row in batch.to_pylist():
                file.write(json.dumps(row, ensure_ascii=False, default=null_for_nan) + "\n")
