"""From what a caller gives to what the model can read, one document for each input.

Nothing here raises for a bad document: it gets a status (METHOD.md section 4) and
keeps its place.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError
from attninfluence.base.text import as_text
from attninfluence.scores.spans import as_spans, find_spans
from attninfluence.tokenizer.ids import as_ids
from attninfluence.tokenizer.tokenizer import Tokenizer, TokenizerError


@dataclass(slots=True)
class Document:
    """One input, ready to be read or with the status that says why it is not.

    ids: int32[T], BOS included; empty unless it was tokenised. offsets: int64[T, 2]
    characters, spans: int64[n, 2] characters, text: as it was tokenised; None where not
    wanted.
    """

    status: str = "ok"
    message: str = ""
    ids: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    n_bos: int = 0
    offsets: NDArray[np.int64] | None = None
    spans: NDArray[np.int64] | None = None
    repaired: bool = False
    partly_counted: bool = False  # the text goes on after the ids
    text: str | None = None


@dataclass(frozen=True, slots=True)
class TextReader:
    """Turns texts into documents with one tokenizer and one set of options.

    keep_offsets: keep each token's place in the text. keep_text: keep the text itself.
    span_kind: "line", "sentence" or None. enough: tokens with which the reading of a very long
    text may end; None reads all.
    """

    tokenizer: Tokenizer
    vocab_size: int
    bos: str
    special: str
    strict: bool
    keep_offsets: bool
    keep_text: bool
    span_kind: str | None
    enough: int | None = None

    def read(self, value: object) -> Document:
        """The document of one input value, whatever it is."""
        text, repaired = as_text(value)
        if text is None:
            message = f"expected str or bytes, found {type(value).__name__}"
            return Document(status="bad_type", message=message)
        document = self._read_text(text, repaired)
        document.text = text if self.keep_text else None
        return document

    def _read_text(self, text: str, repaired: bool) -> Document:
        if repaired and self.strict:
            return Document(status="bad_utf8", message="invalid UTF-8 or a lone surrogate")
        if not text or text.isspace():
            return Document(status="empty", repaired=repaired)
        return self._tokenize(text, repaired)

    def _tokenize(self, text: str, repaired: bool) -> Document:
        try:
            encoding = self.tokenizer.encode(
                [text],
                bos=self.bos,
                special=self.special,
                offsets=self.keep_offsets,
                enough=self.enough,
            )[0]
            self.tokenizer.check_fits(encoding.ids, self.vocab_size)
        except (TokenizerError, ModelError) as error:
            return Document(status="tokenizer_error", message=str(error), repaired=repaired)
        return Document(
            status="ok" if len(encoding.ids) >= 2 else "too_short",
            ids=encoding.ids,
            n_bos=encoding.n_bos,
            offsets=encoding.offsets,
            spans=None if self.span_kind is None else find_spans(text, self.span_kind),
            repaired=repaired,
            partly_counted=encoding.n_characters < len(text),
        )


def iter_texts(texts: Iterable[Any]) -> Iterator[object]:
    """The values of any iterable of texts, Arrow arrays of any library included, one at a time.

    TypeError for a single text, a mapping or a table, whose iteration would give
    characters or column names.
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts must be an iterable of texts, got one {type(texts).__name__}")
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or hasattr(texts, "column_names"):
        raise TypeError(
            f"texts must be an iterable of texts, got a {type(texts).__name__}; give one column"
        )
    return (_from_arrow(value) if hasattr(value, "as_py") else value for value in iterable(texts))


def iterable(values: Any) -> Any:
    """The values themselves; of an Arrow array that only hands itself over, as a pyarrow one."""
    if isinstance(values, Iterable) or not is_of_arrow(values):
        return values
    import pyarrow as pa

    taken = pa.chunked_array(values)
    if pa.types.is_struct(taken.type):
        raise TypeError(f"expected one column, got a {type(values).__name__}, a table of Arrow")
    return taken


def is_of_arrow(value: object) -> bool:
    """Whether it can be handed to any library of Arrow (the PyCapsule interface)."""
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")


def _from_arrow(scalar: Any) -> object:
    """A value of an Arrow array; the bytes of a string that is not valid UTF-8."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return getattr(scalar, "value", scalar).as_buffer().to_pybytes()


def read_texts(
    values: Iterable[object], reader: TextReader, spans: Iterable[Any] | None
) -> Generator[Document, None, None]:
    """A document for each value, with the caller's spans when given.

    ValueError when there are not as many lists of spans as texts.
    """
    if spans is None:
        yield from map(reader.read, values)
        return
    remaining = iter(spans)
    for index, value in enumerate(values):
        document = reader.read(value)
        try:
            document.spans = as_spans(next(remaining), f"document {index}")
        except StopIteration:
            raise ValueError(f"detail holds spans for {index} texts, but there are more") from None
        yield document
    if next(remaining, None) is not None:
        raise ValueError("detail holds spans for more texts than there are")


def read_ids(values: Iterable[Any], vocab_size: int) -> Generator[Document, None, None]:
    """A document for each list of token ids; ValueError, naming it, for ids out of range."""
    for index, given in enumerate(iterable(values)):
        value = _ids_from_arrow(given) if hasattr(given, "as_py") else given
        if value is None or isinstance(value, (str, bytes)):
            message = f"expected token ids, found {type(value).__name__}"
            yield Document(status="bad_type", message=message)
            continue
        ids = as_ids(value, vocab_size, f"document {index} of input_ids")
        status = "ok" if len(ids) >= 2 else "too_short" if len(ids) else "empty"
        yield Document(status=status, ids=ids)


def _ids_from_arrow(scalar: Any) -> Any:
    """The ids of a list of an Arrow array, as an array where it has one."""
    if not hasattr(scalar, "values"):
        return scalar.as_py()
    return scalar.values.to_numpy(zero_copy_only=False) if scalar.is_valid else None
