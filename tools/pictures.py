"""Pictures of pages, taken by Debian's Chromium: PNG of at most 256 colours.

For the README, the documentation and the notebooks, which show what the package draws where neither
its HTML nor its SVG is let through.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def find_chromium() -> str | None:
    """Debian's Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Chromium without a window. FileNotFoundError where it is not installed."""
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    if program is None:
        raise FileNotFoundError("no Chromium was found: install Debian's package chromium")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(frozen=True)
class Camera:
    """A browser's window, as large as `width` x `height` CSS pixels of `scale` pixels each."""

    browser: Browser
    width: int = 860
    height: int = 900
    scale: float = 2.0
    scheme: str = "light"

    def picture(self, page: Path, selector: str | None = None) -> bytes:
        """PNG of the window on a page, or of the first element that the selector finds."""
        with self._window() as window:
            window.goto(page.resolve().as_uri())
            if selector is None:
                return few_colors(window.screenshot())
            return few_colors(window.locator(selector).first.screenshot())

    @contextmanager
    def _window(self) -> Iterator[Page]:
        context = self.browser.new_context(
            viewport={"width": self.width, "height": self.height},
            device_scale_factor=self.scale,
            color_scheme=self.scheme,  # type: ignore[arg-type]
        )
        yield context.new_page()
        context.close()


def few_colors(png: bytes) -> bytes:
    """The same picture in its 256 most frequent colours, some three times smaller.

    Large areas keep their very colour; rare ones, at the edges of letters, take the nearest.
    """
    from PIL import Image

    whole = Image.open(io.BytesIO(png)).convert("RGB")
    counted = whole.getcolors(whole.width * whole.height) or []
    kept = [color for _, color in sorted(counted, reverse=True)[:256]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for color in kept for value in color])
    few = whole.quantize(palette=palette, dither=Image.Dither.NONE)
    small = io.BytesIO()
    few.save(small, "PNG", optimize=True)
    return small.getvalue()
