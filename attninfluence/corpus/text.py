"""Text files, plain or compressed: one file is one document."""

from __future__ import annotations

from typing import BinaryIO

from attninfluence.corpus.compressed import decompressed, decompressing
from attninfluence.corpus.files import HTML_PAGE, LFS_POINTER, CorpusError, content_kind

UTF8_MARK = b"\xef\xbb\xbf"


def read_text(path: str, source: BinaryIO) -> str | bytes:
    """The whole text, line ends as they are, without a UTF-8 mark; bytes where it is no UTF-8.

    So a file of UTF-16 or UTF-32 comes as its bytes, of which `repaired` reads the mark.

    Raises CorpusError when the compressed stream is damaged or cut, and when its first bytes are
    those of a file of another kind.
    """
    with decompressing(path):
        data = decompressed(path, source).read().removeprefix(UTF8_MARK)
    try:
        text: str | bytes = data.decode()
    except UnicodeDecodeError:
        text = data
    found = content_kind(data)
    if found == LFS_POINTER or (found not in (None, HTML_PAGE) and isinstance(text, bytes)):
        raise CorpusError(path, f"its first bytes are those of {found}; expected text")
    return text
