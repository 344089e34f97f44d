"""Small files that are there whole or not at all, in any folder that datatrove can write to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attninfluence.base.json_values import MOST_OWN_BYTES
from attninfluence.base.regular_file import UnreadableFileError, read_regular_file
from attninfluence.base.replacing import whole_file

if TYPE_CHECKING:
    from datatrove.io import DataFolder


def publish_bytes(folder: DataFolder, name: str, data: bytes) -> None:
    """Write a file, replacing an older one, or a link of that name.

    On a local or mounted file system the bytes are synced under a temporary name, renamed, and the
    rename is synced. An object store shows an object when all of it has arrived.
    """
    if not folder.is_local():
        folder.pipe_file(name, data)
        return
    final = Path(folder.resolve_paths(name))
    final.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(final, final) as file:
        file.write_bytes(data)


def read_bytes(folder: DataFolder, name: str) -> bytes:
    """What a file holds; UnreadableFileError for what no task can have written."""
    if folder.is_local():
        return read_regular_file(folder.resolve_paths(name), MOST_OWN_BYTES)
    if int(folder.size(name) or 0) > MOST_OWN_BYTES:
        raise UnreadableFileError(f"is larger than {MOST_OWN_BYTES >> 20} MiB")
    return bytes(folder.cat_file(name))


def list_names(folder: DataFolder, subfolder: str) -> set[str]:
    """Names of the published files in a subfolder, relative to it; none when there is no such."""
    if not folder.isdir(subfolder):
        return set()
    names = (path.rsplit("/", 1)[-1] for path in folder.list_files(subfolder))
    return {name for name in names if not name.startswith(".")}


def is_published(folder: DataFolder, name: str) -> bool:
    """Whether a file is there now, whatever an earlier listing of an object store showed."""
    folder.invalidate_cache()
    return bool(folder.isfile(name))


def remove_unfinished(folder: DataFolder, subfolder: str) -> None:
    """Remove what killed processes left in a subfolder of a local folder, whose lock is held."""
    for temporary in Path(folder.resolve_paths(subfolder)).glob(".*.tmp"):
        temporary.unlink(missing_ok=True)
