"""Functions that worker processes of the tests import by name."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from attninfluence import Model, _core

Losses = list[NDArray[np.float32]]


@cache
def opened(folder: str, precision: str, kernel: str) -> _core.Model:
    """The model, opened once a process."""
    return _core.Model(folder, precision, kernel)


def losses(
    folder: str,
    precision: str,
    kernel: str,
    documents: list[NDArray[np.int32]],
    variants: NDArray[np.bool_],
    n_threads: int = 1,
) -> Losses:
    """`run` of the model in `folder`, for a worker that has only its path."""
    model = opened(folder, precision, kernel)
    return model.run(documents, variants=variants, n_threads=n_threads)


def model_losses(model: Model, ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """The losses by a model that comes in a pickle, and so maps its weights."""
    return model.losses(ids)
