"""The report in a real browser: it loads nothing, fits the window and can be read."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.full

# Appended to a copy of the page: what the browser made of it, as JSON in an attribute.
MEASURE = """<script>
const number = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
const body = getComputedStyle(document.body);
const root = getComputedStyle(document.documentElement);
const clear = c => c === "rgba(0, 0, 0, 0)";
const background = clear(body.backgroundColor)
  ? (clear(root.backgroundColor) ? null : root.backgroundColor) : body.backgroundColor;
const drawings = [...document.querySelectorAll("svg")].map(s => s.getBoundingClientRect());
document.documentElement.setAttribute("data-measured", JSON.stringify({
  loaded: performance.getEntriesByType("resource").length,
  wide: document.documentElement.scrollWidth, window: window.innerWidth,
  text: document.body.innerText.length, headings: document.querySelectorAll("h1, h2").length,
  drawings: drawings.map(r => [r.width, r.height]),
  ink: number(body.color), paper: background && number(background),
}));
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium: install Debian's package chromium (make test-full does, as root)")
    return program


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a demo run."""
    from attninfluence.cli import main

    folder = tmp_path_factory.mktemp("demo") / "out"
    assert main(["demo", "-o", str(folder)]) == 0
    (report,) = folder.rglob("report.html")
    copy = folder / "measured.html"
    copy.write_text(report.read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    return copy


def measure(chromium: str, page: Path, width: int, *flags: str) -> dict[str, Any]:
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", *flags]
    command += [f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'data-measured="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    measured: dict[str, Any] = json.loads(html.unescape(found[1]))
    return measured


@pytest.mark.parametrize("width", [1280, 700])
def test_page_is_whole_and_fits(chromium: str, page: Path, width: int) -> None:
    measured = measure(chromium, page, width)
    assert measured["loaded"] == 0
    assert measured["wide"] <= measured["window"]
    assert measured["headings"] >= 3
    assert measured["text"] > 1000
    assert len(measured["drawings"]) >= 2
    assert all(w > 50 and h > 50 for w, h in measured["drawings"])


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out(chromium: str, page: Path, dark: bool) -> None:
    scheme = "0" if dark else "1"
    measured = measure(chromium, page, 1280, f"--blink-settings=preferredColorScheme={scheme}")
    paper = measured["paper"] or [255, 255, 255]
    assert abs(sum(measured["ink"]) - sum(paper)) > 3 * 100
