"""A model opened by whoever names it: a folder, a file, a hub id, the one of the package."""

from __future__ import annotations

import os
from pathlib import Path

from attninfluence._core import ModelError
from attninfluence.model.hub import resolve_model
from attninfluence.model.model import Model


def bundled_folder() -> str:
    """The folder of the model that comes with the package; ModelError without one."""
    folder = str(Path(__file__).parents[1] / "bundled")
    if not os.path.isdir(folder):
        raise ModelError(
            "this installation holds no bundled model; name a folder, a GGUF file or a hub id"
        )
    return folder


def load(
    path: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    precision: str = "auto",
    threads: int | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    *,
    kernel: str | None = None,
) -> Model:
    """Open a model: the bundled one, a local folder or GGUF file, or one of the Hugging Face hub.

    Args:
        path: the folder, the GGUF file (the first, where a model is split into several), the hub id
            ("owner/name") or the hub's GGUF file ("owner/name/file.gguf"); None is the bundled
            model.
        revision: of a hub id, as `token`, `cache_dir` and `local_files_only`, which are those of
            huggingface_hub.
        precision: the arithmetic of the matrix products. "auto" is "bf16" where the CPU has
            instructions for it, else "fp32"; "int8" is the fastest and only taken when named.
        threads: None takes the CPUs this process may use
            (`attninfluence.model.default_threads`).
        kernel: the code that multiplies matrices; None is the fastest that this CPU has in
            that precision. Losses are the same bits on machines of different instruction sets
            only in one precision and with one kernel: name both, for example "bf16" and "avx2",
            or "portable", which every CPU has and which is slow.

    Raises:
        OSError: a file cannot be read.
        ModelError: it is not a model that this library runs.
        MemoryError: there is no room for the weights.
        ValueError: an option cannot be, such as a kernel that this CPU does not have.
    """
    named = bundled_folder() if path is None else path
    found, commit = resolve_model(named, revision, token, cache_dir, local_files_only)
    return Model(
        found, precision=precision, kernel=kernel, threads=threads, hub_id=named, commit=commit
    )


def as_model(model: Model | str | os.PathLike[str] | None, precision: str = "auto") -> Model:
    """The model itself, or the one that a path, a hub id or None (bundled) names.

    precision: of a model that is opened here.
    """
    check_is_model(model)
    return model if isinstance(model, Model) else load(model, precision=precision)


def check_is_model(model: object) -> None:
    """TypeError for what neither is a model nor names one."""
    if model is not None and not isinstance(model, (Model, str, os.PathLike)):
        raise TypeError(
            f"model must be an opened model, a path or a hub id, got {type(model).__name__}"
        )
