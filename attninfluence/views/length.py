"""Loss and score against the length of documents."""

from __future__ import annotations

import math
from typing import NamedTuple

from attninfluence.views.drawing import Scale, nice_ticks, svg, svg_line, svg_text, tick_label
from attninfluence.views.words import count, escape, number, plural

LEFT, RIGHT = 46.0, 12.0
LOSS, SCORE = (26.0, 150.0), (196.0, 262.0)  # top and bottom of the two panels
WIDTH = 480.0


class LengthBin(NamedTuple):
    """Documents of `low` to below `high` tokens: how many, the quartiles of their base loss in nats
    a token, and their median score."""

    low: float
    high: float
    documents: int
    loss: tuple[float, float, float]
    score: float

    @property
    def middle(self) -> float:
        """Of the bin on a scale of logarithms."""
        return math.log10(self.low * self.high) / 2


def length_svg(bins: list[LengthBin], *, label: str, width: float = WIDTH) -> str:
    """Base loss (median and quartiles) and median score by length as SVG, lengths on a log scale.

    `bins` in order of length, at least one.
    """
    x = Scale(math.log10(bins[0].low), math.log10(bins[-1].high), LEFT, width - RIGHT)
    loss = _scale([value for one in bins for value in one.loss], *LOSS)
    score = _scale([one.score for one in bins], *SCORE)
    body = [
        svg_text(0, 12, "base loss, nats a token", classes="strong"),
        svg_text(0, SCORE[0] - 14, "median score", classes="strong"),
        *_rules(loss, width),
        *_rules(score, width),
        *_length_axis(bins, x, width),
        _band(bins, x, loss),
        _line([(x(one.middle), loss(one.loss[1])) for one in bins], "line"),
        _line([(x(one.middle), score(one.score)) for one in bins], "line accented"),
    ]
    for one in bins:
        hint = _hint(one)
        body.append(_dot(x(one.middle), loss(one.loss[1]), "dot", hint))
        body.append(_dot(x(one.middle), score(one.score), "dot accented", hint))
    return svg(width, SCORE[1] + 36, label, body)


def lengths_in_words(one: LengthBin) -> str:
    """The bin's lengths: ``64 to 90``."""
    first, last = math.ceil(one.low - 1e-9), math.ceil(one.high - 1e-9) - 1
    return count(first) if last <= first else f"{count(first)} to {count(last)}"


def _hint(one: LengthBin) -> str:
    low, middle, high = (number(value) for value in one.loss)
    return (
        f"{lengths_in_words(one)} tokens, {plural(one.documents, 'document')}: base loss {middle} "
        f"({low} to {high}), score {number(one.score)}"
    )


def _scale(values: list[float], top: float, bottom: float) -> Scale:
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.5
    return Scale(low - room, high + room, bottom, top)


def _rules(scale: Scale, width: float) -> list[str]:
    """Lines across a panel at round values, with the values."""
    ticks = nice_ticks(scale.low, scale.high, about=4)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 0.0
    parts = []
    for tick in ticks:
        parts.append(svg_line(LEFT, scale(tick), width - RIGHT, scale(tick), "grid"))
        parts.append(svg_text(LEFT - 6, scale(tick) + 4, tick_label(tick, step), anchor="end"))
    return parts


def _length_axis(bins: list[LengthBin], x: Scale, width: float) -> list[str]:
    base = SCORE[1]
    parts = [svg_line(LEFT, bottom, width - RIGHT, bottom, "axis") for bottom in (LOSS[1], base)]
    for tokens in _round_lengths(bins[0].low, bins[-1].high):
        at = x(math.log10(tokens))
        parts.append(svg_line(at, base, at, base + 5, "axis"))
        parts.append(svg_text(at, base + 18, count(tokens), anchor="middle"))
    parts.append(svg_text(width - RIGHT, base + 33, "tokens of the document", anchor="end"))
    return parts


def _round_lengths(low: float, high: float) -> list[int]:
    """Powers of ten in the range, with 2 and 5 times them where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 300 else (1,)
    found = [factor * 10**power for power in powers if power >= 0 for factor in factors]
    return [tokens for tokens in found if low <= tokens <= high]


def _band(bins: list[LengthBin], x: Scale, y: Scale) -> str:
    upper = [(x(one.middle), y(one.loss[2])) for one in bins]
    lower = [(x(one.middle), y(one.loss[0])) for one in reversed(bins)]
    return _line([*upper, *lower], "band", close=True)


def _line(points: list[tuple[float, float]], css: str, close: bool = False) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{css}" d="M{path}{"Z" if close else ""}"/>'


def _dot(x: float, y: float, css: str, hint: str) -> str:
    return (
        f'<rect class="{css}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" rx="3">'
        f"<title>{escape(hint)}</title></rect>"
    )
