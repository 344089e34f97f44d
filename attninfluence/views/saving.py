"""What can be looked at is shown in a notebook; what has a table as well is saved as either."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.replacing import replacing

if TYPE_CHECKING:
    import pyarrow

    from attninfluence.views.view import View


class Shown:
    """What has a view."""

    __slots__ = ()

    def view(self) -> View:
        """What it looks like."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        """A notebook shows `view()`."""
        return self.view()._repr_html_()


class Saved(Shown):
    """What has a view and a table; what is written is made once the suffix is known to be right."""

    __slots__ = ()

    def to_arrow(self) -> pyarrow.Table:
        """Its table."""
        raise NotImplementedError

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page of `view` to a .html file, or `to_arrow` to a .parquet or .jsonl file.

        A file is written whole or not at all.

        Raises:
            ValueError: for another suffix.
            OSError: when the file cannot be written.
        """
        path = Path(path)
        if path.suffix == ".html":
            self.view().save(path)
            return
        writers: dict[str, Callable[[pyarrow.Table, Path], None]] = {
            ".parquet": _write_parquet,
            ".jsonl": _write_jsonl,
        }
        if path.suffix not in writers:
            raise ValueError(
                f"{str(path)!r}: expected a name that ends in .parquet, .jsonl or .html"
            )
        table = self.to_arrow()
        with replacing(path) as file:
            writers[path.suffix](table, file)


def null_for_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _write_parquet(table: pyarrow.Table, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path, compression="zstd")


def _write_jsonl(table: pyarrow.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in table.to_batches(max_chunksize=1024):
            for row in batch.to_pylist():
                file.write(json.dumps(row, ensure_ascii=False, default=null_for_nan) + "\n")
