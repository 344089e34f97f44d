"""JSON files: one object a line, plain or compressed, or in ``.json`` one array of objects.

Rows are the lines that are not blank. A string that is not valid UTF-8 is returned as the bytes
it is, so that one bad byte costs a repaired character and not the row. A file that begins with a
byte order mark of UTF-16 or UTF-32 is read as that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from attninfluence.corpus.arrays import is_array, iter_elements
from attninfluence.corpus.compressed import decompressing, utf8_stream
from attninfluence.corpus.encoding import as_bytes
from attninfluence.corpus.files import BATCH_BYTES, CorpusError, file_format


def iter_lines(path: str, source: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """(``"line 1"``, bytes with their line end) of each line that is not blank.

    Lines end at ``\\n`` alone. In a ``.json`` file that is an array, each element is a line. Raises
    CorpusError when the compressed stream is damaged or cut.
    """
    with decompressing(path):
        stream = utf8_stream(path, source)
        if file_format(path) == "json" and is_array(stream):
            for number, line in iter_elements(path, stream):
                yield f"element {number}", line
            return
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield f"line {number}", line


def parse_line(path: str, place: str, line: bytes) -> dict[str, Any]:
    """The object on one line; CorpusError with its place in the file when there is none."""
    try:
        text, is_utf8 = line.decode(), True
    except UnicodeDecodeError:
        text, is_utf8 = line.decode("utf-8", "surrogateescape"), False
    try:
        value = json.loads(text)
        if isinstance(value, dict) and not is_utf8:
            value = _with_bytes(value)
    except RecursionError:
        raise CorpusError(path, f"{place} is nested too deeply to be parsed") from None
    except ValueError as error:
        raise CorpusError(path, f"{place} is not valid JSON ({error}){_expected(path)}") from error
    if not isinstance(value, dict):
        told = f"{place} is not a JSON object but {kind_of(value)}"
        raise CorpusError(path, f"{told}{_expected(path)}")
    return value


def _expected(path: str) -> str:
    either = ", or one array of objects" if file_format(path) == "json" else ""
    return f"; expected an object a line{either}"


def _with_bytes(row: dict[str, Any]) -> dict[str, Any]:
    """`row` with its strings that hold escaped bytes turned back into these bytes.

    Those in objects within it as well, but not in arrays, where no text is.
    """
    return {
        key: _with_bytes(value)
        if isinstance(value, dict)
        else as_bytes(value)
        if isinstance(value, str)
        else value
        for key, value in row.items()
    }


def kind_of(value: Any) -> str:
    """The kind of a JSON value in words."""
    kinds = {bool: "true or false", list: "an array", dict: "an object", str: "a string"}
    return "null" if value is None else kinds.get(type(value), "a number")


def iter_batches(
    path: str,
    source: BinaryIO,
    batch_size: int,
    first_row: int = 0,
    stop_row: int | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """The objects of rows `first_row` up to `stop_row` (None: the last), some rows at a time.

    A batch ends at `batch_size` rows or BATCH_BYTES of lines. Rows before `first_row` are not
    parsed.
    """
    batch: list[dict[str, Any]] = []
    size = 0
    for place, line in islice(iter_lines(path, source), first_row, stop_row):
        batch.append(parse_line(path, place, line))
        size += len(line)
        if len(batch) == batch_size or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
