"""JSONL files: one JSON object a line, plain or compressed.

Rows are the lines that are not blank. A string that is not valid UTF-8 is returned as the bytes
it is, so that one bad byte costs a repaired character and not the row. A file that begins with a
byte order mark of UTF-16 or UTF-32 is read as that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any, BinaryIO

from attninfluence.corpus.compressed import decompressing, utf8_stream
from attninfluence.corpus.files import BATCH_BYTES, CorpusError, open_binary

_SURROGATE = re.compile("[\ud800-\udfff]")
PEEKED_ROWS = 100


def iter_lines(path: str, source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, bytes with their line end) of each line that is not blank.

    Lines end at ``\\n`` alone. Raises CorpusError when the compressed stream is damaged or cut.
    """
    with decompressing(path):
        for number, line in enumerate(utf8_stream(path, source), start=1):
            if line.strip():
                yield number, line


def parse_line(path: str, number: int, line: bytes) -> dict[str, Any]:
    """The object on one line; CorpusError with the line's number when there is none."""
    try:
        text, is_utf8 = line.decode(), True
    except UnicodeDecodeError:
        text, is_utf8 = line.decode("utf-8", "surrogateescape"), False
    try:
        value = json.loads(text)
        if isinstance(value, dict) and not is_utf8:
            value = _with_bytes(value)
    except RecursionError:
        raise CorpusError(path, f"line {number} is nested too deeply to be parsed") from None
    except ValueError as error:
        raise CorpusError(path, f"line {number} is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise CorpusError(
            path, f"line {number} is not a JSON object but {kind_of(value)}; expected one a line"
        )
    return value


def _with_bytes(row: dict[str, Any]) -> dict[str, Any]:
    """`row` with its strings that hold escaped bytes turned back into these bytes.

    Those in objects within it as well, but not in arrays, where no text is.
    """
    return {key: _as_bytes(value) for key, value in row.items()}


def _as_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        return _with_bytes(value)
    if not isinstance(value, str) or not _SURROGATE.search(value):
        return value
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # it holds a lone surrogate, written as an escape, as well
        return value


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
    for number, line in islice(iter_lines(path, source), first_row, stop_row):
        batch.append(parse_line(path, number, line))
        size += len(line)
        if len(batch) == batch_size or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def peek_rows(path: str) -> list[dict[str, Any]]:
    """The first PEEKED_ROWS objects, fewer of a shorter file."""
    with closing(open_binary(path)) as source:
        batches = iter_batches(path, source, PEEKED_ROWS, 0, PEEKED_ROWS)
        return [row for batch in batches for row in batch]
