"""Are these samples enough? Which selected heads other samples might leave out, and for which."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attninfluence.views.words import count, number, plural

if TYPE_CHECKING:
    from attninfluence.heads.head_table import HeadTable
    from attninfluence.heads.pairs import Head

# Percentile intervals of fewer samples hold the true mean clearly less often than they say.
LEAST_COUNTED = 30
QUANTILE = 1.96  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Stability:
    """Whether the samples tell the selected heads from the others; `print` gives the sentence.

    Attributes:
        enough: True when no interval reaches the border, False when some do, None when the samples
            cannot say.
        sentence: the answer in words.
        border: the threshold that selected, else the middle between the lowest selected and the
            highest other score; NaN where there is none.
        doubtful: selected heads whose 95 % interval reaches the border, best first.
        rivals: heads left out whose interval reaches it, best first.
        samples_needed: probe samples that would part them, by their standard errors: an estimate.
            None where none are needed, or none can be named.
    """

    enough: bool | None
    sentence: str
    border: float = math.nan
    doubtful: tuple[Head, ...] = ()
    rivals: tuple[Head, ...] = ()
    samples_needed: int | None = None

    def __str__(self) -> str:
        return self.sentence

    def summary(self) -> dict[str, bool | int | str | None]:
        """In JSON values."""
        return {
            "enough": self.enough,
            "samples_needed": self.samples_needed,
            "sentence": self.sentence,
        }


def stability_of(heads: HeadTable) -> Stability:
    """The answer for the heads that are selected now."""
    if not heads.n_counted:
        sentence = f"Too few to tell: none of {plural(heads.samples, 'sample')} counted."
        return Stability(None, sentence)
    chosen = _chosen(heads)
    threshold = _threshold(heads, chosen)
    if threshold is None and not chosen.any():
        return Stability(None, "No head is selected.")
    if threshold is None and chosen.all():
        return Stability(True, "Yes: every head is selected, whatever the samples.")
    if heads.n_counted < LEAST_COUNTED:
        return _too_few(heads)
    if threshold is not None:
        return _at_border(heads, chosen, threshold, f"the threshold of {number(threshold)}")
    lowest, highest = heads.scores[chosen].min(), heads.scores[~chosen].max()
    if lowest < highest:
        return _not_by_score(heads)
    border = float(lowest + highest) / 2
    return _at_border(
        heads, chosen, border, f"the border of {number(border)} between selected and other heads"
    )


def _chosen(heads: HeadTable) -> NDArray[np.bool_]:
    """bool[layers, heads], True where selected."""
    chosen = np.zeros(heads.scores.shape, dtype=np.bool_)
    for head in heads.selected:
        chosen[head] = True
    return chosen


def _threshold(heads: HeadTable, chosen: NDArray[np.bool_]) -> float | None:
    """The threshold of the options, where the selected heads are just those that reach it."""
    threshold = share_option(heads, "threshold")
    if threshold is None or not np.array_equal(heads.scores >= threshold, chosen):
        return None
    return threshold


def share_option(heads: HeadTable, name: str) -> float | None:
    """An option that is a number in 0..1; None for anything else, which a file may hold."""
    value = heads.options.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 1 else None


def _too_few(heads: HeadTable) -> Stability:
    needed = _asked_for(heads, LEAST_COUNTED)
    sentence = (
        f"Too few to tell: {count(heads.n_counted)} of {plural(heads.samples, 'sample')} counted, "
        f"and intervals of fewer than {LEAST_COUNTED} are too narrow; ask for {count(needed)} or "
        "more."
    )
    return Stability(None, sentence, samples_needed=needed)


def _not_by_score(heads: HeadTable) -> Stability:
    sentence = (
        "Samples do not decide: the selection does not follow the scores, a head left out scores "
        "higher than a selected one."
    )
    return Stability(None, sentence)


def _at_border(heads: HeadTable, chosen: NDArray[np.bool_], border: float, name: str) -> Stability:
    low, high = heads.bounds()
    reaching = (low <= border) & (border <= high)
    if not reaching.any():
        return Stability(True, f"Yes: no head's 95 % interval reaches {name}.", border)
    ranking = heads.ranking()
    doubtful = tuple(head for head in ranking if reaching[head] and chosen[head])
    rivals = tuple(head for head in ranking if reaching[head] and not chosen[head])
    needed = _samples_needed(heads, reaching, border)
    near = [(doubtful, len(heads.selected), "selected"), (rivals, int((~chosen).sum()), "other")]
    who = " and ".join(f"{len(some)} of {count(n)} {which}" for some, n, which in near if some)
    sentence = (
        f"Not quite: {who} heads are within chance of {name}, so other samples could select "
        f"others; {_outlook(needed)}."
    )
    return Stability(False, sentence, border, doubtful, rivals, needed)


def _outlook(needed: int | None) -> str:
    if needed is None:
        return "no number of samples can be named that would part them, as some scores lie on it"
    return f"about {count(needed)} samples would part them if the scores stay as they are"


def _samples_needed(heads: HeadTable, reaching: NDArray[np.bool_], border: float) -> int | None:
    """Samples after which QUANTILE standard errors no longer reach from any score to the border."""
    gap = np.abs(heads.scores[reaching] - border)
    if (gap == 0).any():
        return None
    ratio = float(np.max(QUANTILE * heads.standard_error[reaching] / gap))
    return _asked_for(heads, max(heads.n_counted * ratio**2, heads.n_counted + 1))


def _asked_for(heads: HeadTable, counted: float) -> int:
    """Samples to ask for so that so many count, rounded up to two digits."""
    asked = counted * heads.samples / heads.n_counted
    unit = int(10 ** max(0, math.floor(math.log10(asked)) - 1))
    return math.ceil(asked / unit) * unit
