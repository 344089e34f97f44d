"""Selection within each domain: the best documents by score, and the baselines (METHOD.md 5).

Scores of different domains are not comparable, so documents are ranked against those of their own
domain only. What is written are keys and numbers, not text: a document is ``(file, row)``, and
`attninfluence.mix` reads the corpus again to write the documents themselves.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from attninfluence.finished import FinishedRun, open_finished
from attninfluence.output import OutputError, OutputFolder, write_json

if TYPE_CHECKING:
    import pyarrow as pa

RankBy = Literal["score", "base_loss", "random"]
PART_ROWS = 1_000_000
SUMMARY_NAME = "summary.json"

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Documents:
    """The numbers of a score table that selection needs; one entry a row, in the table's order.

    domains, files  names, sorted (no domain first); `domain` and `file` index them
    scored          whether the row has a score
    """

    domains: list[str | None]
    files: list[str]
    domain: Ints
    file: Ints
    row: Ints
    n_tokens: Ints
    score: Floats
    base_loss: Floats
    scored: NDArray[np.bool_]

    def members(self, domain: int) -> Ints:
        """Positions of the scored documents of one domain, ordered by (file, row)."""
        order, borders = self._groups
        return order[borders[domain] : borders[domain + 1]]

    @functools.cached_property
    def _groups(self) -> tuple[Ints, Ints]:
        """All scored positions by (domain, file, row), and where each domain begins among them.

        Sorted once, since a corpus may have as many domains as the web has hosts.
        """
        scored = np.flatnonzero(self.scored)
        keys = (self.row[scored], self.file[scored], self.domain[scored])
        order = scored[np.lexsort(keys)]
        borders = np.searchsorted(self.domain[order], np.arange(len(self.domains) + 1))
        return order, borders.astype(np.int64)


def read_documents(run: FinishedRun, by: Literal["domain", "all"] = "domain") -> Documents:
    """Load the numbers of a finished score run; with ``by="all"`` the corpus is one domain."""
    import pyarrow as pa
    import pyarrow.compute as pc

    domains, files = _Names(), _Names()
    pieces: list[tuple[NDArray[Any], ...]] = []
    for table in run.tables(["file", "row", "domain", "n_tokens", "score", "base_loss", "status"]):
        score = _floats(table["score"])
        is_ok = pc.equal(table["status"], "ok").to_numpy()
        names = table["domain"] if by == "domain" else pa.repeat("all", table.num_rows)
        pieces.append(
            (
                domains.codes(names),
                files.codes(table["file"]),
                table["row"].to_numpy(),
                table["n_tokens"].to_numpy(),
                score,
                _floats(table["base_loss"]),
                is_ok & ~np.isnan(score),
            )
        )
    kinds = [np.int64] * 4 + [np.float64] * 2 + [np.bool_]
    domain, file, *others = (
        np.concatenate([np.empty(0, kind), *(piece[i] for piece in pieces)])
        for i, kind in enumerate(kinds)
    )
    return Documents(
        domains.sorted(),
        [str(name) for name in files.sorted()],
        domains.sorted_codes(domain),
        files.sorted_codes(file),
        *others,
    )


def _floats(column: pa.ChunkedArray) -> Floats:
    """Values with NaN for null."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


class _Names:
    """Numbers for names, by appearance, and their translation into sorted order."""

    def __init__(self) -> None:
        self._code: dict[str | None, int] = {}

    def codes(self, names: pa.Array | pa.ChunkedArray) -> Ints:
        """The number of each name."""
        import pyarrow as pa

        whole = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
        encoded = whole.dictionary_encode(null_encoding="encode")
        found = [
            self._code.setdefault(name, len(self._code)) for name in encoded.dictionary.to_pylist()
        ]
        places: Ints = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)
        return np.array(found, np.int64)[places]

    def sorted(self) -> list[str | None]:
        return sorted(self._code, key=lambda name: (name is not None, name or ""))

    def sorted_codes(self, codes: Ints) -> Ints:
        place = {name: index for index, name in enumerate(self.sorted())}
        table = np.array([place[name] for name in self._code], np.int64)
        return table[codes] if len(codes) else codes


def as_fraction(value: float | str | Fraction) -> Fraction:
    """A fraction in (0, 1] as it is written in decimals: 0.2 is one fifth, exactly."""
    try:
        fraction = value if isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"fraction must be a number in (0, 1], got {value!r}") from None
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be in (0, 1], got {value}")
    return fraction


def count_of_fraction(n: int, fraction: Fraction) -> int:
    """``ceil(fraction * n)`` in exact arithmetic."""
    return math.ceil(fraction * n)


def count_that_fits(n_tokens: Ints, budget: int) -> int:
    """How many documents, taken in order, fit `budget` tokens; the first that does not ends it."""
    total = int(n_tokens.sum())
    return int(np.searchsorted(np.cumsum(n_tokens), min(budget, total), side="right"))


def share_budget(budget: int, tokens: Mapping[str | None, int]) -> dict[str | None, int]:
    """`budget` shared in proportion to each domain's scored tokens, rounded down."""
    total = sum(tokens.values())
    return {name: budget * count // total if total else 0 for name, count in tokens.items()}


def first_fit(n_tokens: Ints, budget: int) -> NDArray[np.bool_]:
    """Mark documents, taken in order, as long as they fit `budget` tokens, passing over others."""
    taken = np.zeros(len(n_tokens), dtype=bool)
    candidates = np.arange(len(n_tokens))
    while len(candidates):
        count = count_that_fits(n_tokens[candidates], budget)
        taken[candidates[:count]] = True
        budget -= int(n_tokens[candidates[:count]].sum())
        rest = candidates[count + 1 :]
        candidates = rest[n_tokens[rest] <= budget]
    return taken


def ranked(
    documents: Documents,
    domain: int,
    rank_by: RankBy = "score",
    bottom: bool = False,
    seed: int = 0,
) -> Ints:
    """Positions of a domain's scored documents, the highest first (lowest with `bottom`).

    Ties go by (file, row). A random order depends on `seed`, the domain's name and the number of
    its scored documents, so neither parts nor other domains change it.
    """
    members = documents.members(domain)
    if rank_by == "random":
        values = _generator(seed, documents.domains[domain]).random(len(members))
    else:
        values = (documents.score if rank_by == "score" else documents.base_loss)[members]
    return members[np.argsort(values if bottom else -values, kind="stable")]


def _generator(seed: int, domain: str | None) -> np.random.Generator:
    name = b"\x00" if domain is None else b"\x01" + domain.encode()
    digest = hashlib.sha256(name).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])


@dataclass(frozen=True)
class Rule:
    """What to select: a fraction of each domain's documents, or a budget of tokens.

    tokens  in all (shared over the domains by their scored tokens), or by domain, where a domain
            that is not named gets none
    """

    fraction: Fraction | None = None
    tokens: int | Mapping[str, int] | None = None
    rank_by: RankBy = "score"
    bottom: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.tokens is None):
            raise ValueError("give either a fraction or a budget of tokens")
        if self.rank_by not in ("score", "base_loss", "random"):
            raise ValueError(f"rank_by must be score, base_loss or random, got {self.rank_by!r}")
        budgets = self.tokens.values() if isinstance(self.tokens, Mapping) else [self.tokens or 0]
        if min(budgets, default=0) < 0:
            raise ValueError("a budget of tokens must not be negative")


def choose(documents: Documents, rule: Rule) -> list[Ints]:
    """By domain, the positions of the selected documents, best first."""
    orders = [
        ranked(documents, domain, rule.rank_by, rule.bottom, rule.seed)
        for domain in range(len(documents.domains))
    ]
    if rule.fraction is not None:
        return [order[: count_of_fraction(len(order), rule.fraction)] for order in orders]
    budgets = _budgets(documents, rule)
    return [
        order[: count_that_fits(documents.n_tokens[order], budget)]
        for order, budget in zip(orders, budgets, strict=True)
    ]


def _budgets(documents: Documents, rule: Rule) -> list[int]:
    if isinstance(rule.tokens, Mapping):
        unknown = [name for name in rule.tokens if name not in documents.domains]
        if unknown:
            raise ValueError(
                f"a budget is given for domain {unknown[0]!r}; the scores have"
                f" {', '.join(map(repr, documents.domains))}"
            )
        return [rule.tokens.get(name, 0) if name is not None else 0 for name in documents.domains]
    assert rule.tokens is not None
    tokens = {
        name: int(documents.n_tokens[documents.members(domain)].sum())
        for domain, name in enumerate(documents.domains)
    }
    return list(share_budget(rule.tokens, tokens).values())


def choose_control(documents: Documents, chosen: list[Ints], seed: int) -> list[Ints]:
    """By domain, random documents that come as near as they fit to the tokens of `chosen`.

    Documents are taken in random order; one that would exceed the selected tokens is passed over.
    """
    control = []
    for domain, selected in enumerate(chosen):
        order = ranked(documents, domain, "random", seed=seed)
        budget = int(documents.n_tokens[selected].sum())
        control.append(order[first_fit(documents.n_tokens[order], budget)])
    return control


def summarise(documents: Documents, chosen: list[Ints], rank_by: RankBy) -> dict[str, Any]:
    """Documents and tokens, in all and selected, by domain and together; where the cut lies.

    `scored` counts rows with a score, `rows` all of them; shares are of what is scored; `cut` is
    the last selected document's score or base loss (null for a random order).
    """
    rows = np.bincount(documents.domain, minlength=len(documents.domains))
    by_domain = []
    for domain, (name, selected) in enumerate(zip(documents.domains, chosen, strict=True)):
        entry: dict[str, Any] = {"domain": name}
        entry.update(_counts(documents, int(rows[domain]), documents.members(domain), selected))
        values = documents.base_loss if rank_by == "base_loss" else documents.score
        has_cut = len(selected) > 0 and rank_by != "random"
        entry["cut"] = float(values[selected[-1]]) if has_cut else None
        by_domain.append(entry)
    positions = np.concatenate([np.empty(0, np.int64), *chosen])
    everything = np.flatnonzero(documents.scored)
    whole = _counts(documents, len(documents.row), everything, positions)
    return {"domains": by_domain, "all": whole}


def _counts(
    documents: Documents, rows: int, scored: Ints, selected: Ints
) -> dict[str, int | float | None]:
    tokens = int(documents.n_tokens[scored].sum())
    selected_tokens = int(documents.n_tokens[selected].sum())
    return {
        "rows": rows,
        "scored": len(scored),
        "tokens": tokens,
        "selected": len(selected),
        "selected_tokens": selected_tokens,
        "share_of_documents": len(selected) / len(scored) if len(scored) else None,
        "share_of_tokens": selected_tokens / tokens if tokens else None,
    }


def select(
    scores: str | os.PathLike[str],
    output: str | os.PathLike[str],
    rule: Rule,
    *,
    by: Literal["domain", "all"] = "domain",
    control: str | os.PathLike[str] | None = None,
    control_seed: int = 0,
) -> dict[str, Any]:
    """Select from the finished score run `scores` into the new folder `output`.

    The table written has the columns of the scores and `rank` (1 is the best of its domain), in
    the order of the scores; `summary.json` holds the returned summary. With `control` a second
    folder gets a random subset of the same number of tokens by domain.
    """
    run = open_finished(scores, "scores")
    folders = [OutputFolder(path, "selection") for path in (output, control) if path is not None]
    for folder in folders:
        folder.check_unused()
    documents = read_documents(run, by)
    if not documents.scored.any():
        raise OutputError(f"{run.path}: none of its {len(documents.row)} rows has a score")
    chosen = choose(documents, rule)
    described = _describe(rule, by)
    summary = {"rule": described, **summarise(documents, chosen, rule.rank_by)}
    _write(run, folders[0], chosen, summary)
    if control is not None:
        at_random = choose_control(documents, chosen, control_seed)
        described = {"rank_by": "random", "seed": control_seed, "by": by, "matches": str(output)}
        of_control = {"rule": described, **summarise(documents, at_random, "random")}
        _write(run, folders[1], at_random, of_control)
        summary["control"] = of_control
    return summary


def _describe(rule: Rule, by: str) -> dict[str, Any]:
    described: dict[str, Any] = {"by": by, "rank_by": rule.rank_by, "bottom": rule.bottom}
    if rule.rank_by == "random":
        described["seed"] = rule.seed
    if rule.fraction is not None:
        described["fraction"] = float(rule.fraction)
    elif isinstance(rule.tokens, Mapping):
        described["tokens"] = dict(rule.tokens)
    else:
        described["tokens"] = rule.tokens
    return described


def _write(
    run: FinishedRun, folder: OutputFolder, chosen: list[Ints], summary: dict[str, Any]
) -> None:
    """Write the selected rows with their ranks, the summary and the run they come from."""
    import pyarrow as pa

    rank = np.zeros(run.totals["rows"], np.int64)
    for positions in chosen:
        rank[positions] = np.arange(1, len(positions) + 1)
    folder.start({"rule": summary["rule"], "scores": run.run, "scores_totals": run.totals})
    rows = 0
    for tables in _runs_of_rows(_selected(run, rank), PART_ROWS):
        schema = run.schema().append(pa.field("rank", pa.int64(), nullable=False))
        with folder.part(schema) as part:
            for table in tables:
                part.write(table)
        rows += part.rows
    write_json(folder.path / SUMMARY_NAME, summary)
    folder.finish({"rows": rows, "tokens": summary["all"]["selected_tokens"]})


def _selected(run: FinishedRun, rank: Ints) -> Iterator[pa.Table]:
    """The rows with a rank above 0, and that rank."""
    import pyarrow as pa

    start = 0
    for table in run.tables():
        here = rank[start : start + table.num_rows]
        start += table.num_rows
        kept = np.flatnonzero(here)
        if len(kept):
            yield table.take(pa.array(kept)).append_column("rank", pa.array(here[kept]))


def _runs_of_rows(tables: Iterator[pa.Table], rows: int) -> Iterator[Iterator[pa.Table]]:
    """Group tables so that each group but the last has at least `rows` rows."""

    def group(first: pa.Table) -> Iterator[pa.Table]:
        count = first.num_rows
        yield first
        while count < rows and (table := next(tables, None)) is not None:
            count += table.num_rows
            yield table

    while (first := next(tables, None)) is not None:
        yield group(first)
