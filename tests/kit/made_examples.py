"""Documents with tokens in a made run, as scoring would have kept them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from attninfluence.output.part import PartWriter
from attninfluence.output.score_runs import open_scores
from attninfluence.run.checkpoint import EXAMPLES_NAME
from attninfluence.run.examples import (
    EXTREME_DOCUMENTS,
    MOST_DOMAINS,
    MOST_TOKENS,
    RANDOM_DOCUMENTS,
    Example,
    example_schema,
    to_table,
)
from tests.kit.made_scores import Made, row_of


def example(row: dict[str, Any], text: str, tokens: int) -> Example:
    """A row as a run keeps it, `text` repeated for each token."""
    places = np.arange(tokens) * len(text)
    generator = np.random.default_rng(row["row"])
    losses = generator.gamma(2, 1, (2, tokens)).astype(np.float32)
    losses[:, 0] = np.nan
    arrays = ("text", "token_ids", "offsets", "losses")
    return Example(
        **{name: row[name] for name in Example.__slots__ if name not in arrays},
        text=text * tokens,
        token_ids=np.zeros(tokens, np.int32),
        offsets=np.stack([places, places + len(text)], axis=1).astype(np.int32),
        losses=losses,
    )


def keep(folder: Path, examples: list[Example]) -> Path:
    """Examples in a finished run, as the run would have kept them."""
    run_id = open_scores(folder).runs[0].run["run_id"]
    schema = example_schema().append(pa.field("state", pa.large_binary()))
    writer = PartWriter(folder / EXAMPLES_NAME, run_id, schema)
    writer.write(pa.Table.from_pylist([{"state": b"{}"}], schema))
    table = to_table(examples)
    writer.write(pa.table([*table.columns, pa.nulls(len(table), pa.large_binary())], schema))
    writer.publish()
    return folder


def examples_of(made: Made) -> list[Example]:
    """The best, the worst and some other documents of the first domains, all of ordinary words."""
    found = []
    for domain in dict.fromkeys(made.domain[made.scored].tolist()):
        members = np.flatnonzero(made.scored & (made.domain == domain))
        best = members[np.argsort(-made.score[members], kind="stable")]
        others = best[EXTREME_DOCUMENTS:-EXTREME_DOCUMENTS]
        middle = others[:: max(1, len(others) // RANDOM_DOCUMENTS)][:RANDOM_DOCUMENTS]
        kept = {*best[:EXTREME_DOCUMENTS].tolist(), *best[-EXTREME_DOCUMENTS:].tolist()}
        for at in sorted({*kept, *middle.tolist()}):
            tokens = min(int(made.n_tokens[at]), MOST_TOKENS)
            found.append(example(row_of(made, at), "words ", tokens))
        if len({one.domain for one in found}) == MOST_DOMAINS:
            break
    return found
