"""Models that a process opens once and that processes share.

A process has one copy of the weights of a content, precision and kernel, whoever asks for it.
A forked child goes on with its parent's. A process that has a model from a pickle, or a worker
that opens one, maps the packed weights from a file (`attninfluence.model.packed_cache`).
"""

from __future__ import annotations

import copyreg
import os
import threading
import weakref
from collections import deque
from dataclasses import replace
from typing import Any, NamedTuple

from attninfluence._core import ModelError, choose_kernel
from attninfluence.base.gguf import is_gguf
from attninfluence.model.fingerprint import digest_files, digest_stamps, stamp_files
from attninfluence.model.hub import resolve_model
from attninfluence.model.model import Model
from attninfluence.model.opening import bundled_folder, check_is_model
from attninfluence.model.packed_cache import open_packed
from attninfluence.model.place import Place, hide_places
from attninfluence.model.threads import in_worker_process


class _Content(NamedTuple):
    """What a model's losses depend on."""

    fingerprint: str
    precision: str
    kernel: str


_models: weakref.WeakValueDictionary[tuple[_Content, str, int | None], Model] = (
    weakref.WeakValueDictionary()
)
# Those last opened in a worker, for its next task, which comes in a pickle of its own.
_kept: deque[Model] = deque(maxlen=4)
_lock = threading.RLock()


def _renew_lock() -> None:
    """In a forked child, where the thread that held the lock is not."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def open_shared(
    model: Model | str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    precision: str = "auto",
    kernel: str | None = None,
    threads: int | None = None,
    worker: bool | None = None,
) -> Model:
    """The model itself, or the one of a path, a hub id or None (bundled), opened once a process.

    revision, precision, kernel: as in `load`, of a model that is opened here. threads: None
    leaves an opened model as it is; else the model returned uses so many and shares the
    weights. worker: whether other processes here read it too, so that this one maps the weights and
    keeps the model; None: in a process that multiprocessing or multiprocess started.

    Raises what `load` raises, and ModelError for files that change meanwhile.
    """
    check_is_model(model)
    if isinstance(model, Model):
        return _share(model, threads)
    named = bundled_folder() if model is None else os.fspath(model)
    path, commit = resolve_model(named, revision)
    precision, kernel = choose_kernel(precision, kernel)
    with _lock:
        hub_id = named if commit else None
        place = Place(path, hub_id, commit, digest_stamps(stamp_files(path)), threads)
        content = _Content(_fingerprint(place), precision, kernel)
        is_worker = in_worker_process() if worker is None else worker
        opened = _get(content, place, is_worker=is_worker)
        if is_worker:
            _keep(opened)
        return opened


def reopen(place: Place, fingerprint: str, precision: str, kernel: str) -> Model:
    """The model of that content that a pickle names; from the hub where its files are not.

    ModelError when its path holds another model, or this machine has no such kernel;
    OSError when nothing is there.
    """
    _check_kernel(precision, kernel)
    content = _Content(fingerprint, precision, kernel)
    with _lock:
        model = _models.get((content, place.path, place.threads))
        model = model or _get(content, _find(place, fingerprint), is_worker=True)
        _keep(model)
        return model


def _reduced(model: Model) -> tuple[Any, ...]:
    """How a model is pickled: what `reopen` needs."""
    hide_places()
    return reopen, (model.place, model.fingerprint, model.precision, model.kernel)


# Here, and not in Model, which knows nothing of processes: `attninfluence.model` imports both.
copyreg.pickle(Model, _reduced)


def _share(model: Model, threads: int | None) -> Model:
    """An opened model, found by its content from here on; or with other threads a twin of it."""
    content = _Content(model.fingerprint, model.precision, model.kernel)
    place = model.place
    with _lock:
        _models[content, place.path, place.threads] = model
        if threads is None or threads == place.threads:
            return model
        return _get(content, replace(place, threads=threads), twin=model)


def _get(
    content: _Content, place: Place, *, is_worker: bool = False, twin: Model | None = None
) -> Model:
    """The model of a content at a place that has it, with the weights of a twin if it has one."""
    key = content, place.path, place.threads
    model = _models.get(key)
    if model is None:
        twin = twin or next((known for key, known in _models.items() if key[0] == content), None)
        model = _models[key] = _open(content, place, is_worker, twin)
    return model


def _open(content: _Content, place: Place, is_worker: bool, twin: Model | None) -> Model:
    def check() -> None:
        if digest_stamps(stamp_files(place.path)) != place.stamp:
            raise ModelError(f"{place.path!r} has changed while the model was opened")

    core = None if twin is None else twin.core
    if core is None and is_worker:
        core = open_packed(place.path, *content, check)
    model = Model(
        place.path,
        precision=content.precision,
        kernel=content.kernel,
        threads=place.threads,
        hub_id=place.hub_id,
        commit=place.commit,
        core=core,
        fingerprint=content.fingerprint,
        tokenizer=None if twin is None else twin._tokenizer,
    )
    check()
    return model


def _keep(model: Model) -> None:
    if model not in _kept:
        _kept.append(model)


def _fingerprint(place: Place) -> str:
    """That of the files, read only where no open model knows it."""
    for model in _models.values():
        if model.path == place.path and model.place.stamp == place.stamp:
            return model.fingerprint
    return digest_files(place.path)


def _find(place: Place, fingerprint: str) -> Place:
    """The place, on this machine and as it is now; ModelError when it has another content."""
    path = place.path
    if place.hub_id is not None and not os.path.exists(path):
        path = resolve_model(place.hub_id, place.commit)[0]
    os.stat(path if is_gguf(path) else os.path.join(path, "config.json"))
    found = replace(place, path=path, stamp=digest_stamps(stamp_files(path)))
    if found.stamp == place.stamp:
        return found
    content = _fingerprint(found)
    if content != fingerprint:
        raise ModelError(
            f"{path!r} holds another model than the one pickled: fingerprint "
            f"{content[:12]}, expected {fingerprint[:12]}"
        )
    return found


def _check_kernel(precision: str, kernel: str) -> None:
    try:
        choose_kernel(precision, kernel)
    except ValueError as error:
        raise ModelError(
            f"the pickled model computes in {precision} with the kernel {kernel!r}, and "
            f"another one gives other bits: {error}; open the model with a kernel that every "
            "machine has before it is pickled"
        ) from error
