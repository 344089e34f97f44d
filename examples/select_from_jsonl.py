"""Score a JSONL file as it streams by and write the top 20 % of its lines to another one.

python examples/select_from_jsonl.py INPUT.jsonl OUTPUT.jsonl [TEXT_COLUMN]

`score` draws texts from the generator as it needs them, so only numbers are kept in memory. All
lines count as one domain; `attninfluence score` and `attninfluence select` do this by domain.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator

import numpy as np

import attninfluence as ai

FRACTION = 0.20


def texts_of(path: str, column: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)[column]


def best(scores: np.ndarray, fraction: float) -> set[int]:
    """Places of the highest scores; ties go to the earlier line. NaN is no score."""
    scored = int(np.count_nonzero(~np.isnan(scores)))
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    return set(order[: math.ceil(fraction * scored)].tolist())


def main(source: str, target: str, column: str = "text") -> None:
    result = ai.score(texts_of(source, column), progress=True)
    chosen = best(result.score, FRACTION)
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        out.writelines(line for i, line in enumerate(lines) if i in chosen)
    unscored = len(result) - result.status.count("ok")
    print(f"{len(chosen)} of {len(result)} lines chosen, {unscored} without a score")


if __name__ == "__main__":
    main(*sys.argv[1:])
