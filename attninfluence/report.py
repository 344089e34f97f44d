"""A finished score run as one page of HTML that needs nothing else: no script, no network.

The numbers are those of the run's tables and of `attninfluence.select` (the cut, what is selected);
nothing is scored here: the documents whose tokens are shown are examples that the run kept, unless
a model is given and the run kept all text, when they are read again, to their end. The pictures
come from `attninfluence.views`, the words and their order from `templates/report.html`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attninfluence.replacing import replacing
from attninfluence.reservoir import Reservoir
from attninfluence.resumable import read_examples
from attninfluence.score_runs import Paths, ScoreRuns, open_scores
from attninfluence.scored_documents import ScoredDocuments, read_documents
from attninfluence.select import preview
from attninfluence.selection_rule import Rule, as_fraction
from attninfluence.statuses import STATUS_MEANING
from attninfluence.token_view import (
    NO_DOMAIN,
    TokenView,
    as_kept,
    check_is_the_runs,
    read_again,
    row_name,
)
from attninfluence.views.heatmap import heatmap_svg
from attninfluence.views.histogram import axis_span, histogram_svg
from attninfluence.views.style import style
from attninfluence.views.tokens import colored_tokens_html, tokens_limit, tokens_scale_svg
from attninfluence.views.words import clip, count, number, percent, plural, visible

if TYPE_CHECKING:
    from attninfluence.head_scores import HeadScores
    from attninfluence.model import Model
    from attninfluence.reservoir import Example

TEMPLATES = Path(__file__).parent / "templates"
MAX_PANELS = 24
MAX_TOKEN_DOCUMENTS = 4
MAX_LISTED = 40
EXCERPT_CHARACTERS = 600


@dataclass(frozen=True)
class _Report:
    """What all parts of the page draw on."""

    run: ScoreRuns
    documents: ScoredDocuments
    summary: dict[str, Any]
    control: NDArray[np.float64] | None  # [rows], NaN where there is none
    rows: dict[int, dict[str, Any]]  # the rows whose text or name is shown, by position
    panels: list[int]  # domains that are drawn
    examples: dict[tuple[str, int], Example]  # documents that the runs kept, by file and row

    @property
    def scoring(self) -> dict[str, Any]:
        return dict(self.run.common.get("scoring", {}))

    def name(self, domain: int) -> str:
        name = self.documents.domains[domain]
        return NO_DOMAIN if name is None else name

    def values(self, domain: int) -> NDArray[np.float64]:
        return self.documents.score[self.documents.members(domain)]


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
) -> Path:
    """Write the page for the folder or folders that `attninfluence score` filled; returns its path.

    heads: retrieval scores for the heatmap; None takes the heads.json of the model's folder when it
    is of the same model and selects the heads of the run, and otherwise lists those alone.
    model: the run's model, to read the documents shown token by token to their end; only with kept
    text. Without it they are the examples that the run kept, up to 1,024 tokens of each.
    fraction: what is selected within each domain. examples: best and worst documents a domain.
    note: a sentence to show with the heads.
    mixed_kernels, allow_missing_shards: as in `open_scores`.

    OutputError when the folder holds no finished score run; ModelError when `model` (weights,
    precision) or `heads` is not the run's; ValueError for a fraction outside (0, 1].
    """
    run = open_scores(
        out_folder, mixed_kernels=mixed_kernels, allow_missing_shards=allow_missing_shards
    )
    report = _collect(run, Rule(fraction=as_fraction(fraction)), examples)
    views = _token_views(report, model)
    context = {
        "css": _Piece(style() + (TEMPLATES / "report.css").read_text(encoding="utf-8")),
        "title": title or f"AttentionInfluence scores: {run.runs[0].path.resolve().name}",
        "totals": _totals(report),
        "heads": _heads_section(report, _head_scores(heads, run), note),
        "selection": _selection_sentence(report, fraction),
        "domains": [_domain_row(report, index) for index in range(len(report.documents.domains))],
        "all": _all_row(report),
        "control": _control_section(report),
        "tokens": _tokens_section(views),
        "no_tokens": _why_no_tokens(report),
        "statuses": _status_rows(run),
        "facts": _facts(run),
        "footer": f"attninfluence {run.common.get('attninfluence', '')}, {_run_names(run)}",
        **_panels(report, examples),
    }
    context["sections"] = _sections(context)
    page = _render(context)
    with replacing(path) as file:
        file.write_text(page, encoding="utf-8")
    return Path(path)


def _render(context: dict[str, Any]) -> str:
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(_shown(context))


def _shown(value: Any) -> Any:
    """The context with every plain string made visible and pieces of HTML marked as such."""
    import markupsafe

    if isinstance(value, _Piece):
        return markupsafe.Markup(value)
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value


class _Piece(str):
    """HTML or CSS that goes into the page as it is: escaped already, or our own."""


# ---------------------------------------------------------------------------------- what is read


def _collect(run: ScoreRuns, rule: Rule, examples: int) -> _Report:
    documents = read_documents(run)
    panels = _largest(documents, MAX_PANELS)
    wanted = [i for domain in panels for part in documents.extremes(domain, examples) for i in part]
    reservoir = Reservoir()  # of many shards no more than of one
    for one in run.runs:
        for example in read_examples(one.path, one.run["run_id"]):
            reservoir.put(example)
    kept = {example.key: example for example in reservoir}
    rows = read_rows(run, wanted)
    for row in rows.values():
        if not row.get("text") and (row["file"], row["row"]) in kept:
            row["text"] = kept[row["file"], row["row"]].text
    return _Report(
        run=run,
        documents=documents,
        summary=preview(run, rule),
        control=_column(run, "control_score"),
        rows=rows,
        panels=panels,
        examples=kept,
    )


def _largest(documents: ScoredDocuments, limit: int) -> list[int]:
    """The domains with scored documents, at most `limit`, the largest ones, in their order."""
    sizes = np.bincount(
        documents.domain[documents.scored], minlength=max(1, len(documents.domains))
    )
    by_size = [int(i) for i in np.argsort(-sizes, kind="stable")[:limit] if sizes[i] > 0]
    return sorted(by_size)


def _column(run: ScoreRuns, name: str) -> NDArray[np.float64] | None:
    """A column of numbers, float64[rows] with NaN for null; None when the run has no such."""
    if name not in run.schema().names:
        return None
    parts = [
        np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)
        for table in run.tables([name])
    ]
    return np.concatenate([np.empty(0), *parts])


def read_rows(run: ScoreRuns, positions: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The rows at some positions of the run's tables, all columns, by position."""
    import pyarrow as pa

    wanted = np.array(sorted(set(positions)), dtype=np.int64)
    found: dict[int, dict[str, Any]] = {}
    start = 0
    for table in run.tables(rows=4096) if len(wanted) else ():
        first, last = np.searchsorted(wanted, [start, start + table.num_rows])
        here = wanted[first:last]
        if len(here):
            found |= zip(here.tolist(), table.take(pa.array(here - start)).to_pylist(), strict=True)
        start += table.num_rows
    return found


def _head_scores(
    heads: HeadScores | str | os.PathLike[str] | None, run: ScoreRuns
) -> HeadScores | None:
    """The retrieval scores to draw: those given, or the model folder's when they are the run's."""
    from attninfluence._core import ModelError
    from attninfluence.head_scores import HeadScores

    model = run.common.get("model", {})
    if heads is not None:
        found = heads if isinstance(heads, HeadScores) else HeadScores.load(heads)
        if found.model_fingerprint != (scored := str(model.get("fingerprint"))):
            raise ModelError(
                "these are heads of another model: they were found in "
                f"{found.model_fingerprint[:12]}, and the scores are of {scored[:12]}"
            )
        return found
    stored = Path(str(model.get("path", "")), "heads.json")
    if not stored.is_file():
        return None
    found = HeadScores.load(stored)
    same_model = found.model_fingerprint == model.get("fingerprint")
    masked = {tuple(pair) for pair in run.common.get("scoring", {}).get("heads", [])}
    return found if same_model and {tuple(pair) for pair in found.selected} == masked else None


# ---------------------------------------------------------------------------------- the sections


def _sections(context: dict[str, Any]) -> list[tuple[str, str]]:
    sections = [
        ("meaning", "What the score means", True),
        ("heads", "Retrieval heads", context["heads"]),
        ("domains", "Scores by domain", True),
        ("control", "Control heads", context["control"]),
        ("tokens", "Where in the text", context["tokens"] or context["no_tokens"]),
        ("documents", "Best and worst documents", context["panels"]),
        ("run", "What was run", True),
    ]
    return [(anchor, name) for anchor, name, present in sections if present]


def _totals(report: _Report) -> dict[str, Any]:
    totals, everything = report.run.totals, report.summary["all"]
    rows, scored = everything["rows"], everything["scored"]
    rest = rows - scored
    domains = plural(len(report.documents.domains), "domain")
    sentence = f"{plural(rows, 'document')} in {domains}"
    sentence += ", all of them scored." if not rest else f": {count(scored)} scored"
    if rest:
        sentence += f" and {count(rest)} without a score."
    return {
        "sentence": sentence if rows else "The run holds no documents.",
        "figures": [
            ("documents", count(rows)),
            ("scored", count(scored)),
            ("domains", count(len(report.documents.domains))),
            ("tokens", count(totals.get("tokens", 0))),
            ("heads masked", count(len(report.scoring.get("heads", [])))),
            ("selected", count(everything["selected"])),
        ],
    }


def _heads_section(report: _Report, scores: HeadScores | None, note: str) -> dict[str, Any] | None:
    masked = [(int(layer), int(head)) for layer, head in report.scoring.get("heads", [])]
    if not masked and scores is None:
        return None
    mask = {"uniform": "spreads its attention evenly", "zero": "gives nothing"}
    how = mask.get(report.scoring.get("mask", ""), "is masked")
    sentence = f"In the second reading each of {plural(len(masked), 'head')} {how}."
    if scores is not None:
        sentence += (
            f" Retrieval scores come from {plural(scores.samples, 'sample')} of key lookup, of"
            f" which the model answered {percent(scores.success_rate, 1)} by the success rule."
        )
    return {
        "sentence": sentence,
        "note": note,
        "map": None if scores is None else _Piece(heatmap_svg(scores.scores, masked)),
        "rows": [
            (f"layer {layer}, head {head}", _retrieval_score(scores, layer, head))
            for layer, head in masked[:MAX_LISTED]
        ],
        "more": _left_out(len(masked) - MAX_LISTED, "head"),
    }


def _retrieval_score(scores: HeadScores | None, layer: int, head: int) -> str:
    return "" if scores is None else number(float(scores.scores[layer][head]))


def _left_out(count: int, noun: str) -> str:
    return f"{plural(count, f'more {noun}')} not listed." if count > 0 else ""


def _selection_sentence(report: _Report, fraction: float | str) -> str:
    everything = report.summary["all"]
    share = number(100 * float(as_fraction(fraction)), 2).rstrip("0").rstrip(".")
    if not everything["scored"]:
        return "No document has a score, so nothing is selected."
    tokens = percent(everything["selected_tokens"], everything["tokens"])
    return (
        f"Within each domain the {share} % of documents with the highest scores are selected: "
        f"{plural(everything['selected'], 'document')} with {tokens} of the tokens. Where "
        f"their share of the tokens exceeds {share} %, the score favours long documents."
    )


def _domain_row(report: _Report, domain: int) -> dict[str, str]:
    entry = report.summary["domains"][domain]
    members = report.documents.members(domain)
    return {
        "name": report.name(domain),
        "rows": count(entry["rows"]),
        "scored": count(entry["scored"]),
        "base_loss": number(_median(report.documents.base_loss[members])),
        "score": number(_median(report.documents.score[members])),
        "cut": number(entry["cut"]),
        "selected": count(entry["selected"]),
        "share_of_tokens": percent(entry["selected_tokens"], entry["tokens"]),
        "length": number(
            rank_correlation(report.documents.score[members], report.documents.n_tokens[members]), 2
        ),
    }


def _all_row(report: _Report) -> dict[str, str]:
    entry = report.summary["all"]
    return {
        "rows": count(entry["rows"]),
        "scored": count(entry["scored"]),
        "selected": count(entry["selected"]),
        "share_of_tokens": percent(entry["selected_tokens"], entry["tokens"]),
    }


def _median(values: NDArray[np.float64]) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def rank_correlation(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation, ties by mean rank; NaN for fewer than three or equal values."""
    first, second = _mean_ranks(np.asarray(a)), _mean_ranks(np.asarray(b))
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def _mean_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _panels(report: _Report, examples: int) -> dict[str, Any]:
    scores = [report.values(domain) for domain in report.panels]
    if report.control is not None:
        scores.append(report.control[np.isin(report.documents.domain, report.panels)])
    joined = np.concatenate([np.empty(0), *scores])
    span = axis_span(joined)
    cuts = [report.summary["domains"][domain]["cut"] for domain in report.panels]
    low, high = min([span[0], *cuts]), max([span[1], *cuts])
    beyond = int(np.sum((joined < low) | (joined > high)))
    hidden = int(np.unique(report.documents.domain[report.documents.scored]).size) - len(
        report.panels
    )
    return {
        "panels": [_panel(report, domain, (low, high), examples) for domain in report.panels],
        "beyond": ""
        if not beyond
        else (
            f"{plural(beyond, 'score')} beyond the ends of the axis "
            f"{'is' if beyond == 1 else 'are'} counted in the outermost bars."
        ),
        "more_domains": _left_out(hidden, "domain").replace("listed", "drawn"),
        "no_text": ""
        if any(row.get("text") for row in report.rows.values())
        else ("The run did not keep the text; score with --keep-text to read the documents here."),
    }


def _panel(
    report: _Report, domain: int, span: tuple[float, float], examples: int
) -> dict[str, Any]:
    name, values = report.name(domain), report.values(domain)
    cut = report.summary["domains"][domain]["cut"]
    control = None
    if report.control is not None:
        control = report.control[report.documents.members(domain)]
    label = f"{name}: scores of {plural(len(values), 'document')}, cut at {number(cut)}"
    best, worst = report.documents.extremes(domain, examples)
    lists = [("Highest scores", best), ("Lowest scores", worst)]
    return {
        "name": name,
        "histogram": _Piece(histogram_svg(values, span, cut=cut, control=control, label=label)),
        "lists": [
            (title, [_entry(report.rows[position]) for position in positions])
            for title, positions in lists
            if positions
        ],
    }


def _entry(row: dict[str, Any]) -> dict[str, str]:
    return {
        "score": number(row["score"]),
        "losses": f"{number(row['base_loss'])} → {number(row['ref_loss'])} nats",
        "name": row_name(row),
        "excerpt": clip(row.get("text") or "", EXCERPT_CHARACTERS),
    }


def _control_section(report: _Report) -> dict[str, Any] | None:
    heads = report.scoring.get("control")
    if report.control is None:
        return None
    scored = report.documents.scored
    score, control = _median(report.documents.score[scored]), _median(report.control[scored])
    return {
        "sentence": (
            f"On the same base reading {plural(len(heads or []), 'other head')} "
            "were masked in the same way. "
            f"Over all scored documents the median score is {number(score)} with the "
            f"retrieval heads and {number(control)} with the control heads. Were the two "
            "alike, the score would say how much any heads matter, not these."
        ),
        "rows": [_control_row(report, domain) for domain in report.panels],
    }


def _control_row(report: _Report, domain: int) -> dict[str, str]:
    assert report.control is not None
    members = report.documents.members(domain)
    score, control = report.documents.score[members], report.control[members]
    return {
        "name": report.name(domain),
        "score": number(_median(score)),
        "control": number(_median(control)),
        "above": percent(int((score > control).sum()), len(members), 0),
    }


def _status_rows(run: ScoreRuns) -> list[dict[str, str]]:
    counts: dict[str, int] = run.totals.get("statuses", {})
    return [
        {"name": name, "rows": count(rows), "meaning": STATUS_MEANING.get(name, "")}
        for name, rows in sorted(counts.items(), key=lambda item: (item[0] != "ok", item[0]))
    ]


# ------------------------------------------------------------------------------ tokens of documents


def _why_no_tokens(report: _Report) -> str:
    return "Tokens are not shown: the run kept no examples of documents." if report.panels else ""


def _tokens_section(views: Sequence[TokenView]) -> dict[str, Any] | None:
    if not views:
        return None
    rises = [np.asarray(view.ref) - np.asarray(view.base) for view in views]
    limit = tokens_limit(rises)
    return {
        "scale": _Piece(tokens_scale_svg(limit)),
        "documents": [
            {
                "name": view.name,
                "sentence": view.sentence,
                "body": _Piece(colored_tokens_html(view.pieces, view.base, view.ref, limit=limit)),
            }
            for view in views
        ],
    }


def _token_views(report: _Report, model: Model | None) -> list[TokenView]:
    """The best document of each of the largest domains, token by token."""
    domains = _largest(report.documents, MAX_TOKEN_DOCUMENTS)
    best = [report.documents.extremes(domain, 1)[0][0] for domain in domains]
    rows = read_rows(report.run, best)
    if model is not None and "text" in report.run.schema().names:
        check_is_the_runs(model, report.run.runs[0])
        return [read_again(rows[i], report.scoring, report.run.kernels, model) for i in best]
    found = ((rows[i], report.examples.get((rows[i]["file"], rows[i]["row"]))) for i in best)
    return [as_kept(row, example) for row, example in found if example is not None]


# -------------------------------------------------------------------------------- what was run


def _facts(run: ScoreRuns) -> list[tuple[str, str]]:
    """What the run was given, as it stands in its run.json and _SUCCESS, in reading order."""
    given, totals = run.common, run.totals
    facts = [(f"model {key}", value) for key, value in given.get("model", {}).items()]
    scoring = {**given.get("scoring", {}), "kernel": ", ".join(run.kernels)}
    facts += [fact for fact in scoring.items() if fact[0] != "model"]  # in the model's own facts
    facts += [(f"column {key}", value) for key, value in given.get("columns", {}).items()]
    inputs = [f"{item['file']} ({count(item['bytes'])} bytes)" for item in run.inputs]
    facts.append(("inputs", "; ".join([*inputs[:20], _left_out(len(inputs) - 20, "file")])))
    facts.append(("missing shards", run.missing or None))
    facts += [("seconds", totals.get("seconds")), ("repeated ids", totals.get("repeated_ids"))]
    facts += [
        ("unreadable file", f"{bad['file']}: {bad['error']}") for bad in totals.get("bad_files", [])
    ]
    return [(_label(name), _fact(value)) for name, value in facts if value is not None]


def _run_names(run: ScoreRuns) -> str:
    ids = [one.run["run_id"] for one in run.runs]
    more = f" and {len(ids) - 4} more" if len(ids) > 4 else ""
    return ("run " if len(ids) == 1 else "runs ") + ", ".join(ids[:4]) + more


def _label(name: str) -> str:
    return name.replace("_", " ")


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        shown = ", ".join(
            ":".join(map(str, pair)) if isinstance(pair, list) else str(pair)
            for pair in value[:MAX_LISTED]
        )
        return shown + (" …" if len(value) > MAX_LISTED else "")
    return clip(str(value), 400).rstrip("; ")
