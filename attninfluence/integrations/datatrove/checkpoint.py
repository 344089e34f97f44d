"""The scores of one task, kept while it runs, so that a killed task does not start over.

    FOLDER/00007/rows-000000000.parquet      rows 0 to 5119 of task 7
    FOLDER/00007/rows-000005120.parquet      the next ones

A part is named by the place of its first document among the task's. It holds scores and digests of
texts, no text; its metadata says how the scores were made, so that others are not taken for them.
Parts are published whole.

On a local or mounted file system a task's subfolder is locked (`.lock`) while the task runs, and a
second launch is refused; a temporary file found there is therefore a dead run's. In one process a
launch ends the one before it, which may have failed and hang on its exception. An object store has
no locks: launches that run together write the same scores, a part that is there is kept, and the
worst that comes of them is rows that are scored again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.json_values import STRICT, parse_json_object
from attninfluence.integrations.datatrove.files import (
    is_published,
    list_names,
    publish_bytes,
    read_bytes,
    remove_unfinished,
)
from attninfluence.output.schema import score_schema
from attninfluence.run.lock import LockedError, RunLock, UnlockableError

if TYPE_CHECKING:
    import pyarrow as pa
    from datatrove.data import Document
    from datatrove.io import DataFolder

MADE_HOW = b"attninfluence.made_how"
TEXT = "text_digest"
PART_ROWS = 1 << 16

Row = dict[str, Any]

# Those that hold a folder's lock, by process, as a fork has its parent's too, and folder.
_holders: dict[tuple[int, str], TaskCheckpoint] = {}


class CheckpointError(ValueError):
    """A checkpoint is in use, or of another run or other documents; the message says which."""


class TaskCheckpoint:
    """The stored and the new scores of one task's documents, in the documents' order.

    made_how: everything that decides a score, in JSON values. seconds: between two parts. Use it in
    a `with` statement, which raises CheckpointError at once while another launch of the task holds
    the folder; its end, for whatever reason, publishes the rows added last.
    """

    def __init__(
        self, folder: DataFolder, rank: int, made_how: dict[str, Any], seconds: float
    ) -> None:
        self._folder = folder
        self._name = f"{rank:05d}"
        self._made_how = parse_json_object(json.dumps(made_how))
        self._seconds = seconds
        self._rows = 0  # in the parts that are published, as far as they have been read
        self._pending: list[pa.Table] = []
        self._published = 0.0
        self._names: set[str] = set()
        self._is_ended = False
        self._at_end = ExitStack()

    def stored(self) -> Iterator[Row]:
        """The rows of the published parts with their digests; read all of it before adding any.

        CheckpointError for scores that were made in another way.
        """
        while (name := _part_name(self._rows)) in self._names:
            rows = self._read(name).to_pylist()  # at least one, so that this goes on
            yield from rows
            self._rows += len(rows)
        self._published = time.monotonic()

    def take(self, row: Row, document: Document) -> Row:
        """A stored row without its digest; CheckpointError when it is of another text."""
        if row[TEXT] != text_digest(document.text):
            raise CheckpointError(
                f"{self._path()}: holds scores of other documents: the one with id "
                f"{document.id!r} has another text than was scored in its place; remove the folder "
                f"when the input has changed"
            )
        return {name: value for name, value in row.items() if name != TEXT}

    def refuse_missing(self) -> CheckpointError:
        """The error for a task that has fewer documents than scores are stored for."""
        return CheckpointError(
            f"{self._path()}: holds scores of more documents than the task has now; remove the "
            f"folder when the input has changed"
        )

    def add(self, documents: Sequence[Document], columns: dict[str, Any]) -> None:
        """Append the scores of the next documents; publish a part when it is time.

        CheckpointError after the end.
        """
        import pyarrow as pa

        if self._is_ended:
            raise CheckpointError(
                f"{self._path()}: another run of the task goes on with it in this process"
            )
        digests = pa.array([text_digest(document.text) for document in documents], pa.binary(16))
        self._pending.append(pa.table({TEXT: digests, **columns}))
        is_due = time.monotonic() - self._published >= self._seconds
        if is_due or sum(table.num_rows for table in self._pending) >= PART_ROWS:
            self.publish()

    def publish(self) -> None:
        """Make the rows added since the last part last."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        pending = [table for table in self._pending if table.num_rows]
        if pending:
            table = pa.concat_tables(pending)
            made_how = {MADE_HOW: json.dumps(self._made_how)}
            buffer = pa.BufferOutputStream()
            pq.write_table(
                table.replace_schema_metadata(made_how),
                buffer,
                compression="zstd",
                write_page_checksum=True,
            )
            name = f"{self._name}/{_part_name(self._rows)}"
            if not is_published(self._folder, name):
                publish_bytes(self._folder, name, buffer.getvalue().to_pybytes())
            self._rows += table.num_rows
            self._pending.clear()
        self._published = time.monotonic()

    def __enter__(self) -> TaskCheckpoint:
        with ExitStack() as stack:
            if self._folder.is_local():
                self._lock(stack)
                remove_unfinished(self._folder, self._name)
            self._names = list_names(self._folder, self._name)
            self._at_end = stack.pop_all()
        return self

    def end(self) -> None:
        """Publish the rows added last and let another run have the folder."""
        self._is_ended = True
        with self._at_end:
            self.publish()

    def __exit__(self, *error: object) -> None:
        self.end()

    def _lock(self, stack: ExitStack) -> None:
        path = self._path()
        if earlier := _holders.get((os.getpid(), path)):
            earlier.end()
        Path(path).mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(RunLock(path))
        except UnlockableError as error:
            raise CheckpointError(str(error)) from None
        except LockedError as error:
            raise CheckpointError(f"{error}; wait for that run of the task, or end it") from None
        _holders[os.getpid(), path] = self
        stack.callback(_holders.pop, (os.getpid(), path))

    def _read(self, name: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = f"{self._path()}/{name}"
        try:
            stored = io.BytesIO(read_bytes(self._folder, f"{self._name}/{name}"))
            with pq.ParquetFile(stored, page_checksum_verification=True) as file:
                table = file.read()
            table.validate(full=True)
            made_how = parse_json_object((table.schema.metadata or {})[MADE_HOW], **STRICT)
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise CheckpointError(f"{path}: not a readable part of a checkpoint") from error
        _check_made_how(path, made_how, self._made_how)
        _check_table(path, table, has_control=bool(made_how.get("control")))
        return table

    def _path(self) -> str:
        return str(self._folder.resolve_paths(self._name))


def text_digest(text: object) -> bytes:
    """16 bytes that tell a document's text, or whatever stands in its place, from others."""
    if isinstance(text, str):
        data = b"s" + text.encode("utf-8", "surrogatepass")
    else:
        data = b"b" + text if isinstance(text, bytes) else b"t" + type(text).__name__.encode()
    return hashlib.blake2b(data, digest_size=16).digest()


def _part_name(first_row: int) -> str:
    return f"rows-{first_row:09d}.parquet"


def _check_table(path: str, table: pa.Table, *, has_control: bool) -> None:
    """CheckpointError unless the table holds rows of scores with the digests of their texts."""
    import pyarrow as pa

    schema = score_schema(has_control)
    scored = schema.names[schema.get_field_index("n_tokens") :]
    expected = {TEXT: pa.binary(16), **{name: schema.field(name).type for name in scored}}
    found = {field.name: field.type for field in table.schema}
    if found != expected or len(found) != table.num_columns:
        told = f"the columns {', '.join(expected)} with their types"
    elif not table.num_rows or any(column.null_count for column in table.columns):
        told = "a row or more, each with a value in every column"
    else:
        return
    raise CheckpointError(f"{path}: not a part of a checkpoint: expected {told}")


def _check_made_how(path: str, stored: dict[str, Any], now: dict[str, Any]) -> None:
    for name in sorted(stored.keys() | now.keys()):
        if stored.get(name) != now.get(name):
            raise CheckpointError(
                f"{path}: holds scores made in another way: {name} is {stored.get(name)!r} there "
                f"and {now.get(name)!r} now; name another checkpoint folder"
            )
