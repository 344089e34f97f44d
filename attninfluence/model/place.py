"""Where a model was found and how it is used there: what decides none of its losses."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """What a pickle says of a model beside its content.

    path: the folder or GGUF file. hub_id, commit: of a hub model, else None. stamp:
    `digest_stamps` of its files when the model was opened. threads: those asked for, None for the
    default.
    """

    path: str
    hub_id: str | None
    commit: str | None
    stamp: str
    threads: int | None


def hide_places() -> None:
    """Keep places out of the fingerprints of `datasets`, where it is imported.

    They are hashes of pickles, and a cached result is as good for the same model in another
    folder or on other threads. To be called before a `Place` is pickled; without the hook,
    fingerprints are only less stable.
    """
    if "datasets" in sys.modules:
        with contextlib.suppress(ImportError, AttributeError):
            from datasets.utils._dill import pklregister

            pklregister(Place)(_save_nothing)


def _save_nothing(pickler: Any, place: Place) -> None:
    pickler.save(None)
