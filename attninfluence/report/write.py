"""The page of a finished run: its numbers, its documents and what it was given, put together."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.paths import expand_home
from attninfluence.base.replacing import check_replaceable, replacing
from attninfluence.output.score_runs import Paths, ScoreRuns, open_scores
from attninfluence.report import given
from attninfluence.report.documents import check_has_text, choose_documents
from attninfluence.report.page import render
from attninfluence.report.reading import check_is_the_runs
from attninfluence.report.sections.control import control_section
from attninfluence.report.sections.cuts import cuts_section
from attninfluence.report.sections.documents import documents_section, tokens_section
from attninfluence.report.sections.domains import domains_section
from attninfluence.report.sections.length import length_section
from attninfluence.report.sections.statuses import statuses_by_domain
from attninfluence.report.sections.totals import totals_section
from attninfluence.report.statistics import read_statistics
from attninfluence.select.rule import as_fraction

if TYPE_CHECKING:
    from attninfluence.base.progress import Progress
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model
    from attninfluence.report.documents import Documents
    from attninfluence.report.statistics import Statistics

FRACTIONS = (Fraction(1, 10), Fraction(1, 5), Fraction(3, 10))


def write_report(
    out_folder: Paths,
    path: str | os.PathLike[str],
    *,
    heads: HeadScores | str | os.PathLike[str] | None = None,
    model: Model | None = None,
    fraction: float | str = 0.2,
    examples: int = 3,
    title: str | None = None,
    note: str = "",
    mixed_kernels: bool = False,
    allow_missing_shards: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the page for the folder or folders that `attninfluence score` filled; returns its path.

    The scores are read as a stream some eight times, so that a million rows take seconds; memory
    grows with the number of domains, not with that of the rows.

    heads: retrieval scores for the heatmap; None takes the model's own heads.json when it
    is of the same model and selects the heads of the run, and otherwise lists those alone.
    model: the run's model, to read the best documents of the largest domains again and show up to
    2,000 tokens of them; only with kept text. All other tokens are those of the examples that the
    run kept.
    fraction: what is selected within each domain. examples: best and worst documents a domain,
    or as many as a page of 3 MB has room for.
    note: a sentence to show with the heads.
    mixed_kernels, allow_missing_shards: as in `open_scores`.
    progress: told of the rows that were read, each as often as it is read.

    OutputError when the folder holds no finished score run, and with `model` when it holds no text;
    ModelError when `model` (weights, precision) or `heads` is not the run's; ValueError for a
    fraction outside (0, 1], for examples below 0 and for a name that does not end in .html;
    OSError, naming `path`, when no file can be written there.
    """
    if examples < 0:
        raise ValueError(f"examples must not be negative, got {examples}")
    if Path(path).suffix != ".html":
        raise ValueError(f"{os.fspath(path)!r}: expected a name that ends in .html")
    check_replaceable(path)
    run = open_scores(
        out_folder, mixed_kernels=mixed_kernels, allow_missing_shards=allow_missing_shards
    )
    if model is not None:
        check_has_text(run)
        check_is_the_runs(model, run.runs[0])
    main = as_fraction(fraction)
    scores = given.find_head_scores(heads, run)
    fractions = sorted({*FRACTIONS, main})
    statistics = read_statistics(run, fractions, main, examples, progress)
    documents = choose_documents(run, statistics.domains, statistics.description, model)
    scoring = dict(run.common.get("scoring", {}))
    context = {
        "title": title or given.run_title(run),
        "heads": given.heads_section(scoring, scores, note),
        **_sections(run, statistics, documents, scoring),
        "statuses": given.status_rows(run),
        "facts": given.facts(run),
        "footer": f"attninfluence {run.common.get('attninfluence', '')}, {given.run_names(run)}",
    }
    context["contents"] = _contents(context)
    page = render(context)
    with replacing(path) as file:
        file.write_text(page, encoding="utf-8")
    return Path(expand_home(path))


def _sections(
    run: ScoreRuns, statistics: Statistics, documents: Documents, scoring: dict[str, Any]
) -> dict[str, Any]:
    domains, description, cuts = statistics.domains, statistics.description, statistics.cuts
    return {
        "totals": totals_section(domains, cuts, run.totals, len(scoring.get("heads") or ())),
        "domains": domains_section(statistics),
        "cuts": cuts_section(domains, cuts),
        "length": length_section(description),
        "control": control_section(statistics, len(scoring.get("control") or [])),
        "tokens": tokens_section(documents),
        "documents": documents_section(domains, description, documents),
        "by_domain": statuses_by_domain(domains),
    }


def _contents(context: dict[str, Any]) -> list[tuple[str, str]]:
    """Anchor and heading of the sections that are there."""
    headings = [
        ("meaning", "What the score means", True),
        ("heads", "Retrieval heads", context["heads"]),
        ("domains", "Scores by domain", True),
        ("cuts", "What a cut keeps", context["cuts"]),
        ("length", "Loss and length", context["length"]),
        ("control", "Control heads", context["control"]),
        ("tokens", "Where in the text", context["documents"]),
        ("documents", "Documents", context["documents"]),
        ("run", "What was run", True),
    ]
    return [(anchor, name) for anchor, name, present in headings if present]
