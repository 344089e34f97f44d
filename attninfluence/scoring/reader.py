"""What reads the documents of one call: model, heads, options, checked together once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attninfluence.model.model import Model
from attninfluence.scores.rounding import warn_of_rounding
from attninfluence.scores.spans import SPAN_KINDS
from attninfluence.scoring.documents import Document, TextReader
from attninfluence.scoring.options import ScoreOptions
from attninfluence.scoring.windows import Window, plan_windows

# Of the numbers: raised only by a change after which a document may score other bits. Releases
# that change nothing of them share caches and outputs.
SCORING_VERSION = 1
CHUNK_TOKENS_PER_THREAD = 4096


class Piece(NamedTuple):
    """One window of the chunk's document number `document`."""

    document: int
    window: Window
    ids: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Reader:
    """One model with its readings and the options, fixed for a whole run."""

    model: Model
    variants: NDArray[np.bool_]  # [n_variants, n_layers, n_heads]: reference, control if any
    options: ScoreOptions
    max_length: int
    stride: int | None
    metadata: dict[str, Any]

    @property
    def has_control(self) -> bool:
        return len(self.variants) > 1

    @property
    def chunk_tokens(self) -> int:
        return CHUNK_TOKENS_PER_THREAD * self.model.threads

    def plan(self, document: Document) -> list[Window]:
        if document.status != "ok":
            return []
        n_tokens = len(document.ids)
        long, stride = self.options.long, self.stride
        return plan_windows(n_tokens, self.max_length, long, stride, document.n_bos)

    def read(self, pieces: Sequence[Piece]) -> list[NDArray[np.float32]]:
        """float32[1 + n_variants, n scored] for each piece."""
        return self.model.core.run(
            [piece.ids for piece in pieces],
            first_scored=[piece.window.first_scored for piece in pieces],
            variants=self.variants,
            mask=self.options.mask,
            n_threads=self.model.threads,
        )


def make_reader(
    model: Model, heads: Any, control: Any, options: ScoreOptions, *, with_text: bool
) -> Reader:
    from attninfluence.model.chosen_heads import as_head_list, opened_heads

    given = opened_heads(heads, model)
    selected = as_head_list(given, model)
    warn_of_rounding(getattr(given, "rounding", None), model.precision)
    sets = [selected]
    if control is not None:
        sets.append(_control_heads(control, selected, model))
    bos = model.tokenizer.bos_ids(options.bos) if with_text else []
    if bos:  # which would give every text the same status
        model.tokenizer.check_fits(bos, model.vocab_size)
    max_length, stride = options.window_for(model, len(bos))
    metadata = _metadata(model, sets, options) | {"max_length": max_length, "stride": stride}
    variants = np.stack([model.mask_matrix(pairs) for pairs in sets])
    return Reader(model, variants, options, max_length, stride, metadata)


def _control_heads(control: Any, selected: tuple[tuple[int, int], ...], model: Model) -> Any:
    """The control's pairs; a seed draws those of `HeadScores.random_control`."""
    from attninfluence.heads.choice import random_control
    from attninfluence.model.chosen_heads import as_head_list

    if isinstance(control, bool):
        raise TypeError(f"control must be heads or the seed of random ones, got {control}")
    if not isinstance(control, (int, np.integer)):
        return as_head_list(control, model)
    return random_control((model.n_layers, model.n_heads), selected, int(control))


def _metadata(
    model: Model, sets: Sequence[Sequence[tuple[int, int]]], options: ScoreOptions
) -> dict[str, Any]:
    """What the numbers depend on: everything, and nothing else."""
    pairs = [[[int(layer), int(head)] for layer, head in heads] for heads in sets]
    return options.as_dict() | {
        "scoring_version": SCORING_VERSION,
        "model": model.fingerprint,
        "precision": model.precision,
        "kernel": model.kernel,
        "heads": pairs[0],
        "control": pairs[1] if len(pairs) > 1 else None,
    }


def text_reader(reader: Reader) -> TextReader:
    options = reader.options
    detail = options.detail
    may_end = options.long == "truncate" and options.count == "window"
    return TextReader(
        tokenizer=reader.model.tokenizer,
        vocab_size=reader.model.vocab_size,
        bos=options.bos,
        special=options.special,
        strict=options.encoding_errors == "strict",
        keep_offsets=detail != "document",
        keep_text=detail == "token",
        span_kind=detail if detail in SPAN_KINDS else None,
        enough=reader.max_length + 1 if may_end else None,  # one more shows that it was cut off
    )
