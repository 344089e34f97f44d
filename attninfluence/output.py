"""Output folders: Parquet part files, what made them, and the mark that all of them are there.

    OUT/part-00000.parquet ...   published whole or not at all
    OUT/run.json                 what the run was given: digests, options, inputs with their sizes
    OUT/_SUCCESS                 written last, with the totals

A part is written as ``.part-00007.<run id>.tmp``, closed, reopened to check its row count, synced
and renamed, and its folder is synced; a file under its final name is therefore complete, even
after the power fails. Each part carries the run's id in its metadata, so a part of another run is
noticed. A folder belongs to one run. One that holds anything is refused here; a run over a corpus
goes on where it was (`attninfluence.resumable`).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from attninfluence.base.replacing import naming, sync

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

RUN_NAME = "run.json"
SUCCESS_NAME = "_SUCCESS"
RUN_ID_KEY = b"attninfluence.run_id"
FORMAT_VERSION = 2
ROW_GROUP_ROWS = 8192
ROW_GROUP_BYTES = 64 << 20


class OutputError(ValueError):
    """An output folder cannot be used, or does not hold what it should; the message names it."""


def score_schema(
    control: bool = False, text: bool = False, kept: Mapping[str, pa.DataType] | None = None
) -> pa.Schema:
    """The columns of a score table (DESIGN.md section 4); null where there is no number.

    `control` adds the losses under the control heads, `text` the document itself, `kept` columns
    of the input. OutputError when one of these has the name of another column.
    """
    import pyarrow as pa

    fields = [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("n_tokens", pa.int64(), nullable=False),
        pa.field("n_scored", pa.int64(), nullable=False),
        pa.field("base_loss", pa.float64()),
        pa.field("ref_loss", pa.float64()),
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("repaired", pa.bool_(), nullable=False),
    ]
    if control:
        fields += [pa.field("control_loss", pa.float64()), pa.field("control_score", pa.float64())]
    if text:
        fields.append(pa.field("text", pa.large_string()))
    for name, kind in (kept or {}).items():
        if name in [field.name for field in fields]:
            raise OutputError(
                f"the column {name!r} cannot be kept: the scores have one of that name"
            )
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished temporary file its final name, durably. An existing file is kept."""
    if final.exists():
        raise OutputError(f"{final}: already exists; another run is writing into {final.parent}")
    sync(temporary)
    os.replace(temporary, final)
    sync(final.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a new JSON file whole or not at all. NaN is refused, since JSON has none."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with naming(temporary):
            temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file of an output folder."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise OutputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise OutputError(f"{path}: expected a JSON object")
    return value


class OutputFolder:
    """A folder in the course of being written by one run.

    kind  what it will hold: ``scores``, ``selection`` or ``mix``
    """

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        self._given = os.fspath(path)
        self.path = Path(path)
        self.kind = kind
        self.run_id = secrets.token_hex(8)
        self.parts = 0

    def check_unused(self) -> None:
        """Raise OutputError when the folder holds anything already."""
        if "://" in self._given:
            raise OutputError(f"{self._given}: an output folder is local or mounted, not a URL")
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path}: is a file; name a new folder for the output")
        names = sorted(os.listdir(self.path)) if self.path.exists() else []
        if not names:
            return
        if SUCCESS_NAME in names:
            state = "holds a finished run"
        elif RUN_NAME in names:
            state = "holds a run that did not finish"
        else:
            state = f"is not empty (it holds {names[0]!r})"
        raise OutputError(
            f"{self.path}: {state}; nothing is overwritten: remove the folder or name another one"
        )

    def start(self, run: dict[str, Any]) -> None:
        """Create the folder and write its run.json, `run` and the run's own id."""
        from attninfluence.base.version import __version__

        self.check_unused()
        self.path.mkdir(parents=True, exist_ok=True)
        head = {
            "format": f"attninfluence-{self.kind}",
            "version": FORMAT_VERSION,
            "attninfluence": __version__,
            "run_id": self.run_id,
        }
        write_json(self.path / RUN_NAME, {**head, **run})

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
        head = {"run_id": self.run_id, "parts": self.parts}
        write_json(self.path / SUCCESS_NAME, {**head, **totals})


def part_name(index: int) -> str:
    return f"part-{index:05d}.parquet"


class PartWriter:
    """A Parquet file of one run: nothing is seen of it until `publish`, and nothing ever after
    `discard`. Rows are gathered into row groups, so memory does not grow with the file.

    The file is written in Python, so that an error of the system names it.
    """

    def __init__(
        self,
        final: Path,
        run_id: str,
        schema: pa.Schema,
        metadata: Mapping[bytes, bytes] | None = None,
    ) -> None:
        import pyarrow.parquet as pq

        self.rows = 0
        self._final = final
        self._schema = schema.with_metadata({RUN_ID_KEY: run_id.encode(), **(metadata or {})})
        self._temporary = final.with_name(f".{final.stem}.{run_id}.tmp")
        self._pending: list[pa.Table] = []
        self._pending_rows = self._pending_bytes = 0
        self._sink: BinaryIO = open(self._temporary, "wb")  # noqa: SIM115 - lives as long as this
        self._writer: pq.ParquetWriter | None = None
        try:
            with naming(self._temporary):
                self._writer = pq.ParquetWriter(
                    self._sink,
                    self._schema,
                    compression="zstd",
                    write_page_index=True,
                    write_page_checksum=True,
                )
        except BaseException:
            self.discard()
            raise

    def write(self, table: pa.Table) -> None:
        """Append rows with the columns of the schema."""
        self._pending.append(table)
        self._pending_rows += table.num_rows
        self._pending_bytes += table.nbytes
        self.rows += table.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._pending:
            with naming(self._temporary):
                assert self._writer is not None
                self._writer.write_table(pa.concat_tables(self._pending).cast(self._schema))
            self._pending.clear()
            self._pending_rows = self._pending_bytes = 0

    def publish(self) -> None:
        """Finish the file, check it and give it its final name, durably."""
        self._flush()
        assert self._writer is not None
        with naming(self._temporary):
            self._writer.close()
            self._sink.close()
        self._check()
        publish(self._temporary, self._final)

    def _check(self) -> None:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._temporary) as written:
            found = written.metadata.num_rows
        if found != self.rows:
            raise OutputError(f"{self._temporary}: wrote {self.rows} rows, read back {found}")

    def discard(self) -> None:
        """Remove the temporary file, where it was not published."""
        for file in (self._writer, self._sink):
            try:
                if file is not None:
                    file.close()
            except Exception:  # noqa: BLE001 - the file goes; the first error is the one to report
                pass
        self._temporary.unlink(missing_ok=True)
