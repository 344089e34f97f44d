"""A document token by token: as its run kept it or read again, its text cut at the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from attninfluence._core import ModelError
from attninfluence.views.pieces import text_pieces
from attninfluence.views.words import clip, count, domain_name, number, plural, visible

if TYPE_CHECKING:
    from attninfluence.model.model import Model
    from attninfluence.output.finished import FinishedRun
    from attninfluence.run.examples import Example


class Reading(NamedTuple):
    """A document's tokens with their losses in nats, from its beginning on.

    `offsets` int[T, 2] characters of `text`, `base` and `ref` float[T], NaN where a token has none;
    `note` says how it was read, where that is not as the run did.
    """

    text: str
    offsets: ArrayLike
    base: ArrayLike
    ref: ArrayLike
    note: str = ""


class TokenView(NamedTuple):
    """A document to show token by token: pieces of its text with their losses in nats.

    `base` and `ref` are float[n] for n pieces, NaN where a piece has no loss.
    """

    sentence: str
    pieces: Sequence[str]
    base: ArrayLike
    ref: ArrayLike


def check_is_the_runs(model: Model, run: FinishedRun) -> None:
    """ModelError unless `model` has the weights and the precision of a finished score run."""
    wanted = run.run["model"]["fingerprint"]
    if model.fingerprint != wanted:
        raise ModelError(
            f"{run.path} was scored with another model: fingerprint {wanted[:12]}, "
            f"{model.path} has {model.fingerprint[:12]}"
        )
    precision = run.run["scoring"]["precision"]
    if model.precision != precision:
        raise ModelError(
            f"{run.path} was scored in {precision}, and the model computes in {model.precision}: "
            f"open it with precision={precision!r}"
        )


def row_name(row: dict[str, Any]) -> str:
    """The id, or file and row where there is none."""
    name = row["id"] if row["id"] else f"{row['file']}, row {row['row']}"
    return clip(visible(str(name)), 120)


def kept_reading(example: Example) -> Reading:
    """The beginning of a document as its run kept it."""
    return Reading(example.text, example.offsets, *example.losses[:2])


def read_again(
    row: dict[str, Any], scoring: dict[str, Any], kernels: list[str], model: Model
) -> Reading:
    """A row's text read again as the run did, by its `scoring` options, for every token."""
    from attninfluence.scoring.batches import score

    names = ("heads", "mask", "bos", "max_length", "long", "stride", "special", "count")
    options = {name: scoring[name] for name in names if name in scoring}
    losses = score([row["text"]], model=model, detail="token", **options).token_losses(0)
    assert losses.offsets is not None
    same = kernels == [model.kernel]
    again = "" if same else f" Read again with the kernel {model.kernel}."
    return Reading(row["text"], losses.offsets, losses.base, losses.ref, again)


def token_view(row: dict[str, Any], reading: Reading, standing: str, most: int) -> TokenView:
    """A row token by token, the first `most` tokens of it; `standing` says which of its domain."""
    parts = [np.asarray(part)[:most] for part in (reading.offsets, reading.base, reading.ref)]
    shown, whole = len(parts[0]), row["n_tokens"]
    left_out = "" if shown >= whole else f"; the first {count(shown)} of {count(whole)} are shown"
    sentence = (
        f"{standing} of {domain_name(row['domain'])}: {number(row['score'])}, "
        f"loss {number(row['base_loss'])} → {number(row['ref_loss'])} nats over "
        f"{plural(row['n_scored'], 'token')}{left_out}.{reading.note}"
    )
    return TokenView(sentence, *text_pieces(reading.text, *parts))
