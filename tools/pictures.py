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

import numpy as np

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

    def picture(self, page: Path, selector: str | None = None, margin: int = 0) -> bytes:
        """PNG of the window on a page, or of the first element that the selector finds.

        `margin` CSS pixels of the page about the element come with it.
        """
        with self._window() as window:
            window.goto(page.resolve().as_uri())
            if selector is None:
                return few_colors(window.screenshot())
            box = window.locator(selector).first.bounding_box()
            if box is None:
                raise LookupError(f"{page}: nothing is shown that {selector!r} selects")
            left, top = max(box["x"] - margin, 0), max(box["y"] - margin, 0)
            right, bottom = (box[a] + box[b] + margin for a, b in (("x", "width"), ("y", "height")))
            part = {"x": left, "y": top, "width": right - left, "height": bottom - top}
            return few_colors(window.screenshot(full_page=True, clip=part))

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

    pixels = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
    height, width, _ = pixels.shape
    colors, which, count = np.unique(
        pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    kept = colors[np.argsort(-count, kind="stable")[:256]].astype(np.int64)
    distance = ((colors.astype(np.int64)[:, None] - kept) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1).astype(np.uint8)
    few = Image.fromarray(nearest[which].reshape(height, width), "P")
    few.putpalette(kept.astype(np.uint8).tobytes())
    small = io.BytesIO()
    few.save(small, "PNG", optimize=True)
    return small.getvalue()
