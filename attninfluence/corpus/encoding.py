"""Bytes that are not UTF-8: files with another's byte order mark, strings with bad bytes."""

from __future__ import annotations

import codecs
import io
import re
from typing import Any, BinaryIO

from attninfluence.base.text import marked_encoding

_CHUNK = 1 << 16
_SURROGATE = re.compile("[\ud800-\udfff]")


class WrongEncodingError(Exception):
    """The bytes are not in the encoding that the mark at their beginning says."""


class _Rejoined(io.RawIOBase):
    """Bytes that were read of a stream, and then the stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


class _Recoded(io.RawIOBase):
    """A stream of another encoding as UTF-8; a lone surrogate stays one, which UTF-8 refuses."""

    def __init__(self, source: io.BufferedReader, encoding: str) -> None:
        self._source = source
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._ready = b""
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._is_done:
            data = self._source.read(_CHUNK)
            self._is_done = not data
            try:
                text = self._decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                told = (
                    f"its byte order mark says {self._encoding}, which it is not ({error.reason})"
                )
                raise WrongEncodingError(told) from error
            self._ready = text.encode("utf-8", "surrogatepass")
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count


def as_bytes(value: str) -> str | bytes:
    """A string that was decoded with "surrogateescape": the bytes it was, where any was escaped."""
    if not _SURROGATE.search(value):
        return value
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # it holds a lone surrogate, written as an escape, as well
        return value


def as_utf8(source: BinaryIO) -> io.BufferedReader:
    """The stream without the mark at its beginning, as UTF-8 where that mark says UTF-16 or 32."""
    head = source.read(4)
    whole: io.BufferedReader = io.BufferedReader(_Rejoined(head, source), _CHUNK)
    encoding = marked_encoding(head)
    if encoding is not None:
        return io.BufferedReader(_Recoded(whole, encoding), _CHUNK)
    if head.startswith(codecs.BOM_UTF8):
        whole.read(len(codecs.BOM_UTF8))
    return whole
