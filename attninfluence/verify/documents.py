"""The documents that a model is compared on: texts of many kinds, and ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attninfluence.base.whole_number import as_whole_number
from attninfluence.model.model import Model

# Tokens of the longest document: past any window of up to WIDEST_WINDOW keys by PAST_WINDOW rows.
LONGEST = 640
WIDEST_WINDOW = 1024
PAST_WINDOW = 128
RANDOM_LENGTHS = (2, 33, 160)

TEXTS = (
    "The lighthouse keeper wrote down the hour, the wind and the ships, as he had every evening "
    "for thirty years, and then he put out the lamp in the kitchen.",
    "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n"
    "    if len(ordered) % 2:\n        return ordered[middle]\n"
    "    return (ordered[middle - 1] + ordered[middle]) / 2\n",
    "If 3x + 7 = 22, then 3x = 15 and x = 5. Check: 3 * 5 + 7 = 15 + 7 = 22.",
    "Größe, naïveté, Ærø \u2014 東京は夜の七時。 Привет, мир! \N{SNOWMAN}",
)
NAMES = ("Ada", "Boris", "Chidi", "Dolores", "Emre", "Fatima", "Goran")
FRUITS = ("pears", "plums", "quinces", "figs", "cherries")
TOKENS_OF_AN_ENTRY = 8  # at least, of any tokenizer


def long_text(n_tokens: int) -> str:
    """Entries of a list, much alike, of at least that many tokens."""
    entries = [
        f"Entry {n}: {NAMES[n % len(NAMES)]} brought {n * 7 % 13 + 2} baskets of "
        f"{FRUITS[n % len(FRUITS)]} and took {n % 4} home."
        for n in range(-(-n_tokens // TOKENS_OF_AN_ENTRY))
    ]
    return "\n".join(entries)


def make_documents(model: Model, length: int | None = None) -> list[NDArray[np.int32]]:
    """Documents of 2 tokens or more, the longest of `length` (`verify`).

    ModelError when the model lacks ids that its tokenizer gives for them.
    """
    length = _check_length(model, length)
    if model.has_tokenizer:
        texts = (*TEXTS, long_text(length))
        found = [encoding.ids for encoding in model.tokenizer.encode(texts, offsets=False)]
        model.tokenizer.check_fits(np.concatenate(found), model.vocab_size)
    else:
        draw, lengths = np.random.default_rng(0).integers, (*RANDOM_LENGTHS, length)
        found = [draw(0, model.vocab_size, n, dtype=np.int32) for n in lengths]
    return [ids[:length] for ids in found if len(ids) >= 2]


def _check_length(model: Model, length: int | None) -> int:
    """`length`, or what None stands for; ValueError outside 2..context."""
    if length is None:
        window = model.core.window
        past = window + PAST_WINDOW if window <= WIDEST_WINDOW else 0
        return min(max(LONGEST, past), model.context)
    length = as_whole_number("length", length)
    if not 2 <= length <= model.context:
        raise ValueError(
            f"length must be 2..{model.context} tokens, up to the model's context, got {length}"
        )
    return length
