"""Selection within each domain: the best documents by score, and the baselines (METHOD.md 5).

Scores of different domains are not comparable, so documents are ranked against those of their own
domain only. What is written are keys and numbers, not text: a document is ``(file, row)``, and
`attninfluence.mix` reads the corpus again to write the documents themselves.

The scores are streamed three times, for a sketch, for the cut and for the rows themselves, and with
a budget of tokens once more, for what fills it. So memory holds a batch, a sketch a domain and what
lies next to the cuts, however large the corpus is.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attninfluence.base.progress import Progress
from attninfluence.output.files import SUMMARY_NAME, OutputError, write_json
from attninfluence.output.folder import OutputFolder
from attninfluence.output.score_runs import Paths, open_scores
from attninfluence.select.cut import Census, Ranking, exact_cuts, sketch_cuts, take_census
from attninfluence.select.fill import fill
from attninfluence.select.order import Order
from attninfluence.select.picked import Selection, summarise
from attninfluence.select.rows import By, ReadingProgress, RowReader
from attninfluence.select.rule import Rule

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 1_000_000


def select(
    scores: Paths,
    output: str | os.PathLike[str],
    rule: Rule,
    *,
    by: By = "domain",
    control: str | os.PathLike[str] | None = None,
    control_seed: int = 0,
    approximate: bool = False,
    mixed_kernels: bool = False,
    allow_missing_shards: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Select from one or several finished score runs into the new folder `output`.

    The table written has the rows and columns of the scores, in their order; `summary.json` holds
    the returned summary. Ties go by file, in the order of the input, and row.

    Args:
        scores: the folder of a finished run, or several folders that are one input.
        output: a new folder.
        rule: what to select.
        by: rank within each domain, or ("all") the corpus as if it were one.
        control: a second folder, for a random subset of as many tokens by domain: documents in
            random order, with the selection's tokens as their budget.
        control_seed: of that order.
        approximate: take the cuts from sketches and save a reading: within 0.1 percentage point
            of the fraction in a domain of 10,000 documents or more; a budget is not exceeded, and
            what is left of it is at most about 0.1 % of the domain's tokens more than it would be.
        mixed_kernels: allow different kernels, which differ in the last bits, between runs or in
            one.
        allow_missing_shards: allow shards to be missing.
        progress: told of the rows that were read, each as often as it is read.

    Returns:
        The summary, as in `summary.json` (docs/OUTPUT.md).

    Raises:
        OutputError: the scores cannot be joined, hold nothing to select or change meanwhile, or a
            folder is not new.
    """
    runs = open_scores(
        scores, mixed_kernels=mixed_kernels, allow_missing_shards=allow_missing_shards
    )
    folders = [OutputFolder(path, "selection") for path in (output, control) if path is not None]
    for folder in folders:
        folder.check_unused()
    watch = None
    if progress is not None:
        readings = _count_readings(rule, control is not None, approximate)
        watch = ReadingProgress(progress, runs, readings).add
    reader = RowReader(runs, by, rule.min_tokens, watch)
    ranking = _ranking(rule, reader)
    at_random = Ranking(Order("random", seed=control_seed), "tokens")
    census = take_census(reader, [ranking] if control is None else [ranking, at_random])
    selector = _Selector(reader, census, approximate)
    how = {"by": by, "approximate": approximate}
    described = {**how, **rule.describe()}
    budgets = selector.budgets(rule)
    asked = rule.tokens_in_all
    summary, tokens = selector.write(folders[0], ranking, budgets, asked, described)
    if control is not None:
        described = {**how, "rank_by": "random", "seed": control_seed, "matches": str(output)}
        summary["control"], _ = selector.write(
            folders[1], at_random, tokens, sum(tokens), described
        )
    return summary


def _count_readings(rule: Rule, with_control: bool, approximate: bool) -> int:
    """How often the rows are read, at least: a census, and for each folder the cut and the rows.

    A budget of tokens, which the control has, takes one more to be filled.
    """
    budgets = (rule.unit == "tokens") + with_control
    folders = 1 + with_control
    return 1 + (rule.temperature is not None) + budgets + folders * (1 if approximate else 2)


def _ranking(rule: Rule, reader: RowReader) -> Ranking:
    """How the rule ranks the rows; with a temperature that takes a reading of its own."""
    order = Order.of(rule)
    return Ranking(order if order.temperature is None else order.with_spread(reader), rule.unit)


@dataclass(frozen=True)
class _Selector:
    """A corpus and its census, from which the selection and its control are made."""

    reader: RowReader
    census: Census
    approximate: bool

    def budgets(self, rule: Rule) -> list[int]:
        """By domain, the documents or tokens that the rule selects."""
        candidates, tokens = self.census.candidates.tolist(), self.census.tokens.tolist()
        return rule.budgets(self.reader.names, candidates, tokens)

    def selection(self, ranking: Ranking, budgets: list[int]) -> Selection:
        """What a ranking selects with these budgets, to be picked."""
        find_exactly = functools.partial(exact_cuts, self.reader, ranking, self.census, budgets)
        cuts = sketch_cuts(ranking, self.census, budgets) if self.approximate else find_exactly()
        if ranking.unit == "tokens" and not fill(self.reader, ranking, cuts, budgets):
            cuts = find_exactly()  # a sketch errs by more than it says, which it all but excludes
            fill(self.reader, ranking, cuts, budgets)
        return Selection(self.reader, ranking, cuts)

    def write(
        self,
        folder: OutputFolder,
        ranking: Ranking,
        budgets: list[int],
        asked: int | None,
        described: dict[str, Any],
    ) -> tuple[dict[str, Any], list[int]]:
        """Write the selected rows, their summary and the runs they come from.

        `asked` is the budget of tokens in all, of which the budgets are the domains' shares; None
        where documents are counted. Returns the summary, and the selected tokens by domain.
        """
        self._check_candidates()
        selection, scores = self.selection(ranking, budgets), self.reader.scores
        given = {"scores": scores.describe(), "scores_totals": scores.totals}
        folder.start({"rule": described, **given})
        rows = tokens = 0
        for tables in _runs_of_rows(self._selected(selection), PART_ROWS):
            with folder.part(scores.schema()) as part:
                for table in tables:
                    part.write(table)
                    tokens += int(table["n_tokens"].to_numpy().sum())
            rows += part.rows
        self._check_written(folder, selection, rows, tokens, budgets)
        wanted = None if asked is None else (budgets, asked)
        counted = summarise(self.reader.names, self.census, selection, wanted)
        summary = {"rule": described, **counted}
        write_json(folder.path / SUMMARY_NAME, summary)
        folder.finish({"rows": rows, "tokens": tokens})
        return summary, selection.tokens.tolist()

    def _selected(self, selection: Selection) -> Iterator[pa.Table]:
        import pyarrow as pa

        for rows in self.reader.read(None):
            places = selection.pick(rows)
            if len(places):
                yield rows.table.take(pa.array(places))

    def _check_candidates(self) -> None:
        if self.census.candidates.any():
            return
        rows, scored = int(self.census.rows.sum()), int(self.census.scored.sum())
        what = "has a score"
        if scored:
            rows, what = scored, f"that have a score has {self.reader.min_tokens} tokens"
        raise OutputError(f"{self.reader.scores.name}: none of its {rows} rows {what}")

    def _check_written(
        self, folder: OutputFolder, selection: Selection, rows: int, tokens: int, budgets: list[int]
    ) -> None:
        """OutputError unless what was written is what was picked, and what the rule allows."""
        picked = int(selection.selected.sum()), int(selection.tokens.sum())
        wrote = f"{folder.path}: wrote {rows} rows of {tokens} tokens"
        if picked != (rows, tokens):
            raise OutputError(f"{wrote}, and picked {picked[0]} of {picked[1]}")
        for domain in selection.strays(budgets, exact=not self.approximate):
            raise OutputError(
                f"{wrote}; of domain {self.reader.names[domain]!r} {selection.selected[domain]} of"
                f" {selection.tokens[domain]} tokens instead of {budgets[domain]}"
                f" {selection.ranking.unit}; the scores changed while they were read"
            )


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
