"""Makes the pictures of README and documentation, each by the command that it shows.

    PYTHONPATH=. .venv-dev/bin/python tools/screenshots.py

    terminal.svg                `score` and `select`, in a terminal of 80 columns
    report-*.png                the top of the report that `attninfluence demo` writes
    report-domains-*.png        its section on domains
    notebook-document-*.png     a cell of a notebook that scores a text, and what it shows
    notebook-heads-*.png        the same of one that finds heads

They go to docs/images/; the star is `light` and `dark`. It takes some minutes.
"""

from __future__ import annotations

import ast
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.pictures import Camera, open_chromium
from tools.terminal import prompt, run_in_terminal, screen_lines, terminal_svg

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MARGIN = 20  # CSS pixels
PROGRAM = (sys.executable, "-m", "attninfluence.cli")

COMMANDS = (
    "attninfluence score corpus/ -o scores/",
    "attninfluence select scores/ -o selected/ --fraction 0.2",
)
CELLS = {
    "document": "import attninfluence as ai\n\n"
    "text = (\n"
    '    "Ann has 3 boxes of 4 pens. That makes 12 pens. She gives 5 of the 12 pens away, "\n'
    '    "so 7 of the 12 pens are left. Ben has 2 boxes of 6 pens. That makes 12 pens as well. "\n'
    '    "He gives none of the 12 pens away, so Ann has 7 pens and Ben has 12 pens."\n'
    ")\n"
    'ai.score([text], detail="token")[0]',
    "heads": "import attninfluence as ai\n\nai.find_retrieval_heads(ai.load(), samples=100)",
}
NOTEBOOK = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Notebook</title>
<meta name="color-scheme" content="light dark">
<style>
:root{{--paper:#fff;--cell:#f6f6f4;--ink:#24292f;--quiet:#5a5f66;--rule:#dddbd4}}
@media(prefers-color-scheme:dark){{
:root{{--paper:#111;--cell:#1c1e22;--ink:#e6e3dc;--quiet:#a5a39c;--rule:#33363c}}}}
body{{margin:0;padding:14px 18px 16px 0;background:var(--paper);color:var(--ink)}}
section{{display:grid;grid-template-columns:4.2rem 1fr;gap:.5rem;margin-bottom:.7rem}}
.prompt{{font:12px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;color:var(--quiet);
text-align:right;padding-top:.6rem}}
pre{{margin:0;padding:.55rem .8rem;font:12.5px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;
background:var(--cell);border:1px solid var(--rule);white-space:pre-wrap}}
{colors}
</style></head><body>
<section><div class="prompt">[1]:</div><pre>{code}</pre></section>
<section><div class="prompt">[1]:</div>{value}</section>
</body></html>"""


def make_demo(folder: Path) -> Path:
    """The folder of a demo."""
    run_in_terminal([*PROGRAM, "demo"], folder)
    return folder / "attninfluence-demo"


def terminal(texts: Path) -> str:
    """SVG of a terminal in which the texts were scored and the best of them selected."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        shutil.copy(texts, folder / "corpus")
        lines = []
        for command in COMMANDS:
            written = run_in_terminal([*PROGRAM, *command.split()[1:]], folder)
            lines += [prompt(command), *screen_lines(written), []]
    return terminal_svg(lines[:-1], "A terminal: " + "; ".join(COMMANDS))


def notebook(source: str) -> str:
    """A page of one cell with its code and its last value, as that shows itself in HTML."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    *before, last = ast.parse(source).body
    names: dict[str, Any] = {}
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    value = eval(ast.unparse(last), names)
    light, dark = (
        HtmlFormatter(style=style, nobackground=True).get_style_defs("pre")
        for style in ("friendly", "github-dark")
    )
    return NOTEBOOK.format(
        colors=f"{light}@media(prefers-color-scheme:dark){{pre *{{color:inherit}}{dark}}}",
        code=highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)),
        value=value._repr_html_(),
    )


def take(browser: Browser, page: Path, name: str, selector: str | None, width: int) -> None:
    """Pictures of a page, or of an element of it, in light and in dark."""
    for scheme in ("light", "dark"):
        camera = Camera(browser, width=width, height=680, scale=1.6, scheme=scheme)
        (IMAGES / f"{name}-{scheme}.png").write_bytes(camera.picture(page, selector, MARGIN))


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, open_chromium() as browser:
        folder = Path(name)
        demo = make_demo(folder)
        take(browser, demo / "report.html", "report", None, 1060)
        take(browser, demo / "report.html", "report-domains", "#domains", 1060)
        for cell, source in CELLS.items():
            page = folder / f"{cell}.html"
            page.write_text(notebook(source), encoding="utf-8")
            take(browser, page, f"notebook-{cell}", "body", 860)
        (IMAGES / "terminal.svg").write_text(terminal(demo / "texts.jsonl"), encoding="utf-8")
    for path in sorted(IMAGES.iterdir()):
        print(f"{path.stat().st_size / 1000:6.0f} kB  {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
