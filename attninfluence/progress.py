"""Progress bars on stderr: documents a second, tokens a second, time left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType


class ProgressBar:
    """Counts items, and the tokens in them, on stderr; silent when not `enabled`.

        with ProgressBar("score", total=None, unit="doc", enabled=True) as bar:
            bar.update(documents, tokens=tokens)

    `total` is None where it is not known beforehand.
    """

    def __init__(
        self, description: str, *, total: int | None = None, unit: str = "doc", enabled: bool = True
    ) -> None:
        self._bar: Any = None
        self._tokens = 0
        self._started = time.monotonic()
        if enabled:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, desc=description, unit=unit, dynamic_ncols=True)

    def update(self, items: int, tokens: int = 0) -> None:
        """Count `items` more items, `tokens` more tokens."""
        if self._bar is None:
            return
        self._tokens += tokens
        if self._tokens:
            seconds = max(time.monotonic() - self._started, 1e-9)
            self._bar.set_postfix_str(f"{self._tokens / seconds:,.0f} tokens/s", refresh=False)
        self._bar.update(items)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
