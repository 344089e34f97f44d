"""Score a dataset with `datasets` and keep the best 20 % of each domain.

python examples/score_dataset.py INPUT.jsonl OUTPUT.parquet [WORKERS]

INPUT has the columns `text` and `domain`. Worker processes share one copy of the weights; what
was scored once is found again in the cache of `datasets`, until the model, the heads or an option
changes.
"""

from __future__ import annotations

import sys
from typing import Any

import datasets
import numpy as np

import attninfluence as ai
from attninfluence.select import as_fraction, count_of_fraction

FRACTION = 0.20


def find_cuts(scored: datasets.Dataset, fraction: float) -> dict[str, float]:
    """The score that the best `fraction` of a domain's scored documents reach, by domain."""
    columns = scored.select_columns(["domain", "ai_score"]).with_format("numpy")
    domains, scores = np.array(columns["domain"]), np.array(columns["ai_score"])
    cuts = {}
    for domain in np.unique(domains):
        of_domain = np.sort(scores[(domains == domain) & ~np.isnan(scores)])
        if of_domain.size:
            count = count_of_fraction(of_domain.size, as_fraction(fraction))
            cuts[str(domain)] = float(of_domain[-count])
    return cuts


def keeps(batch: dict[str, list[Any]], cuts: dict[str, float]) -> list[bool]:
    """Whether each document reaches its domain's cut; no score reaches none."""
    rows = zip(batch["domain"], batch["ai_score"], strict=True)
    return [domain in cuts and score >= cuts[domain] for domain, score in rows]


def main(source: str, target: str, workers: str = "2") -> None:
    documents = datasets.load_dataset("json", data_files=source, split="train")
    scored = documents.map(ai.Scorer(), batched=True, num_proc=int(workers))
    cuts = find_cuts(scored, FRACTION)
    kept = scored.filter(keeps, batched=True, fn_kwargs={"cuts": cuts})
    kept.to_parquet(target)
    print(f"{len(kept)} of {len(scored)} documents kept")
    for domain, cut in sorted(cuts.items()):
        print(f"{domain}: score at least {cut:.4f}")


if __name__ == "__main__":  # worker processes may import this file
    main(*sys.argv[1:])
