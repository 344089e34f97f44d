"""Output folders: Parquet part files, what made them, and the mark that all of them are there.

    OUT/part-00000.parquet ...   published whole or not at all
    OUT/run.json                 what the run was given: digests, options, inputs with their sizes
    OUT/_SUCCESS                 written last, with the totals

A part is written as ``.part-00007.<run id>.tmp``, closed, reopened to check its row count, synced
and renamed, and its folder is synced; a file under its final name is therefore complete, even
after the power fails. Each part carries the run's id in its metadata, so a part of another run is
noticed. A folder belongs to one run. One that holds anything is refused here; a run over a corpus
goes on where it was (`attninfluence.run.folder`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.paths import expand_home
from attninfluence.output.files import (
    RUN_NAME,
    SUCCESS_NAME,
    OutputError,
    check_is_folder,
    part_name,
    write_run,
    write_success,
)
from attninfluence.output.part import PartWriter

if TYPE_CHECKING:
    import pyarrow as pa


class OutputFolder:
    """A folder in the course of being written by one run.

    kind  what it will hold: ``scores``, ``selection`` or ``mix``
    """

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        self._given = path
        self.path = Path(expand_home(path))
        self.kind = kind
        self.run_id = secrets.token_hex(8)
        self.parts = 0

    def check_unused(self) -> None:
        """Raise OutputError when the folder holds anything already."""
        check_is_folder(self._given, "a new folder")
        names = sorted(os.listdir(self.path)) if self.path.exists() else []
        if not names:
            return
        if SUCCESS_NAME in names:
            state = "holds a finished run"
        elif RUN_NAME in names:
            state = "holds a run that did not finish, or that another process still writes"
        else:
            state = f"is not empty (it holds {names[0]!r})"
        raise OutputError(
            f"{self.path}: {state}; nothing is overwritten: remove the folder or name another one"
        )

    def start(self, run: dict[str, Any]) -> None:
        """Create the folder and write its run.json, `run` and the run's own id."""
        self.check_unused()
        self.path.mkdir(parents=True, exist_ok=True)
        write_run(self.path, self.kind, self.run_id, run)

    @contextmanager
    def part(self, schema: pa.Schema) -> Iterator[PartWriter]:
        """A writer of the next part file, which is published when the block succeeds."""
        part = PartWriter(self.path / part_name(self.parts), self.run_id, schema)
        try:
            yield part
            part.publish()
            self.parts += 1
        finally:
            part.discard()

    def finish(self, totals: dict[str, Any]) -> None:
        """Write _SUCCESS: every part is published and the totals are these."""
        write_success(self.path, self.run_id, self.parts, totals)
