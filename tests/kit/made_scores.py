"""Finished score runs of many rows, made of numbers alone, for what reads a whole corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attninfluence.output.folder import OutputFolder
from attninfluence.output.schema import score_schema
from attninfluence.output.tally import DomainTotals, Tally

STATUSES = np.array(["ok", "empty", "too_short"])
PART_ROWS = 100_000
AT_ONCE = 8192
FILE = "corpus.jsonl"


class Made(NamedTuple):
    """The columns of a made run, one entry a row; numbers are NaN where the status is not ok."""

    names: list[str]
    domain: NDArray[np.int64]
    status: NDArray[np.int64]
    n_tokens: NDArray[np.int64]
    base_loss: NDArray[np.float64]
    score: NDArray[np.float64]
    control_score: NDArray[np.float64]

    @property
    def scored(self) -> NDArray[np.bool_]:
        return self.status == 0


def make_columns(rows: int, domains: int, digits: int | None = None, seed: int = 0) -> Made:
    """Domains of very different sizes; scores rise with the length, and with the control's score.

    digits  after the point to which scores are rounded, so that there are ties; None: not at all
    """
    generator = np.random.default_rng(seed)
    sizes = generator.pareto(1.2, domains) + 0.05
    domain = generator.choice(domains, rows, p=sizes / sizes.sum())
    status = generator.choice(3, rows, p=(0.97, 0.02, 0.01))
    n_tokens = np.minimum(generator.lognormal(6, 1.5, rows), 1e6).astype(np.int64) + 2
    numbers = generator.normal(size=(2, rows))
    score = 0.1 + 0.05 * numbers[0] + 0.01 * np.log(n_tokens) + 0.05 * (domain % 7) / 7
    control = 0.4 * score + 0.04 * numbers[1]
    if digits is not None:
        score, control = np.round(score, digits), np.round(control, digits)
    base = 1 + generator.gamma(20, 0.1, rows)
    none = status != 0
    for values in (base, score, control):
        values[none] = np.nan
    names = [f"host-{number:06d}.example.org" for number in range(domains)]
    return Made(names, domain, status, n_tokens, base, score, control)


def write_made(path: Path, made: Made) -> Path:
    """A finished score run with these rows."""
    folder = OutputFolder(path, "scores")
    scoring = {"mask": "uniform", "heads": [[0, 1], [1, 0]], "control": [[0, 0], [1, 1]]}
    model = {"path": "/nowhere", "fingerprint": "ab" * 32}
    folder.start({"folder": "/", "inputs": [], "model": model, "scoring": scoring})
    for start in range(0, len(made.domain), PART_ROWS):
        table = _table(made, slice(start, start + PART_ROWS), start)
        with folder.part(table.schema) as part:
            for first in range(0, table.num_rows, AT_ONCE):
                part.write(table.slice(first, AT_ONCE))
    totals = _tally(made).summary()
    counts = {name: totals[name] for name in ("rows", "tokens")}
    folder.finish({**totals, "files": [{"file": FILE, **counts}], "bad_files": []})
    return path


def row_of(made: Made, at: int) -> dict[str, Any]:
    """One row of the table."""
    row: dict[str, Any] = _table(made, slice(at, at + 1), at).to_pylist()[0]
    return row


def _table(whole: Made, rows: slice, start: int) -> pa.Table:
    made = Made(whole.names, *(column[rows] for column in whole[1:]))
    n = len(made.domain)
    places = pa.array(np.arange(start, start + n))
    domains, which = np.unique(made.domain, return_inverse=True)
    numbers: dict[str, Any] = {
        name: pa.array(values, mask=~made.scored)
        for name, values in (
            ("base_loss", made.base_loss),
            ("score", made.score),
            ("control_score", made.control_score),
            ("ref_loss", made.base_loss * (1 + made.score)),
            ("control_loss", made.base_loss * (1 + made.control_score)),
        )
    }
    filled = {
        **numbers,
        "file": pa.repeat(FILE, n),
        "row": places,
        "id": places.cast(pa.string()),
        "domain": pa.array([made.names[at] for at in domains]).take(pa.array(which)),
        "n_tokens": pa.array(made.n_tokens),
        "n_scored": pa.array(made.n_tokens - 1),
        "status": pa.array(STATUSES).take(pa.array(made.status)),
        "truncated": pa.repeat(False, n),
        "repaired": pa.repeat(False, n),
        "partly_counted": pa.repeat(False, n),
    }
    schema = score_schema(True)
    return pa.table([filled[name] for name in schema.names], schema)


def _tally(made: Made) -> Tally:
    cells = np.bincount(made.domain * 3 + made.status, minlength=len(made.names) * 3)
    tokens = np.bincount(made.domain, made.n_tokens, len(made.names)).astype(np.int64)
    tally = Tally()
    for number, name in enumerate(made.names):
        statuses = zip(STATUSES.tolist(), cells[number * 3 : number * 3 + 3].tolist(), strict=True)
        counts = Counter({status: rows for status, rows in statuses if rows})
        if counts:
            tally.domains[name] = DomainTotals(counts, int(tokens[number]), int(tokens[number]))
    return tally
