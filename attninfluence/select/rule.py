"""What is selected: how much of each domain, and in which order."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from attninfluence.output.tally import domain_order

RankBy = Literal["score", "base_loss", "random"]

MOST_NAMES = 10  # of domains in a message


@dataclass(frozen=True)
class Rule:
    """What to select: a fraction of each domain's candidates, or a budget of tokens.

    A candidate is a document with a score and at least `min_tokens` tokens.

    Attributes:
        fraction: of each domain's candidates, in (0, 1], as `as_fraction` reads it.
        tokens: instead, a budget in all (shared over the domains by their candidates' tokens), or
            by domain, where a domain that is not named gets none; None names the documents without
            one.
        rank_by: the highest are selected; "random" orders by chance.
        bottom: select the lowest instead.
        seed: of a random order and of sampling.
        temperature: sample without replacement, each next document with a probability
            proportional to exp(z / temperature), where z is its score in standard deviations of
            its domain's scores; None: no sampling.
        min_tokens: that a candidate has.
    """

    fraction: Fraction | None = None
    tokens: int | Mapping[str | None, int] | None = None
    rank_by: RankBy = "score"
    bottom: bool = False
    seed: int = 0
    temperature: float | None = None
    min_tokens: int = 0

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.tokens is None):
            raise ValueError("give either a fraction or a budget of tokens")
        if self.rank_by not in ("score", "base_loss", "random"):
            raise ValueError(f"rank_by must be score, base_loss or random, got {self.rank_by!r}")
        if self.temperature is not None:
            if self.rank_by == "random":
                raise ValueError("a random order has no temperature; rank by score or base_loss")
            if not 0 < self.temperature < math.inf:
                raise ValueError(f"temperature must be above 0, got {self.temperature}")
        budgets = self.tokens.values() if isinstance(self.tokens, Mapping) else [self.tokens or 0]
        if min(budgets, default=0) < 0:
            raise ValueError("a budget of tokens must not be negative")

    @property
    def unit(self) -> Literal["documents", "tokens"]:
        """What a budget counts."""
        return "tokens" if self.fraction is None else "documents"

    @property
    def tokens_in_all(self) -> int | None:
        """The budget of tokens over all domains; None for a fraction."""
        return sum(self.tokens.values()) if isinstance(self.tokens, Mapping) else self.tokens

    @property
    def is_sampled(self) -> bool:
        """Whether chance has a part in the order."""
        return self.rank_by == "random" or self.temperature is not None

    def budgets(
        self, names: Sequence[str | None], candidates: Sequence[int], tokens: Sequence[int]
    ) -> list[int]:
        """How many documents or tokens to select of each domain, from what its candidates have."""
        if self.fraction is not None:
            return [count_of_fraction(count, self.fraction) for count in candidates]
        if isinstance(self.tokens, Mapping):
            for name in self.tokens:
                if name not in names:
                    raise ValueError(_unknown(name, names))
            return [self.tokens.get(name, 0) for name in names]
        assert self.tokens is not None
        return share_budget(self.tokens, tokens)

    def describe(self) -> dict[str, Any]:
        """The rule as JSON values, exactly: `as_fraction` reads the fraction back."""
        described: dict[str, Any] = {"rank_by": self.rank_by, "bottom": self.bottom}
        if self.temperature is not None:
            described["temperature"] = self.temperature
        if self.is_sampled:
            described["seed"] = self.seed
        described["min_tokens"] = self.min_tokens
        if self.fraction is not None:
            described["fraction"] = written(self.fraction)
        else:
            described["tokens"] = _described(self.tokens)
        return described


def _described(tokens: int | Mapping[str | None, int] | None) -> Any:
    """Budgets as JSON values; a list where one has no name, which no key of JSON is."""
    if not isinstance(tokens, Mapping):
        return tokens
    if None in tokens:
        return [{"domain": name, "tokens": count} for name, count in tokens.items()]
    return dict(tokens)


def _unknown(name: str | None, names: Sequence[str | None]) -> str:
    """What to say of a budget for a domain that is not there."""
    known = [names[at] for at in domain_order(names)]
    first = ", ".join("none" if k is None else repr(k) for k in known[:MOST_NAMES])
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    what = "documents without a domain" if name is None else f"domain {name!r}"
    told = f"a budget is given for {what}; the scores have {first}{more}"
    if parted := [k for k in known if k and name and name in k and ("," in k or "=" in k)]:
        given = json.dumps({parted[0]: 1000}, ensure_ascii=False)
        told += f"; give a name with a comma or = in JSON: --tokens {shlex.quote(given)}"
    return told


def as_fraction(value: float | str | Fraction) -> Fraction:
    """A fraction in (0, 1] as it is written in decimals: 0.2 is one fifth, exactly."""
    try:
        fraction = value if isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"fraction must be a number in (0, 1], got {value!r}") from None
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {value}")
    return fraction


def written(fraction: Fraction) -> float | str:
    """What `as_fraction` reads as this fraction: 0.2, or "1/3" where no decimal number is it."""
    decimal = float(fraction)
    return decimal if Fraction(str(decimal)) == fraction else str(fraction)


def count_of_fraction(n: int, fraction: Fraction) -> int:
    """``ceil(fraction * n)`` in exact arithmetic."""
    return math.ceil(fraction * n)


def share_budget(budget: int, tokens: Sequence[int]) -> list[int]:
    """`budget` shared in proportion to each domain's tokens, rounded down."""
    total = sum(tokens)
    return [budget * count // total if total else 0 for count in tokens]
