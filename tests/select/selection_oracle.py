"""METHOD.md section 5 in plain Python, on a list of rows: what selection is compared with.

Rows are dictionaries as `tests.kit.score_tables.score_row` makes them, in the order of the table.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from fractions import Fraction

from attninfluence.select.rule import Rule

SPARE = 1000
Row = dict
Groups = dict[str | None, list[Row]]


def groups_of(rows: list[Row], rule: Rule, by: str = "domain") -> Groups:
    """The candidates of each domain, in order; a domain without candidates is empty."""
    groups: Groups = {}
    for row in rows:
        group = groups.setdefault(row["domain"] if by == "domain" else "all", [])
        if row["status"] == "ok" and row["n_tokens"] >= rule.min_tokens:
            group.append(row)
    return groups


def ordered(group: list[Row], name: str | None, rule: Rule) -> list[Row]:
    """A domain's candidates, first those to select first; Python's sort keeps ties in order."""
    if rule.rank_by == "random":
        return sorted(group, key=lambda row: -chance(rule.seed, name, row))
    sign = -1 if rule.bottom else 1
    if rule.temperature is None:
        return sorted(group, key=lambda row: -sign * row[rule.rank_by])
    spread = statistics.pstdev([row[rule.rank_by] for row in group]) if group else 0.0

    def key(row: Row) -> float:
        noise = -math.log(-math.log(chance(rule.seed, name, row)))
        scale = rule.temperature * spread
        return noise + (sign * row[rule.rank_by] / scale if scale else 0.0)

    return sorted(group, key=lambda row: -key(row))


def chance(seed: int, domain: str | None, row: Row) -> float:
    """The number in (0, 1) of a row, in Python's whole numbers."""
    state = mixed(digest(str(seed)) + digest(domain)) + digest(row["file"])
    state = mixed(mixed(state) + row["row"] * 0x9E3779B97F4A7C15)
    return float(Fraction(2 * (state >> 12) + 1, 2**53))


def mixed(state: int) -> int:
    state %= 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        state = (state ^ (state >> shift)) * factor % 2**64
    return state


def digest(name: str | None) -> int:
    stored = b"\x00" if name is None else b"\x01" + name.encode()
    return int.from_bytes(hashlib.blake2b(stored, digest_size=8).digest(), "little")


def within(order: list[Row], budget: int) -> list[Row]:
    """Documents while they fit, and of the SPARE after the first that does not those that do."""
    taken, tried = [], 0
    for row in order:
        if row["n_tokens"] <= budget:
            budget -= row["n_tokens"]
            taken.append(row)
            tried += tried > 0
        else:
            tried += 1
        if tried > SPARE:
            break
    return taken


def selected(rows: list[Row], rule: Rule, by: str = "domain") -> Groups:
    """The selected rows of each domain, best first."""
    groups = groups_of(rows, rule, by)
    every = sum(row["n_tokens"] for group in groups.values() for row in group)
    chosen = {}
    for name, group in groups.items():
        order = ordered(group, name, rule)
        if rule.fraction is not None:
            wanted = 0
            while Fraction(wanted) < rule.fraction * len(order):
                wanted += 1
            chosen[name] = order[:wanted]
        elif isinstance(rule.tokens, int):
            own = sum(row["n_tokens"] for row in group)
            share = math.floor(Fraction(rule.tokens) * own / every) if every else 0
            chosen[name] = within(order, share)
        else:
            chosen[name] = within(order, rule.tokens.get(name, 0))
    return chosen


def control(rows: list[Row], rule: Rule, seed: int, by: str = "domain") -> Groups:
    """Random rows of as many tokens."""
    at_random = Rule(fraction=Fraction(1), rank_by="random", seed=seed)
    groups = groups_of(rows, rule, by)
    return {
        name: within(ordered(groups[name], name, at_random), sum(row["n_tokens"] for row in taken))
        for name, taken in selected(rows, rule, by).items()
    }


def keys(groups: Groups) -> dict[str | None, set[tuple[str, int]]]:
    return {name: {(r["file"], r["row"]) for r in group} for name, group in groups.items()}
