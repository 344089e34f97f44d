"""What a run was given: its heads, its options, its inputs; and what became of the rows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from attninfluence.corpus.passed_over import passed_over_in_words
from attninfluence.output.score_runs import ScoreRuns
from attninfluence.scores.statuses import status_lines
from attninfluence.views.heatmap import heatmap_svg
from attninfluence.views.words import clip, count, number, percent, plural

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores

MOST_HEADS = 40
MOST_FILES = 20
MOST_RUNS = 4


def find_head_scores(
    heads: HeadScores | str | os.PathLike[str] | None, run: ScoreRuns
) -> HeadScores | None:
    """The retrieval scores to draw: those given, or the model's own when they are the run's."""
    from attninfluence._core import ModelError
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.own_heads import own_heads_file

    model = run.common.get("model", {})
    if heads is not None:
        found = heads if isinstance(heads, HeadScores) else HeadScores.load(heads)
        if found.model_fingerprint != (scored := str(model.get("fingerprint"))):
            raise ModelError(
                "these are heads of another model: they were found in "
                f"{found.model_fingerprint[:12]}, and the scores are of {scored[:12]}"
            )
        return found
    fingerprint = str(model.get("fingerprint"))
    try:
        file = own_heads_file(str(model.get("path", "")), lambda: fingerprint)
        stored = None if file is None else HeadScores.load(file)
    except (OSError, ModelError):  # nothing to read: nobody named it
        return None
    if stored is None or stored.model_fingerprint != fingerprint:
        return None
    masked = {tuple(pair) for pair in run.common.get("scoring", {}).get("heads") or ()}
    return stored if {tuple(pair) for pair in stored.selected} == masked else None


def heads_section(
    scoring: dict[str, Any], scores: HeadScores | None, note: str
) -> dict[str, Any] | None:
    masked = [(int(layer), int(head)) for layer, head in scoring.get("heads") or ()]
    if not masked and scores is None:
        return None
    mask = {"uniform": "spreads its attention evenly", "zero": "gives nothing"}
    how = mask.get(scoring.get("mask", ""), "is masked")
    sentence = f"In the second reading each of {plural(len(masked), 'head')} {how}."
    if scores is not None:
        sentence += (
            f" Retrieval scores come from {plural(scores.samples, 'sample')} of key lookup, of"
            f" which the model answered {percent(scores.success_rate, 1)} by the success rule."
        )
    return {
        "sentence": sentence,
        "note": note,
        "map": None if scores is None else Markup(heatmap_svg(scores.scores, masked)),
        "rows": [
            (f"layer {layer}, head {head}", _retrieval_score(scores, layer, head))
            for layer, head in masked[:MOST_HEADS]
        ],
        "more": left_out(len(masked) - MOST_HEADS, "head"),
    }


def _retrieval_score(scores: HeadScores | None, layer: int, head: int) -> str:
    return "" if scores is None else number(float(scores.scores[layer][head]))


def left_out(more: int, noun: str, done: str = "listed") -> str:
    """How many are not listed, or whatever is done with them; nothing where all are."""
    return f"{plural(more, f'more {noun}')} not {done}." if more > 0 else ""


def status_rows(run: ScoreRuns) -> list[dict[str, str]]:
    return [
        {"name": name, "rows": count(rows), "meaning": meaning}
        for name, rows, meaning in status_lines(run.totals.get("statuses", {}))
    ]


def facts(run: ScoreRuns) -> list[tuple[str, str]]:
    """What the run was given, as it stands in its run.json and _SUCCESS, in reading order."""
    given, totals = run.common, run.totals
    found = [(f"model {key}", value) for key, value in given.get("model", {}).items()]
    scoring = {**given.get("scoring", {}), "kernel": ", ".join(run.kernels)}
    found += [fact for fact in scoring.items() if fact[0] != "model"]  # in the model's own facts
    found += [(f"column {key}", value) for key, value in given.get("columns", {}).items()]
    inputs = [f"{item['file']} ({count(item['bytes'])} bytes)" for item in run.inputs]
    found.append(("inputs", _first_files(inputs) or None))
    found.append(("missing shards", run.missing or None))
    found += [("seconds", totals.get("seconds")), ("repeated ids", totals.get("repeated_ids"))]
    bad = [f"{file['file']}: {file['error']}" for file in totals.get("bad_files", [])]
    found += [("unreadable file", file) for file in bad[:MOST_FILES]]
    passed_over = map(passed_over_in_words, totals.get("passed_over", []))
    found += [("passed over", told.removeprefix("passed over ")) for told in passed_over]
    found.append(("more unreadable files", left_out(len(bad) - MOST_FILES, "file") or None))
    return [(name.replace("_", " "), _fact(value)) for name, value in found if value is not None]


def _first_files(files: list[str]) -> str:
    shown = [clip(file, 200) for file in files[:MOST_FILES]]
    return "; ".join(filter(None, [*shown, left_out(len(files) - MOST_FILES, "file")]))


def _fact(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        shown = ", ".join(
            ":".join(map(str, pair)) if isinstance(pair, list) else str(pair)
            for pair in value[:MOST_HEADS]
        )
        return shown + (" …" if len(value) > MOST_HEADS else "")
    return clip(str(value), 4000)


def run_title(run: ScoreRuns) -> str:
    """The title of a page: the folders of the scores."""
    names = [one.path.resolve().name for one in run.runs]
    return "AttentionInfluence scores: " + _joined(names)


def run_names(run: ScoreRuns) -> str:
    """The ids of the runs."""
    ids = [one.run["run_id"] for one in run.runs]
    return ("run " if len(ids) == 1 else "runs ") + _joined(ids)


def _joined(names: list[str]) -> str:
    more = len(names) - MOST_RUNS
    if more > 0:
        return f"{', '.join(names[:MOST_RUNS])} and {more} more"
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
