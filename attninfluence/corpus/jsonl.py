"""JSONL files: one JSON object a line, plain or compressed.

Rows are the lines that are not blank. A string that is not valid UTF-8 is returned as the bytes
it is, so that one bad byte costs a repaired character and not the row.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO, cast

from attninfluence.corpus.files import CorpusError, open_binary

_UTF8_MARK = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")
_CHUNK = 1 << 17


class ZstdReader(io.RawIOBase):
    """Decompresses all zstd frames of a file, and refuses one that ends within a frame.

    zstandard's own `stream_reader` takes a cut file for a finished one.
    """

    def __init__(self, source: BinaryIO) -> None:
        import zstandard

        self._source = source
        self._codec = zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._waiting = b""
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while not self._ready and self._advance():
            pass
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _advance(self) -> bool:
        """Decompress one more chunk into `_ready`; False at the end of the file."""
        chunk = self._waiting or self._source.read(_CHUNK)
        self._waiting = b""
        if not chunk:
            if self._frame is not None:
                raise EOFError("the file ends within a zstd frame")
            return False
        if self._frame is None:
            self._frame = self._codec.decompressobj()
        self._ready = self._frame.decompress(chunk)
        if self._frame.eof:
            self._waiting = self._frame.unused_data
            self._frame = None
        return True


def decompressed(path: str, source: BinaryIO) -> BinaryIO:
    """`source` as the plain bytes of the file, by the suffix of `path`."""
    if path.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=source))
    if path.lower().endswith(".zst"):
        return cast(BinaryIO, io.BufferedReader(ZstdReader(source), _CHUNK))
    return source


def iter_lines(path: str, source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, bytes with their line end) of each line that is not blank.

    Lines end at ``\\n`` alone. Raises CorpusError when the compressed stream is damaged or cut.
    """
    import zstandard

    try:
        for number, line in enumerate(decompressed(path, source), start=1):
            if number == 1:
                line = line.removeprefix(_UTF8_MARK)
            if line.strip():
                yield number, line
    except (EOFError, zlib.error, zstandard.ZstdError, gzip.BadGzipFile) as error:
        raise CorpusError(path, f"the compressed file is damaged or cut short ({error})") from error


def parse_line(path: str, number: int, line: bytes) -> dict[str, Any]:
    """The object on one line; CorpusError with the line's number when there is none."""
    try:
        value = json.loads(text := line.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise CorpusError(path, f"line {number} is nested too deeply to be parsed") from None
    except ValueError as error:
        raise CorpusError(path, f"line {number} is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise CorpusError(
            path, f"line {number} is not a JSON object but {_kind(value)}; expected one a line"
        )
    return value if text.isascii() or _is_utf8(line) else _with_bytes(value)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _with_bytes(row: dict[str, Any]) -> dict[str, Any]:
    """`row` with its strings that hold escaped bytes turned back into these bytes."""
    return {key: _as_bytes(value) for key, value in row.items()}


def _as_bytes(value: Any) -> Any:
    if not isinstance(value, str) or not _SURROGATE.search(value):
        return value
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # it holds a lone surrogate, written as an escape, as well
        return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "true or false", list: "an array", str: "a string"}.get(type(value), "a number")


def iter_objects(path: str, source: BinaryIO) -> Iterator[dict[str, Any]]:
    """The object of each row."""
    for number, line in iter_lines(path, source):
        yield parse_line(path, number, line)


def peek_columns(path: str, rows: int = 100) -> list[str]:
    """The keys found in the first `rows` objects, in order of appearance."""
    found: dict[str, None] = {}
    with closing(open_binary(path)) as source:
        for index, row in enumerate(iter_objects(path, source)):
            if index == rows:
                break
            found.update(dict.fromkeys(row))
    return list(found)
