"""Text files, plain or compressed: one file is one document."""

from __future__ import annotations

from typing import BinaryIO

from attninfluence.corpus.compressed import decompressed, decompressing

UTF8_MARK = b"\xef\xbb\xbf"


def read_text(path: str, source: BinaryIO) -> str | bytes:
    """The whole text, line ends as they are, without a UTF-8 mark; bytes where it is no UTF-8.

    So a file of UTF-16 or UTF-32 comes as its bytes, of which `repaired` reads the mark.

    Raises CorpusError when the compressed stream is damaged or cut.
    """
    with decompressing(path):
        data = decompressed(path, source).read().removeprefix(UTF8_MARK)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
