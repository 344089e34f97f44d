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
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.paths import expand_home
from attninfluence.output.contents import RUN_JSON, WHOLE_SUCCESS, check_content, check_sums
from attninfluence.output.differences import (
    Difference,
    differences,
    in_words,
    with_count,
    without_kernel,
)
from attninfluence.output.files import (
    FORMAT_VERSION,
    RUN_NAME,
    SUCCESS_NAME,
    OutputError,
    check_is_folder,
    format_name,
    part_name,
    read_json,
    write_run,
    write_success,
)
from attninfluence.output.part import PartWriter, last_key, open_part
from attninfluence.run.checkpoint import (
    keep_as_examples,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from attninfluence.run.examples import Reservoir
from attninfluence.run.lock import RunLock
from attninfluence.run.state import RunState

if TYPE_CHECKING:
    import pyarrow as pa

KERNEL_KEY = b"attninfluence.kernel"

# A new folder may hold hidden files of others.
_TEMPORARY = re.compile(r"\.(part-\d{5,}|\.checkpoint-\d{5,}|run\.json|_SUCCESS)\..+\.tmp")
_PART = re.compile(r"part-\d{5,}\.parquet")

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
        self.path = Path(expand_home(path))
        self.run_id = ""
        self.parts = 0
        self.totals: dict[str, Any] | None = None  # of a run that is finished already
        self.description: dict[str, Any] = {}  # what run.json records
        self._lock = RunLock(self.path)
        self._is_locked = True

    def __enter__(self) -> ResumableFolder:
        check_is_folder(self._given)
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

    def __exit__(self, *error: object) -> None:
        if self._is_locked:
            self._lock.__exit__(*error)

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
            self.run_id = secrets.token_hex(8)
            self.description = description
            write_run(self.path, "scores", self.run_id, description)
            return RunState(), Reservoir()
        recorded = read_json(self.path / RUN_NAME)
        _check_kind(self.path, recorded)
        check_content(self.path / RUN_NAME, recorded, RUN_JSON["scores"])
        _check_same(self.path, recorded, description, mixed_kernels)
        self._remove_temporaries()  # of this very run, which is dead: its lock is ours
        self.run_id, self.description = recorded["run_id"], recorded
        if (self.path / SUCCESS_NAME).exists():
            self.totals = read_json(self.path / SUCCESS_NAME)
            if self.totals.get("run_id") != self.run_id:
                raise OutputError(f"{self.path / SUCCESS_NAME}: is not of the run in its folder")
            check_content(self.path / SUCCESS_NAME, self.totals, WHOLE_SUCCESS)
            check_sums(self.path / SUCCESS_NAME, self.totals)
        return self._load()

    def _remove_temporaries(self) -> None:
        for name in os.listdir(self.path):
            if _TEMPORARY.fullmatch(name):
                (self.path / name).unlink()

    def _load(self) -> tuple[RunState, Reservoir]:
        """The state after the parts that are there."""
        self.parts, rows = self._count_parts()
        state, examples = RunState(), Reservoir()
        if self.parts:
            inputs = len(self.description.get("inputs", []))
            state, examples = read_checkpoint(self.path, self.parts, self.run_id, inputs)
        if rows != state.tally.rows or (self.totals and rows != self.totals.get("rows")):
            raise OutputError(
                f"{self.path}: its parts hold {rows:,} rows, its checkpoint counts "
                f"{state.tally.rows:,}; the run is damaged: name another folder"
            )
        if rows:
            self._check_place(state)
        remove_checkpoints(self.path, but=self.parts)
        return state, examples

    def _check_place(self, state: RunState) -> None:
        """OutputError unless the next row is the one after the last: another one would be lost, or
        written twice."""
        part = self.path / part_name(self.parts - 1)
        last = last_key(part, self.run_id)
        counted = self.description["inputs"][state.file]["file"], state.row - 1
        if last != counted:
            raise OutputError(
                f"{part}: its last row is {_told(last)}, its checkpoint counts up to"
                f" {_told(counted)}; the run is damaged: name another folder"
            )

    def _count_parts(self) -> tuple[int, int]:
        """The parts that are there, of which none may be missing, and their rows by the footers."""
        names = os.listdir(self.path)
        parts = sum(_PART.fullmatch(name) is not None for name in names)
        for index in range(parts):
            if part_name(index) not in names:
                raise OutputError(
                    f"{self.path / part_name(index)}: missing, though later parts are there; the "
                    "run is damaged: name another folder"
                )
        rows = 0
        for index in range(parts):
            with open_part(self.path / part_name(index), self.run_id) as file:
                rows += int(file.metadata.num_rows)
        return parts, rows

    def part(self, schema: pa.Schema, kernel: str) -> PartWriter:
        """A writer of the next part; give it to `publish`, or discard it."""
        final = self.path / part_name(self.parts)
        return PartWriter(final, self.run_id, schema, {KERNEL_KEY: kernel.encode()})

    def publish(self, part: PartWriter, state: RunState, examples: Reservoir) -> None:
        """Make the part the next one of the run; `state` and `examples` count it."""
        write_checkpoint(self.path, self.parts + 1, self.run_id, state, examples)
        part.publish()
        self.parts += 1
        remove_checkpoints(self.path, but=self.parts)

    def finish(self, totals: dict[str, Any]) -> None:
        """Write _SUCCESS: every part is published and the totals are these."""
        keep_as_examples(self.path, self.parts)
        write_success(self.path, self.run_id, self.parts, totals)


def _told(key: tuple[str, int] | None) -> str:
    return "none" if key is None else f"row {key[1]} of {key[0]!r}"


def _check_kind(folder: Path, recorded: dict[str, Any]) -> None:
    """OutputError for a run.json that need not be arranged as that of scores is."""
    kind = {name: recorded.get(name) for name in ("format", "version")}
    found = differences(kind, {"format": format_name("scores"), "version": FORMAT_VERSION})
    if found:
        raise OutputError(
            f"{folder}: its {RUN_NAME} is not of a run of `score` of this version"
            f" ({in_words(found, 'recorded', 'expected')}); name another folder"
        )


def _check_same(
    folder: Path, recorded: dict[str, Any], given: dict[str, Any], mixed_kernels: bool
) -> None:
    """OutputError when the folder's run was given something else that decides a score."""
    there, here = _identity(recorded), _identity(given)
    found = [one for one in differences(there, here) if not _is_size_alone(one)]
    if mixed_kernels:
        found = without_kernel(found)
    if not found:
        _check_order(folder, recorded, given)
        return
    hint = ""
    if not without_kernel(found):
        hint = "; allow mixed kernels (--mixed-kernels), or name the recorded one (--kernel)"
    raise OutputError(
        f"{folder}: holds a run that was given something else:"
        f" {in_words(found, 'recorded', 'given')}{hint}. Give the same, or name another folder"
    )


def _is_size_alone(found: Difference) -> bool:
    """An input of another size: that matters once rows of it are scored, which the state tells."""
    is_input = found.name.startswith("inputs.")
    return is_input and found.there is not None and found.here is not None


def _check_order(folder: Path, recorded: dict[str, Any], given: dict[str, Any]) -> None:
    """The place of the next row counts the files before it."""
    there, here = ([item["file"] for item in run.get("inputs", [])] for run in (recorded, given))
    if len(there) != len(here):
        raise OutputError(f"{folder / RUN_NAME}: names an input file twice; the file is damaged")
    for was, now in zip(there, here, strict=True):
        if was != now:
            raise OutputError(
                f"{folder}: holds a run over the same files in another order: {was} came "
                f"where {now} comes now. Give them as they were, or name another folder"
            )


def _identity(description: dict[str, Any]) -> dict[str, Any]:
    """What decides rows and scores, arranged so that differences read well."""
    head = ("format", "version", "attninfluence", "run_id")
    identity = {k: v for k, v in description.items() if k not in (*head, *_MAY_DIFFER)}
    model = identity.get("model", {})
    identity["scoring"] = with_count(identity.get("scoring", {}))
    identity["model"] = {k: v for k, v in model.items() if k in ("fingerprint", "tokenizer")}
    identity["inputs"] = {item["file"]: item["bytes"] for item in identity.get("inputs", [])}
    return identity
