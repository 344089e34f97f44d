"""What the demo says of each step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attninfluence.base.stderr import open_stderr
from attninfluence.texts.packaged import Text
from attninfluence.views.words import clip, number, percent, visible

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model

EXAMPLES = 2

Result = TypeVar("Result")


class Story:
    """One line a step, with its time, as the steps end."""

    def __init__(self, console: Console | None) -> None:
        from rich.console import Console

        stderr = open_stderr()
        self.console = console or Console(file=stderr, highlight=False, markup=False, emoji=False)
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


def describe_texts(texts: Sequence[Text]) -> str:
    sizes = Counter(text.domain for text in texts)
    parts = ", ".join(f"{name} {size}" for name, size in sizes.items())
    return f"{len(texts):,} texts in {len(sizes)} domains: {parts}."


def describe_model(model: Model) -> str:
    return (
        f"{Path(model.path).name}: {model.n_layers} layers of {model.n_heads} heads, a context of "
        f"{model.context:,} tokens, {model.precision} ({model.kernel}) on {model.threads} threads."
    )


def describe_heads(heads: HeadScores) -> str:
    best = heads.selected[0]
    return (
        f"{heads.samples} key lookups, {heads.success_rate:.0%} answered; {len(heads.selected)} of "
        f"{heads.scores.size} heads selected, the best (layer {best[0]}, head {best[1]}) with a "
        f"retrieval score of {heads.scores[best]:.2f}."
    )


def describe_origin(heads: HeadScores, model: Model, *, found: bool) -> str:
    """Whether they were found here or came with the model, in a sentence."""
    return compare_with_stored(heads, model) if found else "They came with the model."


def compare_with_stored(heads: HeadScores, model: Model) -> str:
    """How the heads found here agree with those that the model came with, in a sentence."""
    stored = model.heads
    if stored is None:
        return "There is no heads.json to compare with."
    where = f"the heads.json that came with the model ({stored.samples} samples)"
    common = len(set(heads.selected) & set(stored.selected))
    if common == len(heads.selected) == len(stored.selected):
        return f"They are the same heads as in {where}."
    return f"{common} of the {len(heads.selected)} are among the {len(stored.selected)} in {where}."


def describe_scores(totals: dict[str, Any], heads: HeadScores) -> str:
    scored = totals["statuses"].get("ok", 0)
    return (
        f"{scored:,} of {totals['rows']:,} texts scored, {totals['scored_tokens']:,} tokens, each "
        f"read as it is, without the {len(heads.selected)} heads, and without as many random ones."
    )


def describe_selection(summary: dict[str, Any]) -> str:
    from attninfluence.select.rule import as_fraction

    everything = summary["all"]
    fraction = float(as_fraction(summary["rule"]["fraction"]))
    share = percent(everything["selected_tokens"], everything["tokens"], 0)
    return (
        f"{everything['selected']:,} texts, the best {fraction:.0%} of each "
        f"domain, with {share} of the tokens."
    )


def closing(report: Path) -> str:
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
