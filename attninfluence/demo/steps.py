"""`attninfluence demo`: the whole story on text that every machine with Python has.

    OUT/demo.json       marks the folder as a demo's own, so that the next one may replace it
    OUT/texts.jsonl     what is scored: id, domain, text
    OUT/heads.json      retrieval scores found here, and the heads selected
    OUT/scores/         as `attninfluence score` writes it, with a control and the text
    OUT/selected/       as `attninfluence select` writes it
    OUT/report.html     as `attninfluence report` writes it

Nothing is computed here: each step is the function behind the command of that name. The texts come
from `attninfluence.demo.texts`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attninfluence.base.paths import expand_home
from attninfluence.base.stderr import is_terminal
from attninfluence.demo.telling import (
    EXAMPLES,
    Story,
    closing,
    compare_with_stored,
    describe_heads,
    describe_model,
    describe_origin,
    describe_scores,
    describe_selection,
    describe_texts,
    extremes_table,
)
from attninfluence.demo.texts import collect_texts, write_texts
from attninfluence.output.files import OutputError, write_json
from attninfluence.texts.packaged import Text

if TYPE_CHECKING:
    from rich.console import Console

    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model

SAMPLES = 200
MARK = "demo.json"
MADE = ("texts.jsonl", "heads.json", "scores", "selected", "report.html")


def run_demo(
    output: str | os.PathLike[str] = "attninfluence-demo",
    *,
    model: Model | str | os.PathLike[str] | None = None,
    documents: int = 150,
    samples: int | None = SAMPLES,
    fraction: float = 0.2,
    seed: int = 0,
    progress: bool | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Find heads, score, select and report into the folder `output`; returns a summary.

    model: None is the bundled one. documents: at most so many of a domain. samples: of the head
    detection; None takes the heads that the model comes with. fraction: selected within each
    domain. seed: of the samples and the control heads. progress: bars on stderr; None shows them on
    a terminal only. console: where the story is told, by default stderr.

    OutputError when the folder holds something that no demo made; what the head detection and the
    scoring raise.
    """
    from attninfluence.model.opening import as_model

    folder = Path(expand_home(output))
    prepare_folder(folder)
    bars = is_terminal(sys.stderr) if progress is None else progress
    story = Story(console)
    texts = story.step("texts", lambda: _texts(documents, folder), describe_texts)
    opened = story.step("model", lambda: as_model(model), describe_model)
    heads = story.step(
        "heads",
        lambda: _heads(opened, folder, samples, seed, bars),
        lambda heads: (
            f"{describe_heads(heads)} {describe_origin(heads, opened, found=samples is not None)}"
        ),
    )
    totals = story.step(
        "score",
        lambda: _score(opened, folder, heads, seed, len(texts), bars),
        lambda totals: describe_scores(totals, heads),
    )
    chosen = story.step("select", lambda: _select(folder, fraction), describe_selection)
    report = story.step("report", lambda: _report(opened, folder, heads, fraction), str)
    story.console.print()
    story.console.print(extremes_table(folder / "scores", EXAMPLES))
    story.console.print(closing(report), soft_wrap=True)
    return {
        "output": str(folder),
        "report": str(report),
        "documents": totals["rows"],
        "tokens": totals["tokens"],
        "statuses": totals["statuses"],
        "precision": opened.precision,
        "kernel": opened.kernel,
        "heads": [list(pair) for pair in heads.selected],
        "selected": chosen["all"]["selected"],
        "seconds": story.seconds,
    }


def prepare_folder(folder: Path) -> None:
    """Make the folder new: an earlier demo's output is removed, anything else is refused."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    strange = [name for name in names if name not in (*MADE, MARK)]
    if folder.exists() and (not folder.is_dir() or (names and MARK not in names) or strange):
        what = "is a file" if not folder.is_dir() else f"holds {(strange or names)[0]!r}"
        raise OutputError(f"{folder}: {what}, which no demo made; name another folder with -o")
    for name in MADE:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    if MARK not in names:
        write_json(folder / MARK, {"format": "attninfluence-demo", "version": 1})


# ------------------------------------------------------------------------------------- the steps


def _texts(documents: int, folder: Path) -> list[Text]:
    texts = collect_texts(documents)
    write_texts(texts, folder / "texts.jsonl")
    return texts


def _heads(
    model: Model, folder: Path, samples: int | None, seed: int, progress: bool
) -> HeadScores:
    """Found, or where samples is None those that the model comes with; ModelError without any."""
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.chosen_heads import opened_heads
    from attninfluence.retrieval.find import find_retrieval_heads

    if samples is None:
        heads = opened_heads(None, model)
        assert isinstance(heads, HeadScores)
    else:
        heads = find_retrieval_heads(model, samples=samples, seed=seed, progress=progress)
    heads.save(folder / "heads.json")
    return heads


class _Bar:
    """`score_files` tells of its progress here."""

    def __init__(self, total: int, enabled: bool) -> None:
        from attninfluence.base.progress import ProgressBar

        self.bar = ProgressBar("score", total=total, enabled=enabled)

    def advance(self, documents: int, tokens: int, share: float) -> None:
        self.bar.update(documents, tokens)


def _score(
    model: Model, folder: Path, heads: HeadScores, seed: int, total: int, progress: bool
) -> dict[str, Any]:
    from attninfluence.run.session import score_files
    from attninfluence.run.source import Source

    bar = _Bar(total, progress)
    with bar.bar:
        return score_files(
            Source([str(folder / "texts.jsonl")]),
            folder / "scores",
            model=model,
            heads=heads,
            control=seed,
            keep_text=True,
            progress=bar,
        )


def _select(folder: Path, fraction: float) -> dict[str, Any]:
    from attninfluence.select.rule import Rule, as_fraction
    from attninfluence.select.selector import select

    return select(folder / "scores", folder / "selected", Rule(fraction=as_fraction(fraction)))


def _report(model: Model, folder: Path, heads: HeadScores, fraction: float) -> Path:
    from attninfluence.report.write import write_report

    return write_report(
        folder / "scores",
        folder / "report.html",
        heads=heads,
        model=model,
        fraction=fraction,
        title="AttentionInfluence: a demonstration",
        note=compare_with_stored(heads, model),
    )


# ------------------------------------------------------------------------------------- the words
