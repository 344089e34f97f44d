"""The score of documents: read each with and without its retrieval heads, compare.

This module is the path from texts to `Scores`: prepare documents one by one, collect
a chunk that keeps the threads busy, cut long documents into windows, read all windows
in a few calls, and put the losses of a document together again. No more than one
chunk of the input is held at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attninfluence._options import ScoreOptions
from attninfluence.base.progress import ProgressBar
from attninfluence.documents import Document, TextReader, iter_texts, read_ids, read_texts
from attninfluence.model.model import Model
from attninfluence.model.opening import as_model
from attninfluence.prefetch import prefetch
from attninfluence.scores.losses import DEGENERATE_LOSS, mean_loss, relative_rise
from attninfluence.scores.scores import Scores
from attninfluence.scores.spans import SPAN_KINDS, SpanScore, score_spans
from attninfluence.scores.token_losses import TokenRows
from attninfluence.windows import Window, plan_windows

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores

# Of the numbers: raised only by a change after which a document may score other bits. Releases
# that change nothing of them share caches and outputs.
SCORING_VERSION = 1

# A chunk ends with this many documents, or with this many tokens for each thread.
CHUNK_DOCUMENTS = 2048
CHUNK_TOKENS_PER_THREAD = 4096
# Documents that are read ahead wait up to this many tokens a thread, each counting some more.
TOKENS_AHEAD_PER_THREAD = 2 * CHUNK_TOKENS_PER_THREAD
TOKENS_OF_A_DOCUMENT = 8


def score(
    texts: Iterable[Any] | None = None,
    *,
    input_ids: Iterable[Any] | None = None,
    model: Model | str | PathLike[str] | None = None,
    heads: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | None = None,
    control: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | int | None = None,
    mask: str = "uniform",
    bos: str = "auto",
    max_length: int | None = None,
    long: str = "truncate",
    stride: int | None = None,
    special: str = "text",
    encoding_errors: str = "replace",
    detail: str | Iterable[Any] = "document",
    progress: bool = False,
) -> Scores:
    """Score texts by AttentionInfluence (METHOD.md section 4): one row out for each text in.

    influence(x) = (L_ref(x) - L_base(x)) / L_base(x), L the mean loss over the tokens::

        position     0    1    2   ...  T-2   T-1
        token       BOS  x1   x2       x_T-2  x_T-1
        predicts     x1   x2   x3      x_T-1   -      each token but the first is scored once

    and ref the same model with `heads` masked.

    Args:
        texts: any iterable of str (or UTF-8 bytes); a generator is never held whole. What is
            no text gets a status, not an exception.
        input_ids: instead of texts, lists of token ids, read as they are; no BOS is added and
            no tokenizer is needed.
        model: an opened model, a folder, a hub id; None is the bundled one.
        heads: `HeadScores`, (layer, head) pairs or a heads.json; None takes the heads.json of
            the model's folder.
        control: a second set of heads, read on the same base pass, for control_loss and
            control_score; an int is a seed for as many random heads, none of them in `heads`.
        mask: "uniform" or "zero" (section 3).
        bos: "auto" (what transformers' tokenizer of the folder puts first), "always", "never".
        max_length: tokens in a window, BOS included; None is the model's context.
        long: documents longer than that: "truncate", "chunk" or "stride" (section 4).
        stride: tokens by which the windows of long="stride" overlap; None is half a window.
        special: "text" reads `<|endoftext|>` as the characters it is, "control" as the token.
        encoding_errors: "replace" puts U+FFFD for invalid UTF-8 and lone surrogates and says
            so in `repaired`; "strict" gives such a text the status bad_utf8.
        detail: "token" keeps the losses of every token, and the texts; "line" and "sentence"
            score the parts of each text, and so does a list of (start, stop) character spans for
            each text.
        progress: a bar with documents and tokens a second on stderr.

    Raises:
        ValueError: an option cannot be, or an id is out of range.
        ModelError: the model, its tokenizer or the heads do not fit.
        TypeError: `texts` is a single text.
    """
    parts = score_batches(
        texts,
        input_ids=input_ids,
        model=model,
        heads=heads,
        control=control,
        mask=mask,
        bos=bos,
        max_length=max_length,
        long=long,
        stride=stride,
        special=special,
        encoding_errors=encoding_errors,
        detail=detail,
        progress=progress,
    )
    return Scores.concatenate(list(parts))


def score_batches(
    texts: Iterable[Any] | None = None,
    *,
    input_ids: Iterable[Any] | None = None,
    model: Model | str | PathLike[str] | None = None,
    heads: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | None = None,
    control: HeadScores | Iterable[tuple[int, int]] | str | PathLike[str] | int | None = None,
    progress: bool = False,
    detail: str | Iterable[Any] = "document",
    read_ahead: bool = False,
    **options: Any,
) -> Generator[Scores, None, None]:
    """The rows of `score` as they come: one `Scores` a chunk, in order, at least one.

    Arguments are those of `score`, checked at once. The chunks' sizes depend on the
    texts and the threads; the rows do not.

    Args:
        read_ahead: take and tokenise the texts in a thread of their own while others are
            scored, about one chunk ahead.
    """
    inputs = texts if input_ids is None else input_ids
    if inputs is None or (texts is not None and input_ids is not None):
        raise TypeError("give either texts or input_ids")
    spans = None if isinstance(detail, str) else detail
    options["detail"] = detail if isinstance(detail, str) else "spans"
    checked = ScoreOptions(**options)
    if input_ids is not None:
        _check_for_ids(checked)
    opened = as_model(model)
    reader = _make_reader(opened, heads, control, checked, with_text=texts is not None)
    if texts is not None:
        documents = read_texts(iter_texts(inputs), _text_reader(reader), spans)
    else:
        documents = read_ids(inputs, opened.vocab_size)
    if read_ahead:
        limit = TOKENS_AHEAD_PER_THREAD * opened.threads
        documents = prefetch(documents, limit, size=_size_ahead)
    total = len(inputs) if isinstance(inputs, Sized) else None
    return _batches(documents, reader, ProgressBar("score", total=total, enabled=progress))


class _Piece(NamedTuple):
    """One window of the chunk's document number `document`."""

    document: int
    window: Window
    ids: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Reader:
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

    def read(self, pieces: Sequence[_Piece]) -> list[NDArray[np.float32]]:
        """float32[1 + n_variants, n scored] for each piece."""
        return self.model.core.run(
            [piece.ids for piece in pieces],
            first_scored=[piece.window.first_scored for piece in pieces],
            variants=self.variants,
            mask=self.options.mask,
            n_threads=self.model.threads,
        )


def _size_ahead(document: Document) -> int:
    """What a waiting document counts, in tokens: one without any takes memory as well."""
    return len(document.ids) + TOKENS_OF_A_DOCUMENT


def _batches(
    documents: Generator[Document, None, None], reader: _Reader, bar: ProgressBar
) -> Generator[Scores, None, None]:
    """Read the documents chunk by chunk; an empty input gives one empty chunk."""
    chunk: list[Document] = []
    n_tokens, n_chunks = 0, 0
    with bar, closing(documents):
        for document in documents:
            chunk.append(document)
            n_tokens += _read_length(document, reader)
            if len(chunk) >= CHUNK_DOCUMENTS or n_tokens >= reader.chunk_tokens:
                yield _score_chunk(chunk, reader, bar)
                chunk, n_tokens, n_chunks = [], 0, n_chunks + 1
        if chunk or not n_chunks:
            yield _score_chunk(chunk, reader, bar)


def _read_length(document: Document, reader: _Reader) -> int:
    if reader.options.long == "truncate":
        return min(len(document.ids), reader.max_length)
    return len(document.ids)


def _score_chunk(chunk: Sequence[Document], reader: _Reader, bar: ProgressBar) -> Scores:
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
    chunk: Sequence[Document], reader: _Reader
) -> Iterator[tuple[_Piece, NDArray[np.float32]]]:
    """Each window of the chunk and its losses, in order, read some thousand tokens at a time."""
    pending: list[_Piece] = []
    n_tokens = 0
    for piece in _cut(chunk, reader):
        pending.append(piece)
        n_tokens += len(piece.ids)
        if n_tokens >= reader.chunk_tokens:
            yield from zip(pending, reader.read(pending), strict=True)
            pending, n_tokens = [], 0
    if pending:
        yield from zip(pending, reader.read(pending), strict=True)


def _cut(chunk: Sequence[Document], reader: _Reader) -> Iterator[_Piece]:
    for index, document in enumerate(chunk):
        for window in reader.plan(document):
            ids = document.ids[window.start : window.stop]
            if window.prepend_bos:
                ids = np.concatenate([document.ids[: document.n_bos], ids])
            yield _Piece(index, window, ids)


def _fill(
    scores: Scores,
    row: int,
    document: Document,
    read: Sequence[tuple[Window, NDArray[np.float32]]],
    reader: _Reader,
) -> None:
    """Write one document's row from its windows and their losses."""
    scores.n_tokens[row] = len(document.ids)
    scores.repaired[row] = document.repaired
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


def _make_reader(
    model: Model, heads: Any, control: Any, options: ScoreOptions, *, with_text: bool
) -> _Reader:
    from attninfluence.model.chosen_heads import as_head_list

    selected = as_head_list(heads, model)
    sets = [selected]
    if control is not None:
        sets.append(_control_heads(control, selected, model))
    n_bos = len(model.tokenizer.bos_ids(options.bos)) if with_text else 0
    max_length, stride = options.window_for(model, n_bos)
    metadata = _metadata(model, sets, options) | {"max_length": max_length, "stride": stride}
    variants = np.stack([model.mask_matrix(pairs) for pairs in sets])
    return _Reader(model, variants, options, max_length, stride, metadata)


def _control_heads(control: Any, selected: tuple[tuple[int, int], ...], model: Model) -> Any:
    """The control's pairs; a seed draws those that `HeadScores.random_control` would."""
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.chosen_heads import as_head_list

    if isinstance(control, bool):
        raise TypeError(f"control must be heads or the seed of random ones, got {control}")
    if not isinstance(control, (int, np.integer)):
        return as_head_list(control, model)
    unscored = np.full((model.n_layers, model.n_heads), np.nan)
    masked = HeadScores(unscored, unscored, selected, 0, 0, np.nan, model.fingerprint)
    return masked.random_control(int(control))


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


def _text_reader(reader: _Reader) -> TextReader:
    detail = reader.options.detail
    return TextReader(
        tokenizer=reader.model.tokenizer,
        vocab_size=reader.model.vocab_size,
        bos=reader.options.bos,
        special=reader.options.special,
        strict=reader.options.encoding_errors == "strict",
        keep_offsets=detail != "document",
        keep_text=detail == "token",
        span_kind=detail if detail in SPAN_KINDS else None,
    )


def _check_for_ids(options: ScoreOptions) -> None:
    if options.bos == "always":
        raise ValueError("bos='always' needs texts: input_ids are read as they are")
    if options.detail not in ("document", "token"):
        raise ValueError("scores of lines, sentences and spans need texts, not input_ids")
