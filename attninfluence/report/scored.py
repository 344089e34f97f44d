"""The documents that have a score, as a reading of all rows meets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from attninfluence.base.arrays import Bools, Floats, Ints
from attninfluence.select.rows import RowReader

HELD_ROWS = 1 << 18  # that are added to sketches together


@dataclass(frozen=True)
class Scored:
    """Documents that have a score, in order: arrays of one entry each.

    position  of the row among all rows; `control` is NaN without a control
    """

    position: Ints
    domain: Ints
    n_tokens: Ints
    score: Floats
    base_loss: Floats
    control: Floats

    def marked(self, is_marked: Bools) -> Scored:
        """Those of them that are marked."""
        return Scored(*(getattr(self, field.name)[is_marked] for field in fields(self)))


def read_scored(reader: RowReader) -> Iterator[Scored]:
    """Read all rows once; HELD_ROWS or more at a time, as with many domains each piece costs."""
    held: list[Scored] = []
    for piece in _pieces(reader):
        held.append(piece)
        if sum(len(scored.domain) for scored in held) >= HELD_ROWS:
            yield joined(held)
            held = []
    if held:
        yield joined(held)


def _pieces(reader: RowReader) -> Iterator[Scored]:
    """As the reader has them, some thousands at a time."""
    has_control = "control_score" in reader.scores.schema().names
    start = 0
    for rows in reader.read(("base_loss", *(("control_score",) if has_control else ()))):
        at = np.flatnonzero(rows.scored)
        control = rows.floats("control_score")[at] if has_control else np.full(len(at), np.nan)
        score, loss = (rows.floats(name)[at] for name in ("score", "base_loss"))
        yield Scored(start + at, rows.domain[at], rows.n_tokens[at], score, loss, control)
        start += len(rows.domain)


def joined(pieces: Sequence[Scored]) -> Scored:
    """The documents of all pieces, or of none."""
    kinds = (np.int64, np.int64, np.int64, np.float64, np.float64, np.float64)
    columns = zip((field.name for field in fields(Scored)), kinds, strict=True)
    return Scored(
        *(
            np.concatenate([np.empty(0, kind), *(getattr(piece, name) for piece in pieces)])
            for name, kind in columns
        )
    )
