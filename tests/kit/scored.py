"""What the tests of score() share: texts, heads, and comparisons."""

from __future__ import annotations

import math

import numpy as np

import attninfluence as ai

HEADS = [(1, 0), (2, 3)]
TEXTS = [
    "the thing and the other",
    "A second text, of some more words.\nIt has two lines. And three sentences!",
    "naïve café — 日本語 😀",
    "of the",
    "in " * 40,
]
LONG_TEXT = "the thing of an inner ring is to sing and sing in the rain " * 3


def score(texts, model, **options):
    return ai.score(texts, model=model, heads=options.pop("heads", HEADS), **options)


def mean(losses):
    return math.fsum(losses.astype(np.float64)) / len(losses)


def assert_same(a, b):
    """Equal to the bit, NaN equal to NaN."""
    for name, column in a.columns().items():
        np.testing.assert_array_equal(column, b.columns()[name], err_msg=name)
