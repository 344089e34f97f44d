"""The distribution of the scores, a histogram a domain."""

from __future__ import annotations

import numpy as np

from attninfluence.scores.viewed import ViewedScores
from attninfluence.views.histogram import axis_span, beyond_sentence, histogram_svg
from attninfluence.views.view import quiet
from attninfluence.views.words import escape, number, plural

PANEL_WIDTH, WIDE_PANEL_WIDTH = 340.0, 460.0


def histograms(viewed: ViewedScores) -> str:
    """All on one axis, which has the cuts inside."""
    control = viewed.scores.control_score
    shown = np.concatenate([viewed.members(domain) for domain in viewed.drawn])
    joined = viewed.documents.score[shown]
    span = axis_span(joined if control is None else np.concatenate([joined, control[shown]]))
    cuts = [cut for domain in viewed.drawn if (cut := viewed.cut(domain)) is not None]
    low, high = min([span[0], *cuts]), max([span[1], *cuts])
    beyond = int(((joined < low) | (joined > high)).sum())
    panels = "".join(_panel(viewed, domain, (low, high)) for domain in viewed.drawn)
    panels = f'<div class="panels">{panels}</div>' if viewed.by_domain else panels
    return f"{panels}{quiet(_axis_words(beyond, control is not None))}"


def _panel(viewed: ViewedScores, domain: int, span: tuple[float, float]) -> str:
    members, cut, name = viewed.members(domain), viewed.cut(domain), viewed.name(domain)
    control = viewed.scores.control_score
    drawing = histogram_svg(
        viewed.documents.score[members],
        span,
        cut=cut,
        control=None if control is None else control[members],
        label=f"{name}: scores of {plural(len(members), 'document')}, cut at {number(cut)}",
        width=PANEL_WIDTH if viewed.by_domain else WIDE_PANEL_WIDTH,
    )
    title = f"<figcaption>{escape(name)}</figcaption>" if viewed.by_domain else ""
    return f"<figure>{title}{drawing}</figure>"


def _axis_words(beyond: int, has_control: bool) -> str:
    sentences = ["Documents by score; what stands out is selected."]
    if has_control:
        sentences.append("The stroke under an axis spans the middle 90 % of the control scores.")
    return " ".join(filter(None, [*sentences, beyond_sentence(beyond)]))
