"""Loss and score by the length of documents."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from attninfluence.report.description import Description
from attninfluence.views.length import LengthBin, length_svg, lengths_in_words
from attninfluence.views.words import count, number


def length_section(description: Description) -> dict[str, Any] | None:
    """Loss and score by length; None where no length has documents enough."""
    bins = description.lengths.bins()
    if len(bins) < 2:
        return None
    return {
        "sentence": _length_sentence(description.samples.length_correlation(None)),
        "drawing": Markup(length_svg(bins, label=_length_label(bins))),
        "rows": [_length_row(length) for length in bins],
    }


def _length_sentence(correlation: float) -> str:
    if not abs(correlation) >= 0.1:  # NaN where all scores are equal
        what = "the score hardly depends on it"
    else:
        what = "longer documents score " + ("higher" if correlation > 0 else "lower")
    return (
        "The rank correlation of score and number of tokens over all documents is "
        f"{number(correlation, 2)}: {what}. The table of domains above has it within each domain."
    )


def _length_label(bins: list[LengthBin]) -> str:
    first, last = bins[0], bins[-1]
    ends = [
        f"{number(one.loss[1], 2)} nats a token and a score of {number(one.score)} at "
        f"{lengths_in_words(one)} tokens"
        for one in (first, last)
    ]
    return f"Median base loss and median score by length: {ends[0]}, {ends[1]}"


def _length_row(length: LengthBin) -> dict[str, str]:
    low, middle, high = (number(value) for value in length.loss)
    return {
        "tokens": lengths_in_words(length),
        "documents": count(length.documents),
        "median": middle,
        "quartiles": f"{low} to {high}",
        "score": number(length.score),
    }
