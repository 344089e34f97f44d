"""The score of documents: read each with and without its retrieval heads, compare.

This module is the path from texts to `Scores`: prepare documents one by one, collect
a chunk that keeps the threads busy, cut long documents into windows, read all windows
in a few calls, and put the losses of a document together again. No more than one
chunk of the input is held at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sized
from contextlib import closing
from os import PathLike
from typing import TYPE_CHECKING, Any

from attninfluence.base.progress import ProgressBar
from attninfluence.model.model import Model
from attninfluence.model.opening import as_model
from attninfluence.scores.scores import Scores
from attninfluence.scoring.chunk import score_chunk
from attninfluence.scoring.documents import Document, iter_texts, read_ids, read_texts
from attninfluence.scoring.options import ScoreOptions
from attninfluence.scoring.prefetch import prefetch
from attninfluence.scoring.reader import (
    CHUNK_TOKENS_PER_THREAD,
    Reader,
    make_reader,
    text_reader,
)

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores

# A chunk ends with this many documents, or with this many tokens for each thread.
CHUNK_DOCUMENTS = 2048
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
    count: str = "window",
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
        texts: any iterable of str (or UTF-8 bytes), an Arrow array or a column of a frame too;
            a generator is never held whole. What is no text gets a status, not an exception.
        input_ids: instead of texts, lists of token ids, read as they are; no BOS is added and
            no tokenizer is needed.
        model: an opened model, a folder, a GGUF file, a hub id; None is the bundled one.
        heads: `HeadScores`, (layer, head) pairs or a heads.json; None takes the model's own
            (`Model.heads`).
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
        count: what `n_tokens` counts of a text of more than 262,144 characters that is truncated:
            "window" tokenises it as far as the window needs, beyond that beginning at most, and
            says so in `partly_counted`; "document" tokenises it to its end.
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
        count=count,
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
    reader = make_reader(opened, heads, control, checked, with_text=texts is not None)
    if texts is not None:
        documents = read_texts(iter_texts(inputs), text_reader(reader), spans)
    else:
        documents = read_ids(inputs, opened.vocab_size)
    if read_ahead:
        limit = TOKENS_AHEAD_PER_THREAD * opened.threads
        documents = prefetch(documents, limit, size=_size_ahead)
    total = len(inputs) if isinstance(inputs, Sized) else None
    return _batches(documents, reader, ProgressBar("score", total=total, enabled=progress))


def _size_ahead(document: Document) -> int:
    """What a waiting document counts, in tokens: one without any takes memory as well."""
    return len(document.ids) + TOKENS_OF_A_DOCUMENT


def _batches(
    documents: Generator[Document, None, None], reader: Reader, bar: ProgressBar
) -> Generator[Scores, None, None]:
    """Read the documents chunk by chunk; an empty input gives one empty chunk."""
    chunk: list[Document] = []
    n_tokens, n_chunks = 0, 0
    with bar, closing(documents):
        for document in documents:
            chunk.append(document)
            n_tokens += _read_length(document, reader)
            if len(chunk) >= CHUNK_DOCUMENTS or n_tokens >= reader.chunk_tokens:
                yield score_chunk(chunk, reader, bar)
                chunk, n_tokens, n_chunks = [], 0, n_chunks + 1
        if chunk or not n_chunks:
            yield score_chunk(chunk, reader, bar)


def _read_length(document: Document, reader: Reader) -> int:
    if reader.options.long == "truncate":
        return min(len(document.ids), reader.max_length)
    return len(document.ids)


def _check_for_ids(options: ScoreOptions) -> None:
    if options.bos == "always":
        raise ValueError("bos='always' needs texts: input_ids are read as they are")
    if options.detail not in ("document", "token"):
        raise ValueError("scores of lines, sentences and spans need texts, not input_ids")
