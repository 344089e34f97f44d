"""What a person sees: tables and progress on stderr, the JSON summary on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress, TaskID

LINE_SECONDS = 10.0
MOST_ROWS = 60  # of a table; all of them are in the JSON


def console() -> Console:
    """The console on stderr: colours on a terminal only, and wide enough for 80 columns."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(summary: Any) -> None:
    """The summary, one JSON object on stdout."""
    print(json.dumps(summary, indent=2, allow_nan=False))


def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """`text` without line breaks and control characters, which could drive a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def domain_name(domain: str | None) -> str:
    return "(no domain)" if domain is None else printable(domain)


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def short_count(value: int) -> str:
    """A count of at most five characters: 950, 12.3K, 241B."""
    size = float(value)
    for unit in ("", "K", "M", "B"):
        if size < 999.5:
            return f"{value}" if not unit else f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}T"


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stderr: the first column to the left, numbers to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(
            Text(name),
            justify="left" if index == 0 else "right",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if index == 0 else len(name),
        )
    for row in rows[:MOST_ROWS]:
        table.add_row(*(Text(cell) for cell in row))
    if len(rows) > MOST_ROWS:
        table.add_row(Text(f"and {len(rows) - MOST_ROWS:,} more"))
    console().print(table)


class ScoreProgress:
    """Documents and tokens a second and the time left: a bar on a terminal, else a line every
    ten seconds. Use it in a `with` statement.
    """

    def __init__(self) -> None:
        self._documents = self._tokens = 0
        self._started = self._last_line = time.monotonic()
        self._first: tuple[float, float] | None = None  # time and share when first told
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> ScoreProgress:
        screen = console()
        if screen.is_terminal:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            self._bar = Progress(
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[rates]}"),
                console=screen,
                transient=True,
            )
            self._task = self._bar.add_task("score", total=1.0, rates="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, documents: int, tokens: int, share: float) -> None:
        """Count documents and their tokens; `share` of the input has been read."""
        self._documents += documents
        self._tokens += tokens
        now = time.monotonic()
        rates = self._rates(now, share)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=share, rates=rates)
        elif now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            say(f"{100 * share:5.1f} %  {rates}")

    def _rates(self, now: float, share: float) -> str:
        seconds = max(now - self._started, 1e-9)
        return (
            f"{short_count(self._documents)} documents, {self._documents / seconds:.1f}/s,"
            f" {short_count(round(self._tokens / seconds))} tokens/s, {self._left(now, share)} left"
        )

    def _left(self, now: float, share: float) -> str:
        """The time left at the pace since `share` was first told: a run may go on from before."""
        if self._first is None:
            self._first = now, share
        began, first = self._first
        return clock((now - began) * (1 - share) / (share - first)) if share > first else "-"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}"
