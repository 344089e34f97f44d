"""The output folder of a run over a corpus: killed at any instant, the same run goes on.

    OUT/.lock                      while a run writes here
    OUT/run.json                   what decides the rows and their scores
    OUT/part-00000.parquet ...     the rows, in the order of the inputs
    OUT/.checkpoint-00007.parquet  totals and examples of the first 7 parts; at the end
    OUT/_examples.parquet          ... under this name
    OUT/_SUCCESS                   last, with the totals

The checkpoint that counts a part is published before the part, and the one before it removed
after: whichever parts are there, their checkpoint is. What a dead run left unpublished is removed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.replacing import sync
from attninfluence.corpus.files import is_url
from attninfluence.output.differences import differences, in_words
from attninfluence.output.files import (
    FORMAT_VERSION,
    RUN_NAME,
    SUCCESS_NAME,
    OutputError,
    part_name,
    read_json,
    write_json,
)
from attninfluence.output.part import PartWriter, open_part
from attninfluence.run.checkpoint import EXAMPLES_NAME, checkpoint_name, read_checkpoint
from attninfluence.run.examples import Reservoir, example_schema, from_table, to_table
from attninfluence.run.lock import RunLock
from attninfluence.run.state import RunState

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

FORMAT = "attninfluence-scores"
KERNEL_KEY = b"attninfluence.kernel"

_TEMPORARY = re.compile(r"\..*\.tmp")
_PART = re.compile(r"part-\d{5,}\.parquet")
_CHECKPOINT = re.compile(r"\.checkpoint-\d{5,}\.parquet")

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)

# Where a run looks for its inputs, and what it does about bad ones, decides no score.
_MAY_DIFFER = ("folder", "on_bad_shard")


class ResumableFolder:
    """The folder of one run, locked while a `with` statement lasts.

    with ResumableFolder("scores") as folder:
        state, examples = folder.begin(description)
        if folder.totals is None:
            part = folder.part(schema, kernel)
            part.write(table)
            folder.publish(part, state, examples)
            folder.finish(totals)

    LockedError while another run writes here. The folder of a finished run need not be writable.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._given = path
        self.path = Path(path)
        self.run_id = ""
        self.parts = 0
        self.totals: dict[str, Any] | None = None  # of a run that is finished already
        self._lock = RunLock(self.path)
        self._is_locked = True

    def __enter__(self) -> ResumableFolder:
        if is_url(str(self._given)):
            raise OutputError(f"{self._given}: an output folder is local or mounted, not a URL")
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path}: is a file; name a folder for the output")
        self._check_kind()
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.__enter__()
        except OSError as error:
            # A finished run can be told again from where nothing can be written.
            if error.errno not in _READ_ONLY or not (self.path / SUCCESS_NAME).is_file():
                raise
            self._is_locked = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_locked:
            self._lock.__exit__(kind, error, traceback)

    def _check_kind(self) -> None:
        """OutputError when the folder holds anything and that is no run of this kind."""
        if not self.path.is_dir() or (self.path / RUN_NAME).exists():
            return
        others = [name for name in sorted(os.listdir(self.path)) if not name.startswith(".")]
        if others:
            raise OutputError(
                f"{self.path}: is not empty (it holds {others[0]!r}) and has no {RUN_NAME}; "
                "nothing is overwritten: name another folder"
            )

    def begin(
        self, description: dict[str, Any], mixed_kernels: bool = False
    ) -> tuple[RunState, Reservoir]:
        """Start the run, or go on with it: the state and the examples that its parts have.

        description: what run.json records, JSON values. When the folder's run was given anything
        else that decides a score, OutputError says what; `mixed_kernels` lets the kernel differ.
        """
        if not (self.path / RUN_NAME).exists():
            self._remove_temporaries()
            self._start(description)
            return RunState(), Reservoir()
        recorded = read_json(self.path / RUN_NAME)
        self._check_same(recorded, description, mixed_kernels)
        self._remove_temporaries()  # of this very run, which is dead: its lock is ours
        self.run_id = recorded["run_id"]
        if (self.path / SUCCESS_NAME).exists():
            self.totals = read_json(self.path / SUCCESS_NAME)
            if self.totals.get("run_id") != self.run_id:
                raise OutputError(f"{self.path / SUCCESS_NAME}: is not of the run in its folder")
        return self._load()

    def _remove_temporaries(self) -> None:
        for name in os.listdir(self.path):
            if _TEMPORARY.fullmatch(name):
                (self.path / name).unlink()

    def _start(self, description: dict[str, Any]) -> None:
        from attninfluence.base.version import __version__

        self.run_id = secrets.token_hex(8)
        head = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "attninfluence": __version__,
            "run_id": self.run_id,
        }
        write_json(self.path / RUN_NAME, {**head, **description})

    def _check_same(
        self, recorded: dict[str, Any], description: dict[str, Any], mixed_kernels: bool
    ) -> None:
        kind = {name: recorded.get(name) for name in ("format", "version")}
        found = differences(kind, {"format": FORMAT, "version": FORMAT_VERSION})
        found += differences(_identity(recorded), _identity(description))
        kernel = [one for one in found if one.name == "scoring.kernel"]
        if mixed_kernels:
            found = [one for one in found if one not in kernel]
        if not found:
            self._check_order(recorded, description)
        if found:
            hint = ""
            if found == kernel:
                hint = (
                    "; allow mixed kernels (--mixed-kernels), or name the recorded one (--kernel)"
                )
            raise OutputError(
                f"{self.path}: holds a run that was given something else:"
                f" {in_words(found, 'recorded', 'given')}{hint}. Give the same, or name another"
                " folder"
            )

    def _check_order(self, recorded: dict[str, Any], description: dict[str, Any]) -> None:
        """The place of the next row counts the files before it."""
        there, here = (
            [item["file"] for item in run.get("inputs", [])] for run in (recorded, description)
        )
        for was, now in zip(there, here, strict=True):
            if was != now:
                raise OutputError(
                    f"{self.path}: holds a run over the same files in another order: {was} came "
                    f"where {now} comes now. Give them as they were, or name another folder"
                )

    def _load(self) -> tuple[RunState, Reservoir]:
        """The state after the parts that are there."""
        names = os.listdir(self.path)
        self.parts = sum(_PART.fullmatch(name) is not None for name in names)
        for index in range(self.parts):
            if part_name(index) not in names:
                raise OutputError(
                    f"{self.path / part_name(index)}: missing, though later parts are there; the "
                    "run is damaged: name another folder"
                )
        state, reservoir = RunState(), Reservoir()
        rows = sum(self._count_rows(self.path / part_name(index)) for index in range(self.parts))
        if self.parts:
            table = read_checkpoint(self._checkpoint_path(), self.run_id)
            state = RunState.from_json(json.loads(table["state"][0].as_py()))
            reservoir = Reservoir(from_table(table.slice(1).drop_columns("state")))
        if rows != state.tally.rows or (self.totals and rows != self.totals.get("rows")):
            raise OutputError(
                f"{self.path}: its parts hold {rows:,} rows, its checkpoint counts "
                f"{state.tally.rows:,}; the run is damaged: name another folder"
            )
        self._remove_checkpoints(but=self.parts)
        return state, reservoir

    def _count_rows(self, part: Path) -> int:
        """Rows of a part of this run, by its footer."""
        with open_part(part, self.run_id) as file:
            return int(file.metadata.num_rows)

    def _checkpoint_path(self) -> Path:
        for name in (checkpoint_name(self.parts), EXAMPLES_NAME):
            if (self.path / name).exists():
                return self.path / name
        raise OutputError(
            f"{self.path}: has {self.parts} parts and no checkpoint that counts them; the run is "
            "damaged: name another folder"
        )

    def _remove_checkpoints(self, but: int) -> None:
        for name in os.listdir(self.path):
            if _CHECKPOINT.fullmatch(name) and name != checkpoint_name(but):
                (self.path / name).unlink()

    def part(self, schema: pa.Schema, kernel: str) -> PartWriter:
        """A writer of the next part; give it to `publish`, or discard it."""
        final = self.path / part_name(self.parts)
        return PartWriter(final, self.run_id, schema, {KERNEL_KEY: kernel.encode()})

    def publish(self, part: PartWriter, state: RunState, examples: Reservoir) -> None:
        """Make the part the next one of the run; `state` and `examples` count it."""
        self._write_checkpoint(state, examples)
        part.publish()
        self.parts += 1
        self._remove_checkpoints(but=self.parts)

    def _write_checkpoint(self, state: RunState, examples: Reservoir) -> None:
        import pyarrow as pa

        # In a row of its own, as metadata could not hold what a million domains add up to.
        schema = example_schema().append(pa.field("state", pa.large_binary()))
        stored = json.dumps(state.to_json(), ensure_ascii=True).encode()
        final = self.path / checkpoint_name(self.parts + 1)
        final.unlink(missing_ok=True)  # of an attempt whose part could not be written
        writer = PartWriter(final, self.run_id, schema)
        try:
            writer.write(pa.Table.from_pylist([{"state": stored}], schema))
            for table in to_table(examples).to_batches():
                nothing = pa.nulls(table.num_rows, pa.large_binary())
                writer.write(pa.table([*table.columns, nothing], schema))
            writer.publish()
        finally:
            writer.discard()

    def finish(self, totals: dict[str, Any]) -> None:
        """Write _SUCCESS: every part is published and the totals are these."""
        checkpoint = self.path / checkpoint_name(self.parts)
        if checkpoint.exists():
            os.replace(checkpoint, self.path / EXAMPLES_NAME)
            sync(self.path)
        head = {"run_id": self.run_id, "parts": self.parts}
        write_json(self.path / SUCCESS_NAME, {**head, **totals})


def _identity(description: dict[str, Any]) -> dict[str, Any]:
    """What decides rows and scores, arranged so that differences read well."""
    head = ("format", "version", "attninfluence", "run_id")
    identity = {k: v for k, v in description.items() if k not in (*head, *_MAY_DIFFER)}
    model = identity.get("model", {})
    identity["model"] = {k: v for k, v in model.items() if k in ("fingerprint", "tokenizer")}
    identity["inputs"] = {item["file"]: item["bytes"] for item in identity.get("inputs", [])}
    return identity
