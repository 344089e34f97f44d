"""What a person sees: tables and progress on stderr, the JSON summary on stdout.

The summary is printed where stdout is no terminal. Under `summary_only` it always is, and nothing
else is told.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from attninfluence.base.stderr import is_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

WAIT_SECONDS = 2.0  # after which a step that shows nothing is named
LINE_SECONDS = 10.0  # between two lines of progress, where there is no bar
MOST_ROWS = 60  # of a table; all of them are in the JSON
GAPS = (3, 2, 1)  # between two columns of a table, the widest that fits
MOST_LETTERS = 16_384  # of a line: a few paths, of which the system takes 4,096 bytes each
LEAST_NAME = 10  # columns that a name keeps where a table is wider than the terminal

_summary_only: ContextVar[bool] = ContextVar("summary_only", default=False)


@contextmanager
def summary_only(asked: bool) -> Iterator[None]:
    """Where asked, stdout gets the summary, even on a terminal, and stderr errors alone."""
    before = _summary_only.set(asked)
    try:
        yield
    finally:
        _summary_only.reset(before)


def is_quiet() -> bool:
    """Whether progress, tables and remarks are to be left out."""
    return _summary_only.get()


def console() -> Console:
    """The console on stderr: colours on a terminal only, and wide enough for 80 columns."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False, quiet=is_quiet())


def print_json(summary: Any) -> None:
    """The summary, one JSON object on stdout, unless a person would read it there."""
    if is_quiet() or not is_terminal(sys.stdout):
        print_result(json.dumps(summary, indent=2, allow_nan=False))


def print_result(text: str) -> None:
    """Lines on stdout, where there is one; OSError, with its name, where they cannot be written."""
    try:
        print(text)
        getattr(sys.stdout, "flush", bool)()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from error


def say(text: str) -> None:
    """One line on stderr; on a terminal it breaks between words."""
    if not is_quiet():
        warn(_wrapped(text) if sys.stderr.isatty() else text)


def _wrapped(text: str) -> str:
    import textwrap

    width = console().width
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def warn(text: str) -> None:
    """One line on stderr that is told under `summary_only` as well."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Name what is done in the block, if it takes longer than a person likes to see nothing."""
    timer = threading.Timer(WAIT_SECONDS, say, [text])
    timer.daemon = True
    quiet = is_quiet()
    if not quiet:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def printable(text: str) -> str:
    """`text` without line breaks and control characters, which could drive a terminal.

    Of a longer one than any name makes, MOST_LETTERS: its beginning and its end.
    """
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS // 2]}…{text[-MOST_LETTERS // 2 + 1 :]}"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def printed_domain(domain: str | None) -> str:
    """What a domain is called in a terminal."""
    return "(no domain)" if domain is None else printable(domain)


def percent_of_one(share: float | None) -> str:
    """A share from 0 to 1 in per cent; "-" where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def short_count(value: int) -> str:
    """A count of at most five characters: 950, 12.3K, 241B."""
    size = float(value)
    for unit in ("", "K", "M", "B"):
        if size < 999.5:
            return f"{value}" if not unit else f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}T"


def print_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    total: Sequence[str] | None = None,
) -> None:
    """A table on stderr: names in the first column, to the left, numbers to the right.

    total: a last row, shown however many there are. Where the terminal is too narrow, names are
    shortened in their middle; where that is not enough, each row becomes a list of its numbers.
    """
    screen = console()
    shown = [*rows[:MOST_ROWS], *([] if total is None else [total])]
    widths = [max(map(cell_width, column)) for column in zip(header, *shown, strict=True)]
    rooms = {gap: screen.width - sum(widths[1:]) - gap * (len(header) - 1) for gap in GAPS}
    gap = next((gap for gap in GAPS if rooms[gap] >= min(widths[0], LEAST_NAME)), None)
    if gap is None:
        _print_lists(screen, title, header, shown)
    else:
        named = [[shorten(row[0], rooms[gap]), *row[1:]] for row in shown]
        _print_columns(screen, title, [header, *named], gap, total is not None)
    if len(rows) > MOST_ROWS:
        say(f"{len(rows) - MOST_ROWS:,} more rows are in the JSON summary (--json)")


def _print_columns(
    screen: Console, title: str, rows: list[Sequence[str]], gap: int, has_total: bool
) -> None:
    """rows: the header first, the total last."""
    from rich.text import Text

    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    rule = ("-" if screen.options.ascii_only else "─") * (sum(widths) + gap * (len(widths) - 1))
    lines = [_line(cells, widths, gap) for cells in rows]
    lines.insert(1, rule)
    if has_total and len(rows) > 2:
        lines.insert(-1, rule)
    screen.print(Text(title, style="bold"))
    for line in lines:
        screen.print(Text(line), no_wrap=True, overflow="ignore", crop=False)


def _line(cells: Sequence[str], widths: Sequence[int], gap: int) -> str:
    """The first cell to the left, the others to the right."""
    blanks = [" " * (width - cell_width(cell)) for cell, width in zip(cells, widths, strict=True)]
    first, *others = zip(cells, blanks, strict=True)
    padded = ["".join(first), *(blank + cell for cell, blank in others)]
    return (" " * gap).join(padded).rstrip()


def _print_lists(
    screen: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    from rich.text import Text

    left = max(map(cell_width, header[1:]))
    screen.print(Text(title, style="bold"))
    for name, *numbers in rows:
        say(shorten(name, screen.width))
        for label, number in zip(header[1:], numbers, strict=True):
            say(f"  {label:<{left}}  {number}")


def cell_width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def shorten(text: str, width: int) -> str:
    """The text in at most `width` columns: its beginning and its end, which tell names apart."""
    if cell_width(text) <= width:
        return text
    tail = max(width - 1, 0) // 2
    head = "".join(_fitting(text, width - 1 - tail))
    return head + "…" + "".join(reversed(list(_fitting(reversed(text), tail))))


def _fitting(letters: Iterable[str], width: int) -> Iterator[str]:
    """The first of the letters that take at most `width` columns."""
    for letter in letters:
        width -= cell_width(letter)
        if width < 0:
            return
        yield letter


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Labels and texts in two columns, the texts wrapped at words; an empty pair is a space."""
    from attninfluence.views.facts import fact_lines

    for line in fact_lines(facts, console().width):
        say(printable(line))


class ScoreProgress:
    """Items and tokens a second and the time left: a bar on a terminal, else a line every ten
    seconds. Use it in a `with` statement.
    """

    def __init__(self, items: str = "documents") -> None:
        self._items = items
        self._done = self._tokens = 0
        self._started = self._last_line = time.monotonic()
        self._first: tuple[float, float] | None = None  # time and share when first told
        self._width = 80
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> ScoreProgress:
        screen = console()
        # Not `screen.is_terminal`, which FORCE_COLOR makes true of a file.
        if sys.stderr.isatty() and not screen.is_dumb_terminal and not is_quiet():
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            self._width = screen.width
            self._bar = Progress(
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TextColumn("{task.fields[rates]}"),
                console=screen,
                transient=True,
            )
            self._task = self._bar.add_task(self._items, total=1.0, rates="")
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, items: int, tokens: int, share: float) -> None:
        """Count items and their tokens; `share` of the work has been done."""
        self._done += items
        self._tokens += tokens
        now = time.monotonic()
        rates = self._rates(now, share)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=share, rates=rates)
        elif now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            say(f"{100 * share:5.1f} %  {rates}")

    def _rates(self, now: float, share: float) -> str:
        """What fits beside the bar: the time left first, then the speeds, then what is done."""
        seconds = max(now - self._started, 1e-9)
        parts = [f"{self._left(now, share)} left"]
        if self._tokens:
            parts.insert(0, f"{short_count(round(self._tokens / seconds))} tokens/s")
        if self._width >= 60:
            parts.insert(0, f"{_rate(self._done / seconds)}/s")
            parts.insert(0, f"{short_count(self._done)} {self._items}")
        return ", ".join(parts)

    def _left(self, now: float, share: float) -> str:
        """The time left at the pace since `share` was first told: a run may go on from before."""
        if self._first is None:
            self._first = now, share
        began, first = self._first
        return clock((now - began) * (1 - share) / (share - first)) if share > first else "-"


def _rate(value: float) -> str:
    return f"{value:.1f}" if value < 100 else short_count(round(value))


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}"
