"""Selection from a million rows: its memory, and the cuts that come from sketches alone."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from attninfluence.output.folder import OutputFolder
from attninfluence.output.schema import score_schema
from attninfluence.output.score_runs import open_scores
from attninfluence.output.tally import DomainTotals, Tally
from attninfluence.select.cut import take_census
from attninfluence.select.picked import summarise
from attninfluence.select.rows import RowReader
from attninfluence.select.rule import Rule
from attninfluence.select.selector import _ranking, _Selector
from tests.kit.child import ROOT
from tests.kit.score_tables import score_row, write_scores
from tests.select.selection_oracle import within

# Rows and scores of each domain, from a generator and the rows' places in the domain.
DOMAINS = {
    "normal": (300_000, lambda g, at: g.normal(size=len(at))),
    "tied": (200_000, lambda g, at: g.integers(0, 3, len(at)).astype(float)),
    "sorted": (150_000, lambda g, at: at.astype(float)),
    "reversed": (100_000, lambda g, at: -at.astype(float)),
    "half tied": (80_000, lambda g, at: np.maximum(g.normal(size=len(at)), 0)),
    "heavy tail": (60_000, lambda g, at: g.pareto(0.5, len(at))),
    "equal": (50_000, lambda g, at: np.full(len(at), 0.25)),
    "rounded": (35_000, lambda g, at: np.round(g.normal(size=len(at)), 2)),
    "two humps": (14_990, lambda g, at: g.normal(size=len(at)) + 9 * g.integers(0, 2, len(at))),
    "small": (10_000, lambda g, at: g.normal(size=len(at))),
    "tiny": (10, lambda g, at: g.normal(size=len(at))),
}
ROWS = 1_000_000
PARTS = 10


def columns(generator: np.random.Generator) -> dict[str, np.ndarray]:
    """The columns that differ from row to row; domains in a random order."""
    domain = np.repeat(np.arange(len(DOMAINS)), [size for size, _ in DOMAINS.values()])
    generator.shuffle(domain)
    score = np.empty(ROWS)
    for number, (size, scores) in enumerate(DOMAINS.values()):
        score[domain == number] = scores(generator, np.arange(size))
    tokens = np.minimum(generator.lognormal(6, 1.5, ROWS), 1e6).astype(np.int64) + 2
    return {"domain": domain, "score": score, "n_tokens": tokens}


def table_of(part: int, columns: dict[str, np.ndarray]) -> pa.Table:
    n = len(columns["score"])
    names = pa.array(list(DOMAINS), pa.string())
    constant = {
        "file": f"corpus/part-{part:05d}.jsonl.zst",
        "status": "ok",
        "truncated": False,
        "repaired": False,
        "partly_counted": False,
    }
    filled = {name: pa.repeat(value, n) for name, value in constant.items()}
    filled |= {name: pa.array(columns[name]) for name in ("n_tokens", "score")}
    filled |= dict.fromkeys(("base_loss", "ref_loss"), filled["score"])
    filled["row"] = pa.array(np.arange(n))
    filled["id"] = filled["row"].cast(pa.string())
    filled["n_scored"] = filled["n_tokens"]
    filled["domain"] = names.take(pa.array(columns["domain"]))
    schema = score_schema()
    return pa.table([filled[name] for name in schema.names], schema)


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished score run of ROWS rows."""
    path = tmp_path_factory.mktemp("scale") / "out"
    folder = OutputFolder(path, "scores")
    folder.start({"folder": "/", "inputs": []})
    made = columns(np.random.default_rng(0))
    files = []
    for part in range(PARTS):
        rows = slice(part * ROWS // PARTS, (part + 1) * ROWS // PARTS)
        table = table_of(part, {name: values[rows] for name, values in made.items()})
        with folder.part(table.schema) as writer:
            for start in range(0, table.num_rows, 8192):
                writer.write(table.slice(start, 8192))
        tokens = int(table["n_tokens"].to_numpy().sum())
        name = table["file"][0].as_py()
        files.append({"file": name, "rows": table.num_rows, "tokens": tokens})
    tally = Tally()
    for number, (name, (size, _)) in enumerate(DOMAINS.items()):
        tokens = int(made["n_tokens"][made["domain"] == number].sum())
        tally.domains[name] = DomainTotals(Counter(ok=size), tokens, tokens)
    folder.finish({**tally.summary(), "files": files, "bad_files": []})
    return path


def summary_of(scores: Path, rule: Rule, approximate: bool) -> dict[str, dict]:
    """What would be selected, by domain."""
    reader = RowReader(open_scores(scores), min_tokens=rule.min_tokens)
    ranking = _ranking(rule, reader)
    selector = _Selector(reader, take_census(reader, [ranking]), approximate)
    budgets = selector.budgets(rule)
    selection = selector.selection(ranking, budgets)
    for rows in reader.read(ranking.order.columns):
        selection.pick(rows)
    assert selection.strays(budgets, exact=not approximate) == []
    summary = summarise(reader.names, selector.census, selection)
    return {entry["domain"]: entry for entry in summary["domains"]}


@pytest.mark.parametrize("fraction", [Fraction(1, 5), Fraction(1, 100), Fraction(2, 3)])
def test_approximate_cuts_keep_near_the_fraction(scores, fraction):
    for name, entry in summary_of(scores, Rule(fraction), approximate=True).items():
        error = abs(entry["selected"] / entry["candidates"] - fraction)
        assert error <= (0.001 if entry["candidates"] >= 10_000 else 1 / 10), name


def test_approximate_sampling_keeps_near_the_fraction(scores):
    rule = Rule(Fraction(1, 5), temperature=1.0, seed=1)
    for name, entry in summary_of(scores, rule, approximate=True).items():
        if entry["candidates"] >= 10_000:
            assert abs(entry["selected"] / entry["candidates"] - 0.2) <= 0.001, name


def made_by_domain() -> dict[str, dict[str, np.ndarray]]:
    """The numbers of each domain's rows, the highest scores first."""
    made = columns(np.random.default_rng(0))
    found = {}
    for number, name in enumerate(DOMAINS):
        members = np.flatnonzero(made["domain"] == number)
        best = members[np.argsort(-made["score"][members], kind="stable")]
        found[name] = {column: made[column][best] for column in ("score", "n_tokens")}
    return found


@pytest.mark.parametrize("budget", [100_000_000, 300_000])
@pytest.mark.parametrize("approximate", [False, True])
def test_a_budget_is_used_up_and_not_exceeded(scores, approximate, budget):
    """Exactly, as by a sort; approximately, up to the error of the sketch.

    A small budget is less than that error, and comes from the first thousand documents.
    """
    found, made = summary_of(scores, Rule(tokens=budget), approximate), made_by_domain()
    every = sum(entry["tokens"] for entry in found.values())
    for name, entry in found.items():
        share, sizes = budget * entry["tokens"] // every, made[name]["n_tokens"]
        left = share - entry["selected_tokens"]
        assert left >= 0, name
        if not approximate:
            fit = int(np.searchsorted(np.cumsum(sizes), share, side="right"))
            rest = sizes.tolist()[fit : fit + 1001]
            more = within([{"n_tokens": n} for n in rest], share - int(sizes[:fit].sum()))
            assert entry["selected"] == fit + len(more), name
            assert left == share - sizes[:fit].sum() - sum(row["n_tokens"] for row in more), name
        elif budget > every / 100:
            assert left < 0.001 * entry["tokens"] + sizes.max(), name
        else:
            assert left <= 10, name


def test_exact_cuts_are_those_of_a_sort(scores):
    found = summary_of(scores, Rule(Fraction(1, 5)), approximate=False)
    for name, made in made_by_domain().items():
        wanted = math.ceil(Fraction(1, 5) * DOMAINS[name][0])
        assert found[name]["selected"] == wanted
        assert found[name]["selected_tokens"] == made["n_tokens"][:wanted].sum()
        assert found[name]["cut"] == made["score"][wanted - 1]


CHILD = """
import sys
import tracemalloc
from fractions import Fraction

import pyarrow as pa

from attninfluence.select import select
from attninfluence.select.rule import Rule

small, scores, out = sys.argv[1:]
select(small, out + "/first", Rule(Fraction(1, 5)))  # imports what it needs
tracemalloc.start()
select(scores, out + "/selected", Rule(Fraction(1, 5)), control=out + "/control")
print(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory())
"""


def test_memory_has_a_bound_of_its_own(scores, tmp_path):
    """What Python, NumPy and Arrow hold at most, of which a sketch takes up to 0.8 MB.

    The numbers of the rows in memory would be 40 MB, with their keys and their order 80 MB.
    """
    small = write_scores(tmp_path / "small", [[score_row("a", 0)]])
    command = [sys.executable, "-c", CHILD, str(small), str(scores), str(tmp_path)]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 60e6
    totals = json.loads((tmp_path / "selected" / "_SUCCESS").read_text())
    assert totals["rows"] == sum(-(-size // 5) for size, _ in DOMAINS.values())
