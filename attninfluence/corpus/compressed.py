"""Compressed files as streams of plain bytes; a cut or damaged stream is an error."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from attninfluence.corpus.encoding import WrongEncodingError, as_utf8
from attninfluence.corpus.files import CorpusError, file_compression

_CHUNK = 1 << 17
# Stored bytes that are decompressed at once: few, since a kilobyte of very regular text may stand
# for megabytes, and by what the last ones gave, as many as give about _READY bytes.
_SMALLEST_STEP = 64
_STEP = 512
_LARGEST_STEP = 4096
_READY = 1 << 20
# The most bytes that the decoder of a file may hold of what it gave before: the window of zstd
# --long=31, sixteen times what the zstd command takes unasked, and of any of xz's own levels. They
# are taken as the window fills, whatever the header says.
_WINDOW = 1 << 31
# What zstd and xz say of a window beyond the limit they were given.
_LIMIT_WORDS = ("requires too much memory", "Memory usage limit")


class DamagedStreamError(Exception):
    """What a decoder says of bytes that it cannot decode."""


class LargeWindowError(Exception):
    """A frame asks for a window beyond _WINDOW."""


class StreamReader(io.RawIOBase):
    """Decompresses all frames (gzip: members) of a file, and refuses one that ends within a frame.

    `new_decoder` makes an object like zlib.decompressobj() for each frame; bytes of `padding` may
    stand between frames. zstandard's own reader takes a cut file for a finished one, and gzip's an
    empty one.
    """

    def __init__(
        self, source: BinaryIO, new_decoder: Callable[[], Any], padding: bytes = b""
    ) -> None:
        self._source = source
        self._new_decoder = new_decoder
        self._padding = padding
        self._decoder: Any = new_decoder()
        self._stored = b""
        self._at = 0
        self._step = _STEP
        self._ready = memoryview(b"")

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
        """Decompress some more bytes into `_ready`; False at the end of the file."""
        if self._at == len(self._stored):
            self._stored, self._at = self._source.read(_CHUNK), 0
            if not self._stored and self._decoder is not None:
                raise DamagedStreamError("the file ends within a frame")
            return bool(self._stored)
        if self._decoder is None:
            if self._stored[self._at] in self._padding:
                rest = self._stored[self._at :].lstrip(self._padding)
                self._at = len(self._stored) - len(rest)
                return True
            self._decoder = self._new_decoder()
        self._decode()
        return True

    def _decode(self) -> None:
        piece = self._stored[self._at : self._at + self._step]
        try:
            self._ready = memoryview(self._decoder.decompress(piece))
        except _decoder_errors() as error:
            if any(words in str(error) for words in _LIMIT_WORDS):
                raise LargeWindowError from error
            raise DamagedStreamError(str(error)) from error
        self._at += len(piece)
        if self._decoder.eof:
            self._at -= len(self._decoder.unused_data)
            self._decoder = None
        fitting = self._step * _READY // max(1, len(self._ready))
        self._step = max(_SMALLEST_STEP, min(fitting, 2 * self._step, _LARGEST_STEP))


def _decoder_errors() -> tuple[type[Exception], ...]:
    """What the decoders raise over bytes that they cannot decode; bz2 the system's error."""
    import zstandard

    return (zlib.error, OSError, lzma.LZMAError, zstandard.ZstdError)


def _decoders(compression: str) -> tuple[Callable[[], Any], bytes]:
    """What makes a decoder of one frame, and the bytes that may stand between frames."""
    if compression == "gzip":
        return lambda: zlib.decompressobj(wbits=31), b"\0"
    if compression == "bz2":
        return bz2.BZ2Decompressor, b"\0"
    if compression == "xz":
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_WINDOW), b"\0"
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj, b""


def decompressed(path: str, source: BinaryIO) -> BinaryIO:
    """`source` as the plain bytes of the file, by the suffix of `path`."""
    compression = file_compression(path)
    if compression is None:
        return source
    return cast(BinaryIO, io.BufferedReader(StreamReader(source, *_decoders(compression)), _CHUNK))


def utf8_stream(path: str, source: BinaryIO) -> io.BufferedReader:
    """`source` decompressed, as UTF-8 without a mark, for formats whose files are text."""
    return as_utf8(decompressed(path, source))


@contextmanager
def decompressing(path: str) -> Iterator[None]:
    """Turn what the decoders raise over a damaged, cut or wrongly marked file into CorpusError."""
    try:
        yield
    except WrongEncodingError as error:
        raise CorpusError(path, str(error)) from error
    except LargeWindowError as error:
        raise CorpusError(
            path,
            f"a window of more than {_WINDOW >> 30} GiB is needed to decompress it; compress it"
            " anew with a smaller one (at most zstd --long=31)",
        ) from error
    except DamagedStreamError as error:
        raise CorpusError(path, f"the compressed file is damaged or cut short ({error})") from error
