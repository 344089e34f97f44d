"""Pages in a real browser: Debian's Chromium, driven by playwright, measured by browser.js.

`Tab` is one page in one window. It takes note of everything that a page at rest must not do (a
message on the console, an error, a request, a dialog), and gives the faults that browser.js finds
under a `Setting`, as sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.pictures import find_chromium, open_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MEASURES = (Path(__file__).parent / "browser.js").read_text(encoding="utf-8")
MOST_TOLD = 4  # faults of one measure
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@dataclass(frozen=True)
class Setting:
    """A window and how it shows a page."""

    width: int  # CSS pixels
    scheme: str = "light"
    media: str = "screen"

    def __str__(self) -> str:
        return f"{self.media} {self.width} {self.scheme}"


SETTINGS = (
    Setting(1280, "light"),
    Setting(1280, "dark"),
    Setting(400, "dark"),
    Setting(700, "light", "print"),  # the width of A4 within its margins
    Setting(400, "light"),
)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window; the test is skipped where it or playwright is not installed."""
    pytest.importorskip(
        "playwright.sync_api",
        reason='no playwright: pip install ".[browser]" (make test-full does)',
    )
    if find_chromium() is None:
        pytest.skip("no Chromium: install Debian's package chromium (make test-full does, as root)")
    with open_chromium() as browser:
        yield browser


@dataclass
class Tab:
    """A page in a window of its own, and what it did that a page at rest must not do."""

    page: Page
    noise: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser) -> Tab:
        tab = cls(browser.new_context(viewport={"width": 1280, "height": 900}).new_page())
        tab.page.add_init_script(MEASURES)
        tab.page.on("console", lambda message: tab._hear(message.type, message.text))
        tab.page.on("pageerror", lambda error: tab._hear("error", str(error)))
        tab.page.on(
            "request", lambda request: tab._ask(request.url, request.is_navigation_request())
        )
        tab.page.on(
            "dialog", lambda dialog: (tab._hear("dialog", dialog.message), dialog.dismiss())
        )
        return tab

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning", "dialog"):
            self.noise.append(f"{kind}: {text}")

    def _ask(self, url: str, is_document: bool) -> None:
        if not is_document:
            self.noise.append(f"request: {url[:200]}")

    def go(self, path: Path) -> None:
        """Load a page; what the one before it did is forgotten."""
        self.noise.clear()
        self.page.goto(path.as_uri())

    def show(self, setting: Setting) -> None:
        self.page.set_viewport_size({"width": setting.width, "height": 900})
        self.page.emulate_media(media=setting.media, color_scheme=setting.scheme)  # type: ignore[arg-type]

    def measure(self, name: str) -> list[str]:
        """The faults that a measure of browser.js finds, the first few of them."""
        return _told(name, self.page.evaluate(f"measures.{name}()") or [])

    def faults(self) -> list[str]:
        """Everything that is wrong with the page, under every setting, closed parts opened."""
        found = self.keyboard()
        self.measure("openAll")
        for setting in SETTINGS:
            found += self.legibility(setting)
        return found + self.axe() + self.measure("madeFromText") + self.noise

    def legibility(self, setting: Setting) -> list[str]:
        """Faults of what is painted under the setting."""
        self.show(setting)
        found = self.page.evaluate("width => measures.legibility(width)", setting.width)
        faults = [fault for name, told in found.items() for fault in _told(name, told)]
        return [f"{setting}: {fault}" for fault in faults]

    def keyboard(self) -> list[str]:
        """Faults of moving through the page with the Tab key."""
        faults = self.measure("unreachableRegions")
        while True:
            self.page.keyboard.press("Tab")
            fault = self.page.evaluate("measures.focused()")
            if fault is None:
                break
            faults += [fault] if fault else []
        return _told("keyboard", faults) + self.measure("notVisited")

    def axe(self) -> list[str]:
        """Violations of the rules of axe-core, with the first element of each.

        That of contrast is left out: it sees one setting of the five, and on a page of thousands of
        tokens takes longer than all else.
        """
        from axe_playwright_python.sync_playwright import Axe

        options = {
            "runOnly": {"type": "tag", "values": list(AXE_TAGS)},
            "rules": {"color-contrast": {"enabled": False}},
            "resultTypes": ["violations"],
        }
        found = Axe().run(self.page, options=options).response["violations"]
        return [f"axe {v['id']}: {v['help']}: {v['nodes'][0]['html'][:160]}" for v in found]


def _told(name: str, faults: list[str]) -> list[str]:
    faults = list(dict.fromkeys(faults))
    more = [f"and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
    return [f"{name}: {fault}" for fault in faults[:MOST_TOLD] + more]
