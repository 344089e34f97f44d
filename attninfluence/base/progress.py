"""Progress on stderr: documents a second, tokens a second, time left."""

from __future__ import annotations

import io
import time
from typing import Any, Protocol, TextIO

from attninfluence.base.stderr import open_stderr

LINE_SECONDS = 10.0


class Progress(Protocol):
    """Told of what was done since it was last told."""

    def advance(self, items: int, tokens: int, share: float) -> None:
        """`share` of the work has been done so far, earlier sessions included."""


class ProgressBar:
    """Counts items, and the tokens in them, on stderr; silent when not `enabled`.

        with ProgressBar("score", total=None, unit="doc", enabled=True) as bar:
            bar.update(documents, tokens=tokens)

    A bar on a terminal, while it lasts, and in a notebook; elsewhere, as in the log of a job, a
    line at the beginning, every ten seconds and at the end. Without a stderr it is silent. `total`
    is None where it is not known beforehand.
    """

    def __init__(
        self, description: str, *, total: int | None = None, unit: str = "doc", enabled: bool = True
    ) -> None:
        self._bar: Any = None
        self._tokens = 0
        self._started = time.monotonic()
        if enabled:
            from tqdm.auto import tqdm

            stderr = open_stderr()
            where: dict[str, Any] = {"dynamic_ncols": True}
            if _writes_text(tqdm) and stderr.isatty():
                where |= {"file": stderr, "leave": False}
            elif _writes_text(tqdm):
                lines = _Lines(stderr)
                where = {"file": lines, "mininterval": LINE_SECONDS, "bar_format": _line(total)}
            self._bar = tqdm(total=total, desc=description, unit=unit, **where)

    def update(self, items: int, tokens: int = 0, note: str = "") -> None:
        """Count `items` more items, `tokens` more tokens; `note` stands beside the speeds."""
        if self._bar is None:
            return
        self._tokens += tokens
        if self._tokens:
            seconds = max(time.monotonic() - self._started, 1e-9)
            note = f"{self._tokens / seconds:,.0f} tokens/s"
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(items)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _writes_text(bar: Any) -> bool:
    """Whether it is the bar made of letters, not a notebook's."""
    from tqdm.std import tqdm

    return bar.status_printer is tqdm.status_printer


def _line(total: int | None) -> str:
    """What a line says, in tqdm's terms."""
    share = "" if total is None else "{percentage:.0f}% "
    done = "{n_fmt}" if total is None else "{n_fmt}/{total_fmt}"
    return "{desc}: " + share + done + " [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class _Lines(io.TextIOBase):
    """stderr for a bar: a line each time, in place of one that is written over and over."""

    def __init__(self, stderr: TextIO) -> None:
        self._stderr = stderr

    def write(self, text: str) -> int:
        line = text.strip()
        if line:
            print(line, file=self._stderr, flush=True)
        return len(text)
