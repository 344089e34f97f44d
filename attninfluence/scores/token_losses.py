"""The losses of one document's tokens: as scoring keeps them and as a person asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.views.words import clip, count, number, plural, signed, visible

if TYPE_CHECKING:
    from attninfluence.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class TokenLosses:
    """One document's tokens and their losses in nats (METHOD.md section 4).

    ids: int32[T], BOS included. tokens: each one's text, None without a tokenizer.
    offsets: int64[T, 2] characters of the text, (0, 0) for the BOS; None for input_ids.
    base, ref, delta, control: float32[T], NaN where a token is not scored (the first one,
    and what lies behind a truncation); delta = ref - base; control None without one.
    """

    ids: NDArray[np.int32]
    tokens: list[str] | None
    offsets: NDArray[np.int64] | None
    base: NDArray[np.float32]
    ref: NDArray[np.float32]
    control: NDArray[np.float32] | None

    @property
    def delta(self) -> NDArray[np.float32]:
        return self.ref - self.base

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        rises = self.delta.astype(np.float64)
        scored = np.flatnonzero(~np.isnan(rises))
        told = f"TokenLosses: {plural(len(self), 'token')}, {count(len(scored))} scored"
        if not len(scored):
            return told
        highest = int(scored[np.argmax(rises[scored])])
        return (
            f"{told}, loss {number(float(np.mean(self.base[scored], dtype=np.float64)))} → "
            f"{number(float(np.mean(self.ref[scored], dtype=np.float64)))} nats, "
            f"most at token {count(highest)}{self._quoted(highest)}: {signed(rises[highest])}"
        )

    def _quoted(self, index: int) -> str:
        return "" if self.tokens is None else f" {visible(clip(repr(self.tokens[index]), 40))}"

    def columns(self) -> dict[str, Any]:
        """One entry a token by column, in the order in which tables have them.

        position, id, base_loss, ref_loss, delta are always there; token with a tokenizer, start and
        stop (characters) with a text, control_loss with a control.
        """
        columns: dict[str, Any] = {"position": np.arange(len(self.ids)), "id": self.ids}
        if self.tokens is not None:
            columns["token"] = self.tokens
        if self.offsets is not None:
            columns |= {"start": self.offsets[:, 0], "stop": self.offsets[:, 1]}
        columns |= {"base_loss": self.base, "ref_loss": self.ref, "delta": self.delta}
        return columns if self.control is None else {**columns, "control_loss": self.control}


@dataclass(frozen=True, slots=True, eq=False)
class TokenRows:
    """What `TokenLosses` is made of: losses float32[readings, T], NaN where not scored.

    text: as it was tokenised, which offsets count in; None for input_ids. n_bos: tokens before it.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64] | None
    losses: NDArray[np.float32]
    text: str | None = None
    n_bos: int = 0

    def with_strings(self, tokenizer: Tokenizer | None) -> TokenLosses:
        """The losses by name, with each token's text where there is a tokenizer."""
        was_not_read = self.offsets is None and self.text is not None
        return TokenLosses(
            ids=self.ids,
            tokens=None if tokenizer is None else tokenizer.token_strings(self.ids),
            offsets=np.empty((0, 2), dtype=np.int64) if was_not_read else self.offsets,
            base=self.losses[0],
            ref=self.losses[1],
            control=self.losses[2] if len(self.losses) > 2 else None,
        )

    def scored_in_text(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Of the scored tokens of the text: first characters int64[n], losses float32[readings, n].

        Without a text (input_ids) there are none.
        """
        if self.offsets is None:
            return np.empty(0, dtype=np.int64), self.losses[:, :0]
        scored = np.flatnonzero(~np.isnan(self.losses[0]))
        scored = scored[scored >= self.n_bos]
        return self.offsets[scored, 0], self.losses[:, scored]
