"""Which documents are shown: the best, a middle one and the worst of each domain that is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attninfluence.output.score_runs import ScoreRuns
from attninfluence.report.description import Description
from attninfluence.report.domains import Domains
from attninfluence.run.checkpoint import read_examples
from attninfluence.run.examples import Example, Reservoir

MOST_OPEN = 4  # documents whose tokens are seen without opening anything

STANDINGS = {
    "highest": "The highest score",
    "middle": "A score near the median",
    "lowest": "The lowest score",
}


@dataclass(frozen=True)
class ChosenDocument:
    """A row that is shown.

    standing   in its domain: highest, middle or lowest; `rank` counts from 0 within it
    may_open   whether its tokens, if there are any, stand in the section of their own
    """

    domain: int
    standing: str
    rank: int
    row: dict[str, Any]
    may_open: bool


def kept_examples(run: ScoreRuns, domains: Domains) -> dict[tuple[str, int], Example]:
    """The examples of the domains that are drawn, by file and row; of many shards no more than of
    one."""
    names = {domains.names[at] for at in domains.drawn}
    reservoir = Reservoir()
    for shard in run.runs:
        for example in read_examples(shard.path, shard.run["run_id"]):
            if example.domain in names:
                reservoir.put(example)
    return {example.key: example for example in reservoir}


def choose_rows(
    run: ScoreRuns,
    domains: Domains,
    description: Description,
    kept: dict[tuple[str, int], Example],
) -> list[ChosenDocument]:
    """In order of domain, standing and rank. A middle document is one that was kept, if any was."""
    medians = {domain: description.nearest_median(domain) for domain in description.extremes}
    extremes = {domain: (of.highest, of.lowest) for domain, of in description.extremes.items()}
    # All at once: to find a row, each part file is opened.
    positions = [at for pair in extremes.values() for end in pair for at in end]
    rows = run.rows_at([*medians.values(), *positions])
    largest = sorted(domains.drawn, key=lambda domain: -int(domains.scored[domain]))
    chosen: list[ChosenDocument] = []
    for domain, pair in extremes.items():
        highest, lowest = ([rows[at] for at in end] for end in pair)
        own = [example for example in kept.values() if example.domain == domains.names[domain]]
        center, sampled = description.median(domain), rows[medians[domain]]
        middle = _middle(own, center, sampled, others=highest + lowest)
        for standing, members in zip(STANDINGS, (highest, middle, lowest), strict=True):
            for rank, row in enumerate(members):
                may_open = domain in largest[:MOST_OPEN] and standing == "highest" and rank == 0
                chosen.append(ChosenDocument(domain, standing, rank, row, may_open))
    return chosen


def row_key(row: dict[str, Any]) -> tuple[str, int]:
    return row["file"], row["row"]


def _middle(
    kept: list[Example],
    center: float,
    sampled: dict[str, Any],
    others: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The kept document nearest the median; without any `sampled`, the nearest of a sample."""
    taken = {row_key(row) for row in others}
    free = [example for example in kept if example.key not in taken]
    if free:
        nearest = min(free, key=lambda example: (abs(example.score - center), example.key))
        return [{field: getattr(nearest, field) for field in Example.__slots__}]
    return [] if kept or row_key(sampled) in taken else [sampled]
