"""GGUF files by their names: which paths are such files, and which files belong together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_SUFFIX, _MAGIC = ".gguf", b"GGUF"


def is_gguf(path: str | os.PathLike[str]) -> bool:
    """Whether the path is that of a GGUF file: by its name, or by its first bytes.

    Ollama keeps them under names without a suffix. A name is enough, whether or not there is
    such a file; a folder is none, whatever its name.
    """
    named = os.fspath(path)
    if os.path.isdir(named):
        return False
    if named.lower().endswith(_SUFFIX):
        return True
    if not os.path.isfile(named):
        return False
    with open(named, "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def parts_of(path: str | os.PathLike[str]) -> list[Path]:
    """All files of the model that a path names, in order: itself, or those of a split one.

    The files need not be there. `-00001-of-00003` names three; any other part names itself.
    """
    path = Path(path)
    found = _PART.fullmatch(path.name)
    if found is None or int(found["number"]) != 1:
        return [path]
    stem, count = found["stem"], found["count"]
    parts = range(1, max(1, int(count)) + 1)
    return [path.with_name(f"{stem}-{at:05}-of-{count}.gguf") for at in parts]


def first_files(names: Iterable[str]) -> list[str]:
    """Of names of files, those of GGUF models: of a split one, the first."""
    found = {name for name in names if name.lower().endswith(_SUFFIX)}
    others = {str(part) for name in found for part in parts_of(name)[1:]}
    return sorted(found - others)


def of_several(files: Sequence[str]) -> str:
    return f" (of {len(files)})" if len(files) > 1 else ""


def name_of(path: str | os.PathLike[str]) -> str:
    """The name of the model in a file, without the suffix and the number of a part."""
    name = Path(path).name
    found = _PART.fullmatch(name)
    if found is not None:
        return found["stem"]
    return name[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name
