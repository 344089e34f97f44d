"""What a long benchmark has measured so far, in a folder: a killed one goes on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence import Model, _core
from attninfluence.base.replacing import replacing

Arrays = list[NDArray[Any]]


@dataclass(frozen=True)
class Kept:
    """Arrays by what they were computed from; without a folder nothing is kept.

    A file is named by a digest of the models (content, precision, kernel), of the code that was
    compiled and of the arguments, so that none of them can be changed and an old file be taken.
    """

    folder: Path | None

    def arrays(
        self,
        name: str,
        models: Sequence[Model],
        arguments: Sequence[NDArray[Any]],
        compute: Callable[[], Arrays],
    ) -> Arrays:
        """What `compute` gives, or gave when it was called with the same; whole or not there."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{name}-{_digest(models, arguments)}.npz"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            found = compute()
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, *found)
        with np.load(path) as stored:
            return [stored[f"arr_{at}"] for at in range(len(stored))]


def _digest(models: Sequence[Model], arguments: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.sha256(Path(_core.__file__).read_bytes())
    for model in models:
        digest.update(f"{model.fingerprint} {model.precision} {model.kernel}\n".encode())
    for array in arguments:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
