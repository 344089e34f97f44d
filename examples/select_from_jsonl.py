"""Score a JSONL file batch by batch and write the top 20 % of its lines to another one.

python examples/select_from_jsonl.py INPUT.jsonl OUTPUT.jsonl [TEXT_COLUMN]

Only scores and places are kept in memory, so the input may be of any size. All lines count as
one domain; `attninfluence score` and `attninfluence select` do this by domain.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from itertools import islice

import attninfluence as ai

BATCH = 256
FRACTION = 0.20


def texts_of(path: str, column: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)[column]


def scores_of(texts: Iterator[str], model: ai.Model) -> Iterator[float]:
    while batch := list(islice(texts, BATCH)):
        yield from ai.score(batch, model=model).score


def best(scores: list[float], fraction: float) -> set[int]:
    """Places of the highest scores; ties go to the earlier line. NaN is no score."""
    scored = [i for i, score in enumerate(scores) if not math.isnan(score)]
    scored.sort(key=lambda i: (-scores[i], i))
    return set(scored[: math.ceil(fraction * len(scored))])


def main(source: str, target: str, column: str = "text") -> None:
    model = ai.load()
    scores = list(scores_of(texts_of(source, column), model))
    chosen = best(scores, FRACTION)
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        out.writelines(line for i, line in enumerate(lines) if i in chosen)
    unscored = sum(map(math.isnan, scores))
    print(f"{len(chosen)} of {len(scores)} lines chosen, {unscored} without a score")


if __name__ == "__main__":
    main(*sys.argv[1:])
