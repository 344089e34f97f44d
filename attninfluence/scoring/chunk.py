"""One chunk of documents: cut into windows, read in a few calls, put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.progress import ProgressBar
from attninfluence.scores.losses import DEGENERATE_LOSS, mean_loss, relative_rise
from attninfluence.scores.scores import Scores
from attninfluence.scores.spans import SpanScore, score_spans
from attninfluence.scores.token_losses import TokenRows
from attninfluence.scoring.documents import Document
from attninfluence.scoring.reader import Piece, Reader
from attninfluence.scoring.windows import Window


def score_chunk(chunk: Sequence[Document], reader: Reader, bar: ProgressBar) -> Scores:
    """Read every window of the chunk and fill in a row a document."""
    detail = reader.options.detail
    scores = Scores.empty(
        len(chunk), control=reader.has_control, detail=detail, metadata=reader.metadata
    )
    if detail == "token" and reader.model.has_tokenizer:
        scores.tokenizer = reader.model.tokenizer
    read: list[list[tuple[Window, NDArray[np.float32]]]] = [[] for _ in chunk]
    for piece, losses in _read_pieces(chunk, reader):
        read[piece.document].append((piece.window, losses))
        bar.update(0, tokens=losses.shape[1])
    for row, document in enumerate(chunk):
        _fill(scores, row, document, read[row], reader)
    bar.update(len(chunk))
    return scores


def _read_pieces(
    chunk: Sequence[Document], reader: Reader
) -> Iterator[tuple[Piece, NDArray[np.float32]]]:
    """Each window of the chunk and its losses, in order, read some thousand tokens at a time."""
    pending: list[Piece] = []
    n_tokens = 0
    for piece in _cut(chunk, reader):
        pending.append(piece)
        n_tokens += len(piece.ids)
        if n_tokens >= reader.chunk_tokens:
            yield from zip(pending, reader.read(pending), strict=True)
            pending, n_tokens = [], 0
    if pending:
        yield from zip(pending, reader.read(pending), strict=True)


def _cut(chunk: Sequence[Document], reader: Reader) -> Iterator[Piece]:
    for index, document in enumerate(chunk):
        for window in reader.plan(document):
            ids = document.ids[window.start : window.stop]
            if window.prepend_bos:
                ids = np.concatenate([document.ids[: document.n_bos], ids])
            yield Piece(index, window, ids)


def _fill(
    scores: Scores,
    row: int,
    document: Document,
    read: Sequence[tuple[Window, NDArray[np.float32]]],
    reader: Reader,
) -> None:
    """Write one document's row from its windows and their losses."""
    scores.n_tokens[row] = len(document.ids)
    scores.repaired[row] = document.repaired
    scores.partly_counted[row] = document.partly_counted
    scores.status[row] = document.status
    if document.message:
        scores.messages[row] = document.message
    windows = [window for window, _ in read]
    nothing = np.empty((1 + len(reader.variants), 0), dtype=np.float32)
    joined = np.concatenate([nothing, *(losses for _, losses in read)], axis=1)
    positions = _scored_positions(windows, document.n_bos)
    if windows:
        scores.truncated[row] = windows[-1].stop < len(document.ids)
        _fill_means(scores, row, joined)
    if scores.token_rows is not None:
        scores.token_rows.append(_token_rows(document, positions, joined))
    if scores.spans is not None and document.spans is not None:
        scores.spans[row] = _score_spans(document, document.spans, positions, joined)


def _fill_means(scores: Scores, row: int, losses: NDArray[np.float32]) -> None:
    """Losses, scores and the statuses that depend on them."""
    base, ref, *control = (mean_loss(reading) for reading in losses)
    scores.n_scored[row] = losses.shape[1]
    scores.base_loss[row], scores.ref_loss[row] = base, ref
    scores.score[row] = relative_rise(base, ref)
    if scores.control_loss is not None and scores.control_score is not None:
        scores.control_loss[row] = control[0]
        scores.control_score[row] = relative_rise(base, control[0])
    if np.isnan(base) or np.isnan(ref):
        scores.status[row] = "non_finite"
    elif base < DEGENERATE_LOSS:
        scores.status[row] = "degenerate"


def _scored_positions(windows: Sequence[Window], n_bos: int) -> NDArray[np.int64]:
    """int64[n_scored]: where in the document the scored tokens stand, in order."""
    parts = [np.empty(0, dtype=np.int64)]
    for window in windows:
        prepended = n_bos if window.prepend_bos else 0
        parts.append(np.arange(window.start + window.first_scored - prepended, window.stop))
    return np.concatenate(parts)


def _token_rows(
    document: Document, positions: NDArray[np.int64], losses: NDArray[np.float32]
) -> TokenRows:
    full = np.full((len(losses), len(document.ids)), np.nan, dtype=np.float32)
    full[:, positions] = losses
    return TokenRows(document.ids, document.offsets, full, document.text, document.n_bos)


def _score_spans(
    document: Document,
    spans: NDArray[np.int64],
    positions: NDArray[np.int64],
    losses: NDArray[np.float32],
) -> list[SpanScore]:
    """The spans' readings; of a document that was not read, spans without a scored token."""
    if document.offsets is None:
        return score_spans(spans, positions[:0], losses[:, :0])
    inside = positions >= document.n_bos
    return score_spans(spans, document.offsets[positions[inside], 0], losses[:, inside])
