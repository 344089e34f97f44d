"""Parquet files, read by record batches and never whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from attninfluence.corpus.files import CorpusError, open_binary

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class OtherValue(NamedTuple):
    """Stands for a value of an Arrow type that no column we read may have."""

    type_name: str


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what pyarrow raises over a damaged file into CorpusError; leave the system's errors."""
    import pyarrow as pa

    try:
        yield
    except CorpusError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise CorpusError(path, f"not a readable Parquet file ({reason})") from error


def open_parquet(path: str, source: BinaryIO) -> pq.ParquetFile:
    """The file behind `source`, with page checksums verified where it has them."""
    import pyarrow.parquet as pq

    with reading(path):
        return pq.ParquetFile(source, page_checksum_verification=True)


def iter_batches(
    path: str, source: BinaryIO, columns: list[str] | None, batch_size: int
) -> Iterator[pa.RecordBatch]:
    """Record batches of at most `batch_size` rows with `columns` (None: all).

    Raises CorpusError when a page is damaged or the rows are not as many as the footer says.
    """
    file = open_parquet(path, source)
    rows = 0
    batches = file.iter_batches(batch_size=batch_size, columns=columns)
    while True:
        with reading(path):
            batch = next(batches, None)
        if batch is None:
            break
        rows += batch.num_rows
        yield batch
    if rows != file.metadata.num_rows:
        raise CorpusError(path, f"the footer promises {file.metadata.num_rows} rows, found {rows}")


def peek_columns(path: str) -> list[str]:
    """Names of the columns of the schema."""
    with closing(open_binary(path)) as source:
        return list(open_parquet(path, source).schema_arrow.names)


def python_values(column: pa.Array) -> list[Any]:
    """The column's values; a string that is not valid UTF-8 becomes the bytes it is.

    Only types that a text, an id or a domain may have are converted; any other value becomes an
    OtherValue with the name of its type.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return python_values(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _strings(column)
    if str(kind) == "string_view":
        return _strings(pa.array(column, pa.large_string()))
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or _is_binary(kind):
        return list(column.to_pylist())
    other = OtherValue(str(kind))
    return [None if missing else other for missing in column.is_null().to_pylist()]


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _strings(column: pa.Array) -> list[str | bytes | None]:
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        wide = pa.types.is_large_string(column.type)
        raw = column.cast(pa.large_binary() if wide else pa.binary()).to_pylist()
        return [None if item is None else _decoded(item) for item in raw]


def _decoded(item: bytes) -> str | bytes:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item
