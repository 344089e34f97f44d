"""Which heads a caller means for a model: scores, pairs, a heads.json, or the model's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attninfluence._core import ModelError
from attninfluence.heads.head_scores import HeadScores
from attninfluence.heads.pairs import Head, checked_pairs
from attninfluence.model.own_heads import heads_files

if TYPE_CHECKING:
    from attninfluence.model.model import Model

Heads = HeadScores | str | os.PathLike[str] | Iterable[Sequence[int]]


def as_head_list(heads: Heads | None, model: Model) -> tuple[Head, ...]:
    """The (layer, head) pairs that `heads` means for `model`.

    Args:
        heads: a `HeadScores`, the path of a heads.json, pairs, or None for the model's own
            (`Model.heads`).

    Raises:
        ModelError: there are no heads of the model, or the heads are another model's.
        ValueError: a pair is not two integers, is out of range or occurs twice, or none of a
            `HeadScores` is selected.
    """
    heads = opened_heads(heads, model)
    if not isinstance(heads, HeadScores):
        return checked_pairs(heads, (model.n_layers, model.n_heads), "the model")
    _check_belongs(heads, model)
    if not heads.selected:
        raise ValueError(
            f"no head is selected among the {heads.scores.size} of these scores: select some with "
            "HeadScores.select(fraction=, count= or threshold=)"
        )
    return heads.selected


def opened_heads(heads: Heads | None, model: Model) -> HeadScores | Iterable[Sequence[int]]:
    """`heads` with the file of a path, or of None, read; as in `as_head_list`, unchecked."""
    if heads is None:
        found = model.heads
        if found is None:
            name = heads_files(model.path)[0].name
            raise ModelError(
                f"{model.path!r} has no {name}: find the heads once with "
                "attninfluence.find_retrieval_heads(model), or `attninfluence heads`, "
                "and give them as heads= (--heads)"
            )
        return found
    return HeadScores.load(heads) if isinstance(heads, str | os.PathLike) else heads


def _check_belongs(heads: HeadScores, model: Model) -> None:
    shape = (model.n_layers, model.n_heads)
    if heads.scores.shape == shape and heads.model_fingerprint == model.fingerprint:
        return
    layers, width = heads.scores.shape
    alike = (
        "; the same weights in other types, or converted again, are another model, whose heads may "
        "differ: to use these give their pairs, HeadScores.load(FILE).selected"
        if heads.scores.shape == shape
        else ""
    )
    raise ModelError(
        f"these are heads of another model: they were found in {heads.model_fingerprint[:12]} of "
        f"{layers} layers of {width} heads, and {model.path!r} is {model.fingerprint[:12]} of "
        f"{shape[0]} layers of {shape[1]} heads; find its own with `attninfluence heads`{alike}"
    )
