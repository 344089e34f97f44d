"""Where the heads of a model lie: beside it, or in the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attninfluence.base.gguf import is_gguf, name_of
from attninfluence.heads.head_scores import HeadScores
from attninfluence.heads.stored import stored_heads_file

FILE = "heads.json"


def heads_files(path: str) -> list[Path]:
    """Where the heads of a model folder or GGUF file may lie, the likeliest first.

    Beside `NAME.gguf` that is `NAME.heads.json`, as a folder may hold several such files, and
    heads.json, which may be any of theirs.
    """
    if not is_gguf(path):
        return [Path(path, FILE)]
    folder = Path(path).parent
    return [folder / f"{name_of(path)}.{FILE}", folder / FILE]


def own_heads_file(
    path: str, fingerprint: Callable[[], str], shape: tuple[int, int] | None = None
) -> Path | None:
    """The file of a model's heads: beside it, else that of the package for it; or None.

    A heads.json that several GGUF files share is a model's if it says so. The package has those of
    a few published models.

    Args:
        fingerprint: the model's; called only where it decides, as it may read the whole model.
        shape: layers and heads a layer; None where they are not known.

    Raises:
        ModelError: a shared heads.json cannot be read.
    """
    first, *shared = heads_files(path)
    if first.is_file():
        return first
    for file in filter(Path.is_file, shared):
        if HeadScores.load(file).model_fingerprint == fingerprint():
            return file
    return stored_heads_file(shape, fingerprint)
