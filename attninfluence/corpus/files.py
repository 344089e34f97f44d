"""The kinds of files a corpus has, and how each is opened."""

from __future__ import annotations

import io
import os
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar, cast

from attninfluence.base.regular_file import UnreadableFileError, open_regular_file

Row = TypeVar("Row")

# The decoder of each suffix that may follow that of a format.
COMPRESSIONS = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
    ".bz2": "bz2",
    ".xz": "xz",
}
_PLAIN = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".json": "json"}
_STREAMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text", ".csv": "csv", ".tsv": "tsv"}

# The format of each suffix that is read.
# Compressed JSON is JSON lines, as Dolma names them; plain JSON is that or an array.
FORMATS = (
    _PLAIN
    | {
        suffix + compression: name
        for suffix, name in _STREAMS.items()
        for compression in ("", *COMPRESSIONS)
    }
    | {f".json{compression}": "jsonl" for compression in COMPRESSIONS}
)

# Those of which a folder holds metadata as often as documents.
_ONLY_NAMED = ("json", "csv", "tsv")

LFS_POINTER = "a Git LFS pointer in place of the file (git lfs pull brings it)"
HTML_PAGE = "an HTML page"
# What files of some kinds begin with.
_BEGINNINGS = {
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x1f\x8b": "a gzip file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"PK\x03\x04": "a zip archive",
    b"%PDF-": "a PDF file",
    b"version https://git-lfs": LFS_POINTER,
    b"<!DOCTYPE html": HTML_PAGE,
    b"<!doctype html": HTML_PAGE,
}
_OWN_BEGINNINGS = {
    ".parquet": "a Parquet file",
    ".feather": "an Arrow file",
    ".arrow": "an Arrow file",
    "gzip": "a gzip file",
    "zstd": "a zstd file",
    "bz2": "a bzip2 file",
    "xz": "an xz file",
}

# About how much text is held at once, unless one row has more.
BATCH_BYTES = 16 << 20


class CorpusError(ValueError):
    """A file of the corpus cannot be used; the message names it, `file` is its name."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason

    def __reduce__(self) -> tuple[type[CorpusError], tuple[str, str]]:
        return type(self), (self.file, self.reason)


class ArchiveError(CorpusError):
    """An archive that a chained URL names cannot be read."""


def suffixes() -> str:
    """The suffixes of FORMATS in words, for people."""
    streams, compressions = ", ".join((*_STREAMS, ".json")), ", ".join(COMPRESSIONS)
    plain = ", ".join(name for name in _PLAIN if name != ".json")
    return f"{plain}; {streams}, these also with {compressions}"


def file_suffix(path: str) -> str | None:
    """The suffix of `path` that FORMATS lists, or None; of a chained URL that of the file read."""
    parts = os.path.basename(inner_path(path).lower()).rsplit(".", 2)
    ends = (f".{'.'.join(parts[first:])}" for first in range(1, len(parts)))
    return next((end for end in ends if end in FORMATS), None)


def inner_path(path: str) -> str:
    """The link of a chain that names the file: ``zip://a.jsonl`` of ``zip://a.jsonl::c.zip``.

    A link without a path, as in ``simplecache::s3://b/a.jsonl``, names none.
    """
    if not is_url(path):
        return path
    return next(link for link in path.split("::") if is_url(link))


def file_format(path: str) -> str:
    """A value of FORMATS; CorpusError for any other suffix."""
    suffix = file_suffix(path)
    if suffix is None:
        raise CorpusError(path, f"not a known kind of file; expected one of {suffixes()}")
    return FORMATS[suffix]


def file_compression(path: str) -> str | None:
    """A value of COMPRESSIONS; None for a file that is not compressed."""
    return COMPRESSIONS.get(os.path.splitext(file_suffix(path) or "")[1])


def content_kind(data: bytes) -> str | None:
    """What the first bytes of a file say it is, in words, where they say anything."""
    return next((told for mark, told in _BEGINNINGS.items() if data.startswith(mark)), None)


def other_content(path: str, data: bytes) -> str | None:
    """As `content_kind`, where the suffix of `path` says something else."""
    found = content_kind(data)
    own = _OWN_BEGINNINGS.get(file_compression(path) or file_suffix(path) or "")
    return None if found == own else found


def is_taken_from_folders(path: str) -> bool:
    """Whether a file of this name is read where an argument names its folder and no suffix."""
    suffix = file_suffix(path)
    return suffix is not None and FORMATS[suffix] not in _ONLY_NAMED


def is_url(path: str) -> bool:
    """True for what fsspec opens (``hf://...``), False for a path of this machine."""
    return "://" in path


def local_path(name: str) -> str | bytes:
    """What the system is asked for to open a local file of the name.

    Names are UTF-8, whatever the locale. Where the locale spells them with other bytes, it is given
    the bytes.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return name
    return name.encode("utf-8", "surrogateescape")


class RealPlaces:
    """Where files are: the same for all names of one, by way of linked folders, relative, absolute
    and as ``file://``; in a chained URL for those of its last link. A link to a file is a file.

    Of each folder, the real one is asked for once.
    """

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def of(self, name: str, start: str = "") -> str:
        """start: the folder that a relative name starts from; "" is the working folder."""
        *links, last = name.split("::") if is_url(name) else [name]
        last = last.removeprefix("file://")
        if not is_url(last):
            folder, base = os.path.split(os.path.join(start, last))
            if folder not in self._real:
                real = os.path.realpath(local_path(folder or "."))
                self._real[folder] = os.fsencode(real).decode("utf-8", "surrogateescape")
            last = os.path.join(self._real[folder], base)
        return "::".join([*links, last])


def in_batches(rows: Iterable[tuple[Row, int]], batch_size: int) -> Iterator[list[Row]]:
    """Rows, each given with its bytes, in lists that end at `batch_size` rows or BATCH_BYTES."""
    batch: list[Row] = []
    size = 0
    for row, row_bytes in rows:
        batch.append(row)
        size += row_bytes
        if len(batch) == batch_size or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def filesystem_of(url: str) -> tuple[Any, str]:
    """fsspec's file system for a URL, and the path in it; CorpusError where it knows of none."""
    from fsspec.core import url_to_fs

    with _reading_archive(url):
        try:
            filesystem, inner = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise CorpusError(url, f"fsspec cannot open it: {error}") from error
    return filesystem, inner


def open_binary(path: str, *, in_order: bool = True) -> BinaryIO:
    """Open a local path, or a URL through fsspec, for reading bytes as they are stored.

    CorpusError for a local path of what is no regular file, which may be waited for without end.

    in_order  the file is read from its first byte to its last; otherwise a remote one is asked for
              the bytes that are read and for none ahead of them
    """
    if not is_url(path):
        try:
            return open_regular_file(local_path(path))
        except UnreadableFileError as error:
            raise CorpusError(path, str(error)) from None
    filesystem, inner = filesystem_of(path)
    options: dict[str, Any] = {} if in_order else {"cache_type": "none"}
    with _reading_archive(path):
        file = filesystem.open(inner, "rb", **options)
    if "::" in path:
        file = io.BufferedReader(_ArchivedFile(path, file))
    weakref.finalize(file, id, filesystem)  # an archive's closes with the last reference to it
    return cast(BinaryIO, file)


class _ArchivedFile(io.RawIOBase):
    """A file behind a chained URL, whose damage is that of its archive."""

    def __init__(self, path: str, source: BinaryIO) -> None:
        self._path = path
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._source.seekable()

    def readinto(self, buffer: Any) -> int:
        with _reading_archive(self._path):
            data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _reading_archive(self._path):
            return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def close(self) -> None:
        self._source.close()
        super().close()


@contextmanager
def _reading_archive(url: str) -> Iterator[None]:
    """Turn what Python's readers of archives raise into ArchiveError."""
    import lzma
    import tarfile
    import zipfile
    import zlib
    from gzip import BadGzipFile

    damage = (zipfile.BadZipFile, tarfile.TarError, BadGzipFile, zlib.error, lzma.LZMAError)
    try:
        yield
    except (*damage, EOFError) as error:
        raise ArchiveError(url, f"the archive is damaged or cut short ({error})") from error
    except RuntimeError as error:  # it has a password, or a compression that Python lacks
        raise ArchiveError(url, f"the archive cannot be read ({error})") from error
    except OSError as error:
        if type(error) is not OSError or error.errno:  # bz2 has no error of its own
            raise
        raise ArchiveError(url, f"the archive is damaged or cut short ({error})") from error


def file_size(path: str) -> int:
    """Bytes of `path` as stored."""
    if not is_url(path):
        return os.path.getsize(local_path(path))
    filesystem, inner = filesystem_of(path)
    return int(filesystem.size(inner))
