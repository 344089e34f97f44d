"""Scores of documents as columns, a row each: made empty, filled in, joined, told in a sentence."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attninfluence.scores.spans import SpanScore
from attninfluence.scores.token_losses import TokenRows
from attninfluence.views.words import plural

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self, which CPython 3.10 does not have

    from attninfluence.tokenizer.tokenizer import Tokenizer


@dataclass(repr=False, eq=False, slots=True)
class ScoreRows:
    """The columns of a `Scores`, which says what each of them is."""

    score: NDArray[np.float64]
    base_loss: NDArray[np.float64]
    ref_loss: NDArray[np.float64]
    n_tokens: NDArray[np.int64]
    n_scored: NDArray[np.int64]
    status: list[str]
    truncated: NDArray[np.bool_]
    repaired: NDArray[np.bool_]
    control_score: NDArray[np.float64] | None = None
    control_loss: NDArray[np.float64] | None = None
    messages: dict[int, str] = field(default_factory=dict)
    spans: list[list[SpanScore]] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    token_rows: list[TokenRows] | None = None
    tokenizer: Tokenizer | None = None
    partly_counted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        """Columns of before there was `partly_counted` count every token."""
        if not len(self.partly_counted):
            self.partly_counted = np.zeros(len(self.score), np.bool_)

    @classmethod
    def empty(cls, n: int, *, control: bool, detail: str, metadata: dict[str, Any]) -> Self:
        """n rows with no score yet: NaN, 0, status "ok"."""
        return cls(
            score=np.full(n, math.nan),
            base_loss=np.full(n, math.nan),
            ref_loss=np.full(n, math.nan),
            n_tokens=np.zeros(n, dtype=np.int64),
            n_scored=np.zeros(n, dtype=np.int64),
            status=["ok"] * n,
            truncated=np.zeros(n, dtype=np.bool_),
            repaired=np.zeros(n, dtype=np.bool_),
            partly_counted=np.zeros(n, dtype=np.bool_),
            control_score=np.full(n, math.nan) if control else None,
            control_loss=np.full(n, math.nan) if control else None,
            spans=None if detail in ("document", "token") else [[] for _ in range(n)],
            metadata=metadata,
            token_rows=[] if detail == "token" else None,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The rows of at least one part, one after the other.

        ValueError, naming what differs, for parts that were not scored in the same way: by
        another model, precision, kernel, head or option.
        """
        first = parts[0]
        for part in parts:
            _check_same_way(first.metadata, part.metadata)

        def joined(name: str) -> Any:
            if getattr(first, name) is None:
                return None
            columns = [getattr(part, name) for part in parts]
            if isinstance(columns[0], np.ndarray):
                return np.concatenate(columns)
            return [row for column in columns for row in column]

        starts = itertools.accumulate((len(part) for part in parts[:-1]), initial=0)
        return cls(
            **{name: joined(name) for name in _PER_DOCUMENT},
            messages={
                start + index: message
                for start, part in zip(starts, parts, strict=True)
                for index, message in part.messages.items()
            },
            metadata=first.metadata,
            tokenizer=first.tokenizer,
        )

    def __len__(self) -> int:
        return len(self.status)

    def sentence(self) -> str:
        """How many documents, scored tokens and documents of each status there are, in words."""
        parts = [
            plural(len(self), "document"),
            f"{plural(int(self.n_scored.sum()), 'token')} scored",
        ]
        parts += [f"{number:,} {status}" for status, number in Counter(self.status).most_common()]
        return ", ".join(parts)

    def columns(self) -> dict[str, Any]:
        """The columns by name, in the order in which tables have them."""
        names = ["n_tokens", "n_scored", "base_loss", "ref_loss", "score"]
        names += [] if self.control_score is None else ["control_loss", "control_score"]
        names += ["status", "truncated", "repaired", "partly_counted"]
        return {name: getattr(self, name) for name in names}


def five_numbers(values: NDArray[np.float64]) -> list[float]:
    """Lowest, quartiles and highest of the values that are numbers; NaN where none is."""
    numbers = values[~np.isnan(values)]
    if not numbers.size:
        return [math.nan] * 5
    return [float(value) for value in np.percentile(numbers, [0, 25, 50, 75, 100])]


_PER_DOCUMENT = (
    "score",
    "base_loss",
    "ref_loss",
    "n_tokens",
    "n_scored",
    "status",
    "truncated",
    "repaired",
    "partly_counted",
    "control_score",
    "control_loss",
    "spans",
    "token_rows",
)


def _check_same_way(first: dict[str, Any], other: dict[str, Any]) -> None:
    for name in sorted(first.keys() | other.keys()):
        if first.get(name) != other.get(name):
            raise ValueError(
                f"scores that were made in different ways are not joined: {name} is "
                f"{first.get(name)!r} in one part and {other.get(name)!r} in another"
            )
