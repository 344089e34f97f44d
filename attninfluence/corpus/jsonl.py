"""JSON files: one object a line, plain or compressed, or in ``.json`` one array of objects.

Rows are the lines that are not blank. A string that is not valid UTF-8 is returned as the bytes
it is, so that one bad byte costs a repaired character and not the row. A file that begins with a
byte order mark of UTF-16 or UTF-32 is read as that.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice
from typing import Any, BinaryIO

from attninfluence.corpus.compressed import decompressing, utf8_stream
from attninfluence.corpus.encoding import as_bytes
from attninfluence.corpus.files import CorpusError, file_format, in_batches

_PIECE = 1 << 16
_SPACE = " \t\n\r"
# The longest of what stands between an element cut anywhere but in a string and the end of the text
# so far, where the decoder says that it is wrong: a literal, an escape.
_UNCERTAIN = 12


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
        value = _decoded(text)
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


class _Digits(str):
    """An integer of more digits than Python turns into one."""


def _integer(digits: str) -> int | _Digits:
    try:
        return int(digits)
    except ValueError:
        return _Digits(digits)


_DECODER = json.JSONDecoder(parse_int=_integer)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of thousands of digits; slower for all others
        return _DECODER.decode(text)


def _expected(path: str) -> str:
    either = ", or one array of objects" if file_format(path) == "json" else ""
    return f"; expected an object a line{either}"


def _with_bytes(row: dict[str, Any]) -> dict[str, Any]:
    """`row` with its strings that hold escaped bytes turned back into these bytes.

    Those in objects within it as well, but not in arrays, where no text is.
    """
    return {key: _bytes_within(value) for key, value in row.items()}


def _bytes_within(value: Any) -> Any:
    if isinstance(value, dict):
        return _with_bytes(value)
    return as_bytes(value) if isinstance(value, str) else value


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
    lines = islice(iter_lines(path, source), first_row, stop_row)
    rows = ((parse_line(path, place, line), len(line)) for place, line in lines)
    yield from in_batches(rows, batch_size)


class _Text:
    """The text from the place that is read now, as much of it as was asked for."""

    def __init__(self, source: BufferedReader) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text = ""
        self.at = 0

    def more(self) -> bool:
        """As much again, so that a long element is decoded few times; False at the end."""
        data = self._source.read(max(_PIECE, len(self.text) - self.at))
        self.text, self.at = self.text[self.at :] + self._decoder.decode(data, not data), 0
        return bool(data)

    def next(self) -> str:
        """The next character that is no space, which is left there; "" at the end."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in _SPACE:
                    return self.text[self.at]
                self.at += 1
            if not self.more() and not self.text:
                return ""


def is_array(source: BufferedReader) -> bool:
    """Whether the first character that is no space opens an array; it is left there."""
    while ahead := source.peek(1):
        if ahead.lstrip():
            return ahead.lstrip().startswith(b"[")
        source.read(len(ahead))
    return False


def iter_elements(path: str, source: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """(number from 1, JSON on one line) of each element; CorpusError for an array that is cut."""
    text, number = _Text(source), 0
    text.next()
    text.at += 1
    while text.next() != "]" or number:
        number += 1
        end = _end_of_element(path, number, text)
        element = text.text[text.at : end].encode("utf-8", "surrogateescape")
        text.at = end
        # A line end between the parts of an element is a space; those in strings are escaped.
        yield number, element.replace(b"\n", b" ").replace(b"\r", b" ")
        if text.next() == "]":
            break
        if text.next() != ",":
            found = text.next()
            told = f"{found!r} follows element {number}" if found else "the array is not closed"
            raise CorpusError(path, f"{told}; the file is damaged or cut short")
        text.at += 1
    text.at += 1
    if found := text.next():
        raise CorpusError(path, f"{found!r} follows the array; expected one array in the file")


def _end_of_element(path: str, number: int, text: _Text) -> int:
    text.next()
    while True:
        try:
            return _DECODER.raw_decode(text.text, text.at)[1]
        except RecursionError:
            told = f"element {number} is nested too deeply to be parsed"
            raise CorpusError(path, told) from None
        except ValueError as error:
            if not (_may_go_on(error, len(text.text)) and text.more()):
                # Without the place, which is one in this piece of the file.
                told = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                raise CorpusError(path, f"element {number} is not valid JSON ({told})") from error


def _may_go_on(error: ValueError, size: int) -> bool:
    """Whether the text ended before what the decoder wanted."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= size - _UNCERTAIN
