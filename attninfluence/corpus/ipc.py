"""Arrow files: the stream that `datasets` saves, and the file format, which Feather is.

They have no checksums, and what their offsets say is taken at its word by all that reads them: each
batch is validated before a value of it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from attninfluence.corpus.fields import named_types, places
from attninfluence.corpus.files import BATCH_BYTES, CorpusError, open_binary
from attninfluence.corpus.parquet import reading
from attninfluence.corpus.values import replaced_types

if TYPE_CHECKING:
    import pyarrow as pa

_KIND = "Arrow"
_FILE_MARK = b"ARROW1"


def is_file_format(source: BinaryIO) -> bool:
    """Whether the bytes are of the file format and no stream."""
    source.seek(0)
    mark = source.read(len(_FILE_MARK))
    source.seek(0)
    return mark == _FILE_MARK


def read_schema(path: str) -> pa.Schema:
    """The columns of the file and their Arrow types."""
    with closing(open_binary(path)) as source, _reading(path):
        schema = _open(source, None).schema
        list(named_types(schema))  # their names are decoded now
        return schema


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """As `reading`; also for a batch whose header states more bytes than the machine has."""
    try:
        with reading(path, _KIND):
            yield
    except MemoryError as error:
        told = f"a batch of it does not fit into memory: it is damaged or too large ({error})"
        raise CorpusError(path, told) from error


def _open(source: BinaryIO, fields: list[int] | None) -> Any:
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
    is_file = is_file_format(source)
    return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source, options=options)


def count_rows(path: str) -> int:
    """The rows of the file, which is read for it without its columns."""
    with closing(open_binary(path)) as source:
        return sum(batch.num_rows for batch in _stored_batches(path, source, [0]))


def iter_batches(
    path: str,
    source: BinaryIO,
    columns: Iterable[str] | None,
    batch_size: int,
    first_row: int = 0,
    stop_row: int | None = None,
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Rows `first_row` up to `stop_row` (None: all), and the bytes of the file up to them, about.

    columns  those that are read, with all of a struct around them (None: all). A batch has at most
    `batch_size` rows and about BATCH_BYTES, of a stored batch, which is read whole.
    """
    with _reading(path):
        schema = _open(source, None).schema
    fields = None
    if columns is not None:
        fields = sorted({place[0] for name in columns for place in places(schema, name)})
    row = 0
    for stored in _stored_batches(path, source, fields):
        start = max(first_row - row, 0)
        stop = stored.num_rows if stop_row is None else min(stop_row - row, stored.num_rows)
        row += stored.num_rows
        if start < stop:
            _check(path, stored)
            size = max(1, min(batch_size, BATCH_BYTES * stored.num_rows // max(1, stored.nbytes)))
            for at in range(start, stop, size):
                yield stored.slice(at, min(size, stop - at)), source.tell()
        if stop_row is not None and row >= stop_row:
            return


def _stored_batches(
    path: str, source: BinaryIO, fields: list[int] | None
) -> Iterator[pa.RecordBatch]:
    with _reading(path):
        reader = _open(source, fields)
    if hasattr(reader, "num_record_batches"):
        for index in range(reader.num_record_batches):
            with _reading(path):
                batch = reader.get_batch(index)
            yield batch
        return
    end = source.tell()
    while True:
        with _reading(path):
            batch = next(reader, None)
        if batch is None:
            break
        end = source.tell()
        yield batch
    # A stream that is cut between two batches is a stream, but for its mark at the end.
    if source.tell() == end:
        raise CorpusError(path, "the Arrow stream has no end: it is cut short")
    if source.read(1):
        raise CorpusError(path, "bytes follow the end of the Arrow stream; expected one stream")


def _check(path: str, batch: pa.RecordBatch) -> None:
    """CorpusError unless the buffers of all columns hold what their types say, but for UTF-8."""
    import pyarrow as pa

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowException:
            try:
                _as_binary(column).validate(full=True)
            except pa.ArrowException as error:
                told = " ".join(str(error).split())
                raise CorpusError(path, f"column {name!r} is damaged ({told})") from error


def _as_binary(column: pa.Array) -> pa.Array:
    """The same buffers with binary types in place of strings."""
    import pyarrow as pa

    if isinstance(column.type, pa.BaseExtensionType):
        return _as_binary(column.storage)
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _as_binary(column.dictionary))
    return column.view(_binary_type(column.type))


def _binary_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    binary = {"string": pa.binary(), "large_string": pa.large_binary()}
    if hasattr(pa, "binary_view"):
        binary["string_view"] = pa.binary_view()
    return replaced_types(kind, binary)
