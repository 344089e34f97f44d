"""A document token by token: as its run kept it or read again, its text cut at the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence._core import ModelError
from attninfluence.views.pieces import text_pieces
from attninfluence.views.words import clip, number, plural

if TYPE_CHECKING:
    from attninfluence.finished import FinishedRun
    from attninfluence.model import Model
    from attninfluence.reservoir import Example

NO_DOMAIN = "(no domain)"


class TokenView(NamedTuple):
    """A document to show token by token: pieces of its text with their losses in nats.

    `base` and `ref` are float[n] for n pieces, NaN where a piece has no loss.
    """

    name: str
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
    return clip(str(name), 120)


def as_kept(row: dict[str, Any], example: Example) -> TokenView:
    """A row as the example that its run kept of it."""
    base, ref = example.losses[:2]
    pieces = text_pieces(example.text, example.offsets, base, ref)
    rest = row["n_tokens"] - len(example.token_ids)
    left_out = f", of which the first {plural(len(example.token_ids), 'token')} are shown"
    return _token_view(row, left_out if rest > 0 else "", "", *pieces)


def read_again(
    row: dict[str, Any], scoring: dict[str, Any], kernels: list[str], model: Model
) -> TokenView:
    """A row's text read again as the run did, by its `scoring` options, for every token."""
    from attninfluence.scoring import score

    names = ("heads", "mask", "bos", "max_length", "long", "stride", "special")
    options = {name: scoring[name] for name in names if name in scoring}
    losses = score([row["text"]], model=model, detail="token", **options).token_losses(0)
    assert losses.offsets is not None
    pieces = text_pieces(row["text"], losses.offsets, losses.base, losses.ref)
    cut_short = ", the rest of it beyond the window" if row["truncated"] else ""
    same = kernels == [model.kernel]
    again = "" if same else f" Read again with the kernel {model.kernel}."
    return _token_view(row, cut_short, again, *pieces)


def _token_view(
    row: dict[str, Any],
    cut_short: str,
    again: str,
    pieces: list[str],
    base: NDArray[np.float64],
    ref: NDArray[np.float64],
) -> TokenView:
    domain = NO_DOMAIN if row["domain"] is None else row["domain"]
    sentence = (
        f"The highest score of {domain}: {number(row['score'])}, "
        f"loss {number(row['base_loss'])} → {number(row['ref_loss'])} nats over "
        f"{plural(row['n_scored'], 'token')}{cut_short}.{again}"
    )
    return TokenView(row_name(row), sentence, pieces, base, ref)
