"""The sentences that stand as values in a probe sample: of a corpus, or of the package."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from attninfluence.base.text import as_text

BUNDLED_SENTENCES = Path(__file__).parent / "sentences.txt"

# How a corpus becomes sentences; see `read_sentences`.
MAX_TEXTS = 100_000
MAX_CANDIDATES = 50_000
SENTENCE_CHARACTERS = (12, 240)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")

Texts = str | os.PathLike[str] | Iterable[str]


def random_stream(seed: int, *stream: int) -> np.random.Generator:
    """Random numbers of a seed: (0,) orders the sentences, (1, i) makes sample i, and (2,)
    resamples what was read of the samples.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stream))


def read_sentences(corpus: Texts | None, seed: int = 0) -> list[str]:
    """The sentences of a corpus that can be values, in a random order given by `seed`.

    The texts are read in order until 50,000 sentences or 100,000 texts have been seen, whichever
    is first (`make_samples` uses at most 4,000 of them). A text is cut at line ends and after
    `.`, `!` and `?` that whitespace follows. A piece is a sentence when it has 12 to 240
    characters, starts with a letter or digit, ends with a full stop, question or exclamation mark,
    and stands in JSON as it is: printable, without quotation mark and backslash.
    """
    if corpus is None:
        sentences = BUNDLED_SENTENCES.read_text(encoding="utf-8").splitlines()
    else:
        found = (
            piece
            for text in islice(_texts(corpus), MAX_TEXTS)
            for piece in map(str.strip, SENTENCE_END.split(text))
            if _is_sentence(piece)
        )
        sentences = list(dict.fromkeys(islice(found, MAX_CANDIDATES)))
    random_stream(seed, 0).shuffle(sentences)
    return sentences


def _is_sentence(piece: str) -> bool:
    shortest, longest = SENTENCE_CHARACTERS
    return (
        shortest <= len(piece) <= longest
        and piece[0].isalnum()
        and piece[-1] in ".!?。！？"
        and piece.isprintable()
        and '"' not in piece
        and "\\" not in piece
    )


def _texts(corpus: Texts) -> Iterator[str]:
    if isinstance(corpus, str | os.PathLike):
        yield from _texts_of_file(os.fspath(corpus))
        return
    for text in corpus:
        if not isinstance(text, str):
            raise TypeError(f"corpus must hold texts, not {type(text).__name__}")
        yield text


def _texts_of_file(path: str) -> Iterator[str]:
    """The texts of a file, folder, glob or URL; those of a text file are its lines."""
    from attninfluence.corpus.columns import resolve_columns
    from attninfluence.corpus.files import file_format
    from attninfluence.corpus.inputs import find_inputs
    from attninfluence.corpus.rows import iter_rows

    for file in find_inputs([path]).files:
        if file_format(file.name) == "text":
            values: Iterable[Any] = _lines(file.name)
        else:
            batches = iter_rows(file.name, resolve_columns(file.name))
            values = (text for batch in batches for text in batch.texts)
        texts = (as_text(value)[0] for value in values)
        yield from (text for text in texts if text is not None)


def _lines(path: str) -> Iterator[bytes]:
    from attninfluence.corpus.compressed import decompressing, utf8_stream
    from attninfluence.corpus.files import open_binary

    with closing(open_binary(path)) as source, decompressing(path):
        yield from utf8_stream(path, source)
