"""One Parquet file of an output folder, written and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from attninfluence.base.replacing import naming
from attninfluence.output.files import (
    RUN_ID_KEY,
    SUCCESS_NAME,
    OutputError,
    part_name,
    publish,
)
from attninfluence.output.part_rows import check_columns, iter_rows, reading_part

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP_ROWS = 8192
ROW_GROUP_BYTES = 64 << 20


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
        # The run's id may have been read from a file of others, so the name may be theirs: "x".
        self._sink: BinaryIO = open(self._temporary, "xb")  # noqa: SIM115 - lives as long as this
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


def run_id_of(schema: pa.Schema) -> str:
    """The run that wrote a file with this schema; "none" where it does not say."""
    stored: bytes = (schema.metadata or {}).get(RUN_ID_KEY, b"none")
    return stored.decode("ascii", "replace")


def open_part(part: Path, run_id: str) -> pq.ParquetFile:
    """A part of scores or of what is selected of them; OutputError, naming it, otherwise."""
    import pyarrow.parquet as pq

    if not part.exists():
        raise part_is_missing(part)
    check_is_file(part)
    with reading_part(part):
        file = pq.ParquetFile(part, page_checksum_verification=True)
        schema = file.schema_arrow
    found = run_id_of(schema)
    if found != run_id:
        raise OutputError(f"{part}: belongs to run {found!r}, its folder to run {run_id}")
    check_columns(part, schema)
    return file


def last_key(part: Path, run_id: str) -> tuple[str, int] | None:
    """The file and the row of a part's last row; None of one without rows. Raises as `open_part`.

    Its last row group is read alone.
    """
    found: tuple[str, int] | None = None
    with open_part(part, run_id) as file:
        groups = [file.num_row_groups - 1] if file.num_row_groups else []
        for batch in iter_rows(file, part, 65536, ["file", "row"], groups):
            if batch.num_rows:
                found = batch["file"][-1].as_py(), batch["row"][-1].as_py()
    return found


def part_is_missing(part: Path) -> OutputError:
    """The error for a part that is not there."""
    return OutputError(f"{part}: missing, though {SUCCESS_NAME} counts it; the run is damaged")


def check_is_file(path: Path) -> None:
    """OutputError for a FIFO, which would be waited for, and for all else that is no file."""
    if not path.is_file():
        raise OutputError(f"{path}: expected a regular file")


def iter_part_columns(
    folder: Path, parts: int, run_id: str, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Columns of the published parts, streamed in order; OutputError for a damaged one."""
    for index in range(parts):
        part = folder / part_name(index)
        with open_part(part, run_id) as file:
            yield from iter_rows(file, part, 65536, columns)
