"""A command run in a terminal of 80 columns, and the screen that it leaves as SVG.

The command really runs, in a pseudo-terminal; a terminal emulator (pyte) plays what it wrote, so
that bars that came and went are gone. The SVG has text, needs no font of its own and no network.
"""

from __future__ import annotations

import fcntl
import html
import itertools
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COLUMNS, ROWS = 80, 50
MOST_LINES = 400
WIDTH, HEIGHT = 8.4, 18.0  # of a cell, in drawing units
MARGIN = 16.0
BACKGROUND, FOREGROUND = "#16181c", "#e6e3dc"
PALETTE = {
    "black": "#5a5f66", "red": "#f08a7a", "green": "#9ccf8a", "brown": "#e5c07b", "blue": "#7fb2e5",
    "magenta": "#d3a2dd", "cyan": "#7fcbd1", "white": "#e6e3dc",
}  # fmt: skip
STYLE = (
    f"text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
    f"white-space:pre;fill:{FOREGROUND}}}"
)


@dataclass(frozen=True)
class Run:
    """Neighbouring characters of one style."""

    column: int
    text: str
    color: str
    bold: bool


def run_in_terminal(command: Sequence[str], folder: Path, **variables: str) -> bytes:
    """What the command writes to a terminal of 80 columns; CalledProcessError when it fails.

    variables: of the environment, beside or in place of those that are here.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    own = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    told = ("NO_COLOR", "FORCE_COLOR", "CI", "COLUMNS", "LINES")  # what a program is told to draw
    environment = {name: value for name, value in os.environ.items() if name not in told}
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**environment, **own, **variables},
    ) as process:
        os.close(theirs)
        written = b"".join(_read(ours))
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, written)
    return written


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # how Linux tells that the other end was closed
            return
        if not data:
            return
        yield data


def screen_lines(written: bytes) -> list[list[Run]]:
    """The lines of the screen that this leaves, without empty ones at the end."""
    import pyte

    screen = pyte.Screen(COLUMNS, MOST_LINES)
    pyte.ByteStream(screen).feed(written)
    lines = [list(_runs(screen.buffer[row])) for row in range(MOST_LINES)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _runs(row: Any) -> Iterator[Run]:
    cells = [(column, row[column]) for column in range(COLUMNS)]
    while cells and cells[-1][1].data in (" ", ""):
        cells.pop()
    for (color, bold), group in itertools.groupby(cells, key=lambda c: (c[1].fg, c[1].bold)):
        part = list(group)
        text = "".join(cell.data for _, cell in part)
        if text.strip():
            yield Run(part[0][0], text, _color(color), bold)


def _color(name: str) -> str:
    if name == "default":
        return FOREGROUND
    return PALETTE.get(name.removeprefix("bright"), f"#{name}")


def prompt(command: str) -> list[Run]:
    """The line on which somebody typed a command."""
    return [Run(0, "$ ", PALETTE["green"], True), Run(2, command, FOREGROUND, True)]


def terminal_svg(lines: Iterable[list[Run]], label: str) -> str:
    """The lines on a dark ground, each character in its cell whatever the font."""
    lines = list(lines)
    width, height = COLUMNS * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN
    body = [
        _text(run, MARGIN + run.column * WIDTH, MARGIN + (number + 0.75) * HEIGHT)
        for number, line in enumerate(lines)
        for run in line
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-label="{html.escape(label)}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
        f"{''.join(body)}</svg>\n"
    )


def _text(run: Run, x: float, y: float) -> str:
    color = "" if run.color == FOREGROUND else f' style="fill:{run.color}"'
    weight = ' font-weight="bold"' if run.bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" textLength="{len(run.text) * WIDTH:.1f}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve"{weight}{color}>'
        f"{html.escape(run.text)}</text>"
    )
