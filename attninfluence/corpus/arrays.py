"""A JSON array of objects, read element by element and never whole."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from io import BufferedReader

from attninfluence.corpus.files import CorpusError

_PIECE = 1 << 16
_SPACE = " \t\n\r"
# The longest of what stands between an element cut anywhere but in a string and the end of the text
# so far, where the decoder says that it is wrong: a literal, an escape.
_UNCERTAIN = 12


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
    decoder = json.JSONDecoder()
    text.next()
    while True:
        try:
            return decoder.raw_decode(text.text, text.at)[1]
        except RecursionError:
            told = f"element {number} is nested too deeply to be parsed"
            raise CorpusError(path, told) from None
        except ValueError as error:
            if not (_may_go_on(error, len(text.text)) and text.more()):
                raise CorpusError(path, f"element {number} is not valid JSON ({error})") from error


def _may_go_on(error: ValueError, size: int) -> bool:
    """Whether the text ended before what the decoder wanted."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= size - _UNCERTAIN
