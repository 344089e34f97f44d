"""`attninfluence demo`: the whole story on text that every machine with Python has.

    OUT/demo.json       marks the folder as a demo's own, so that the next one may replace it
    OUT/texts.jsonl     what is scored: id, domain, text
    OUT/heads.json      retrieval scores found here, and the heads selected
    OUT/scores/         as `attninfluence score` writes it, with a control and the text
    OUT/selected/       as `attninfluence select` writes it
    OUT/report.html     as `attninfluence report` writes it

Nothing is computed here: each step is the function behind the command of that name. The texts come
from `attninfluence.demo_texts`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attninfluence.demo_texts import Text, collect_texts, write_texts
from attninfluence.output.files import OutputError, write_json
from attninfluence.views.words import clip, number, percent, visible

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model

SAMPLES = 200
EXAMPLES = 2
MARK = "demo.json"
MADE = ("texts.jsonl", "heads.json", "scores", "selected", "report.html")

Result = TypeVar("Result")


def run_demo(
    output: str | os.PathLike[str] = "attninfluence-demo",
    *,
    model: Model | str | os.PathLike[str] | None = None,
    documents: int = 150,
    samples: int = SAMPLES,
    fraction: float = 0.2,
    seed: int = 0,
    progress: bool | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Find heads, score, select and report into the folder `output`; returns a summary.

    model: None is the bundled one. documents: at most so many of a domain. samples: of the head
    detection. fraction: selected within each domain. seed: of the samples and the control heads.
    progress: bars on stderr; None shows them on a terminal only. console: where the story is told,
    by default stderr.

    OutputError when the folder holds something that no demo made; what the head detection and the
    scoring raise.
    """
    from attninfluence.model.opening import as_model

    folder = Path(output)
    prepare_folder(folder)
    bars = sys.stderr.isatty() if progress is None else progress
    story = _Story(console)
    texts = story.step("texts", lambda: _texts(documents, folder), _describe_texts)
    opened = story.step("model", lambda: as_model(model), _describe_model)
    heads = story.step(
        "heads",
        lambda: _find(opened, folder, samples, seed, bars),
        lambda found: f"{_describe_heads(found)} {compare_with_stored(found, opened)}",
    )
    totals = story.step(
        "score",
        lambda: _score(opened, folder, heads, seed, len(texts), bars),
        lambda totals: _describe_scores(totals, heads),
    )
    chosen = story.step("select", lambda: _select(folder, fraction), _describe_selection)
    report = story.step("report", lambda: _report(opened, folder, heads, fraction), str)
    story.console.print()
    story.console.print(extremes_table(folder / "scores", EXAMPLES))
    story.console.print(_closing(report), soft_wrap=True)
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


def _find(model: Model, folder: Path, samples: int, seed: int, progress: bool) -> HeadScores:
    from attninfluence.retrieval.find import find_retrieval_heads

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
    from attninfluence.report import write_report

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


class _Story:
    """One line a step, with its time, as the steps end."""

    def __init__(self, console: Console | None) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.seconds: dict[str, float] = {}

    def step(
        self, name: str, work: Callable[[], Result], describe: Callable[[Result], str]
    ) -> Result:
        """Do the work, then say what came of it."""
        started = time.monotonic()
        result = work()
        self.seconds[name] = round(time.monotonic() - started, 3)
        self.console.print(self._line(name, describe(result)))
        return result

    def _line(self, name: str, sentence: str) -> Table:
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 2), expand=False)
        line.add_column(width=6, style="bold")
        line.add_column(width=max(20, min(80, self.console.width) - 18))
        line.add_column(width=8, justify="right", style="dim")
        line.add_row(name, Text(visible(sentence)), f"{self.seconds[name]:.1f} s")
        return line


def _describe_texts(texts: Sequence[Text]) -> str:
    sizes = Counter(text.domain for text in texts)
    parts = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return f"{len(texts):,} texts in {len(sizes)} domains: {parts}."


def _describe_model(model: Model) -> str:
    return (
        f"{Path(model.path).name}: {model.n_layers} layers of {model.n_heads} heads, a context of "
        f"{model.context:,} tokens, {model.precision} ({model.kernel}) on {model.threads} threads."
    )


def _describe_heads(heads: HeadScores) -> str:
    best = heads.selected[0]
    return (
        f"{heads.samples} key lookups, {heads.success_rate:.0%} answered; {len(heads.selected)} of "
        f"{heads.scores.size} heads selected, the best (layer {best[0]}, head {best[1]}) with a "
        f"retrieval score of {heads.scores[best]:.2f}."
    )


def compare_with_stored(heads: HeadScores, model: Model) -> str:
    """How the heads found here agree with those in the model's folder, in a sentence."""
    stored = model.heads
    if stored is None:
        return "The model's folder has no heads.json to compare with."
    where = f"the heads.json that came with the model ({stored.samples} samples)"
    common = len(set(heads.selected) & set(stored.selected))
    if common == len(heads.selected) == len(stored.selected):
        return f"They are the same heads as in {where}."
    return f"{common} of the {len(heads.selected)} are among the {len(stored.selected)} in {where}."


def _describe_scores(totals: dict[str, Any], heads: HeadScores) -> str:
    scored = totals["statuses"].get("ok", 0)
    return (
        f"{scored:,} of {totals['rows']:,} texts scored, {totals['scored_tokens']:,} tokens, each "
        f"read as it is, without the {len(heads.selected)} heads, and without as many random ones."
    )


def _describe_selection(summary: dict[str, Any]) -> str:
    from attninfluence.select.rule import as_fraction

    everything = summary["all"]
    fraction = float(as_fraction(summary["rule"]["fraction"]))
    share = percent(everything["selected_tokens"], everything["tokens"], 0)
    return (
        f"{everything['selected']:,} texts, the best {fraction:.0%} of each "
        f"domain, with {share} of the tokens."
    )


def _closing(report: Path) -> str:
    return (
        "\nScore = (loss without the heads - loss) / loss, losses in nats a token.\n"
        f"Compare scores within a domain only. All of it as a page:\n{report}"
    )


def extremes_table(scores: Path, count: int) -> Group:
    """The best and worst documents of each domain of a finished run, for a terminal."""
    from rich.console import Group
    from rich.text import Text

    from attninfluence.output.score_runs import open_scores
    from attninfluence.select.in_memory import read_documents
    from attninfluence.views.words import domain_name

    run = open_scores(scores)
    documents = read_documents(run)
    pairs = [documents.extremes(domain, count) for domain in range(len(documents.domains))]
    rows = run.rows_at(position for pair in pairs for part in pair for position in part)
    parts: list[Any] = [_lines([["score", "loss", "without", "text"]], style="dim")]
    for name, (best, worst) in zip(documents.domains, pairs, strict=True):
        heading = domain_name(name)
        cells = [_cells(rows[position]) for position in best]
        cells += [["...", "", "", ""]] if worst else []
        cells += [_cells(rows[position]) for position in reversed(worst)]
        parts += [Text("\n" + visible(heading), style="bold"), _lines(cells)]
    return Group(*parts)


def _cells(row: dict[str, Any]) -> list[str]:
    words = " ".join(visible(clip(row.get("text") or "", 400)).split())
    return [*(number(row[name]) for name in ("score", "base_loss", "ref_loss")), words]


def _lines(cells: Sequence[Sequence[str]], style: str = "") -> Table:
    """Three numbers and a text a line, in columns that are the same for every domain."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), expand=True)
    for width in (7, 6, 7):
        table.add_column(justify="right", width=width)
    table.add_column(ratio=1)
    for *numbers, words in cells:
        last = Text(words, style=style, no_wrap=True, overflow="ellipsis")
        table.add_row(*(Text(number, style=style) for number in numbers), last)
    return table
