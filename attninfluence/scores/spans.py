"""Scores of parts of a document: its lines, its sentences, or any character spans.

A token belongs to the span in which its first character lies. Lines and sentences
cover the text without gaps, so each token belongs to exactly one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attninfluence.scores.losses import mean_loss, relative_rise

SPAN_KINDS = ("line", "sentence")

# A sentence ends after a full stop, an exclamation or question mark or an ellipsis,
# closing quotes and brackets included, with the white space that follows; after their
# East Asian forms, with or without white space; and at a blank line.
SENTENCE_END = re.compile(
    r"""[.!?\u2026]["'\u201d\u2019)\]]*\s+"""
    r"""|[\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f\uff09]*\s*"""
    r"""|\n[^\S\n]*\n\s*"""
)
LINE_END = re.compile(r"\n")


@dataclass(frozen=True, slots=True)
class SpanScore:
    """One span: characters `start` to `stop` of the text, and its reading.

    Numbers are NaN where there is none; those of the control are None where none was asked for.

    Attributes:
        n_scored: scored tokens in the span.
        base_loss: mean loss of them in nats, as `ref_loss` and `control_loss`.
        score: the relative rise (METHOD.md section 4), as `control_score`.
    """

    start: int
    stop: int
    n_scored: int
    base_loss: float
    ref_loss: float
    score: float
    control_loss: float | None = None
    control_score: float | None = None


def find_spans(text: str, kind: str) -> NDArray[np.int64]:
    """int64[n, 2]: (start, stop) of each "line" or "sentence" of the text, in characters.

    A line includes the newline that ends it, a sentence the white space behind it.
    """
    pattern = LINE_END if kind == "line" else SENTENCE_END
    ends = np.fromiter((match.end() for match in pattern.finditer(text)), dtype=np.int64)
    cuts = np.unique(np.concatenate([[0], ends, [len(text)]]))
    return np.stack([cuts[:-1], cuts[1:]], axis=1)


def as_spans(spans: Iterable[tuple[int, int]], whose: str) -> NDArray[np.int64]:
    """int64[n, 2] from a caller's (start, stop) pairs; ValueError naming whose they are."""
    pairs = [(int(start), int(stop)) for start, stop in spans]
    for start, stop in pairs:
        if not 0 <= start <= stop:
            raise ValueError(f"{whose}: span ({start}, {stop}) must have 0 <= start <= stop")
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def score_spans(
    spans: NDArray[np.int64], first_characters: NDArray[np.int64], losses: NDArray[np.float32]
) -> list[SpanScore]:
    """Each span's reading (METHOD.md section 4).

    spans: int64[n, 2] in characters. first_characters: int64[n_scored], where each
    scored token starts. losses: float32[readings, n_scored]: base, reference and, if
    there is one, control.
    """
    order = np.argsort(first_characters, kind="stable")
    starts = first_characters[order]
    bounds = np.searchsorted(starts, spans)
    return [
        _score_span(int(start), int(stop), losses[:, order[low:high]])
        for (start, stop), (low, high) in zip(spans, bounds, strict=True)
    ]


def _score_span(start: int, stop: int, losses: NDArray[np.float32]) -> SpanScore:
    means = [mean_loss(row) for row in losses]
    rises = [relative_rise(means[0], mean) for mean in means[1:]]
    control = (means[2], rises[1]) if len(means) > 2 else (None, None)
    return SpanScore(start, stop, losses.shape[1], means[0], means[1], rises[0], *control)
