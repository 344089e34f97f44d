"""Makes the pictures of README and documentation, each by the command that it shows.

PYTHONPATH=. .venv-dev/bin/python tools/screenshots.py

docs/images/terminal.svg                  `score` and `select`, in a terminal of 80 columns
docs/images/report-light.png, -dark.png   the top of the report that `attninfluence demo` writes
docs/images/notebook-light.png, -dark.png cells of a notebook, with what their values show
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.pictures import Camera, open_chromium
from tools.terminal import prompt, run_in_terminal, screen_lines, terminal_svg

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
PROGRAM = (sys.executable, "-m", "attninfluence.cli")
SCHEMES = ("light", "dark")

COMMANDS = (
    "attninfluence score corpus/ -o scores/",
    "attninfluence select scores/ -o selected/ --fraction 0.2",
)
CELLS = (
    "import attninfluence as ai\n\nmodel = ai.load()\nai.find_retrieval_heads(model, samples=40)",
    "text = (\n"
    '    "Ann has 3 boxes of 4 pens. That makes 12 pens. She gives 5 of the 12 pens away, "\n'
    '    "so 7 of the 12 pens are left. Ben has 2 boxes of 6 pens. That makes 12 pens as well. "\n'
    '    "He gives none of the 12 pens away, so Ann has 7 pens and Ben has 12 pens."\n'
    ")\n"
    'ai.score([text], detail="token")[0]',
)
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
{code}
</style></head><body>{cells}</body></html>"""


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


def notebook() -> str:
    """A page of the cells with their values, each as it shows itself in HTML."""
    from pygments.formatters import HtmlFormatter

    dark = HtmlFormatter(style="github-dark", nobackground=True).get_style_defs("pre")
    code = HtmlFormatter(style="friendly", nobackground=True).get_style_defs("pre")
    code += f"@media(prefers-color-scheme:dark){{pre *{{color:inherit}}{dark}}}"
    names: dict[str, Any] = {}
    cells = [part for number, source in enumerate(CELLS, 1) for part in cell(source, number, names)]
    return NOTEBOOK.format(code=code, cells="".join(cells))


def cell(source: str, number: int, names: dict[str, Any]) -> Iterator[str]:
    """A cell's code and its last value, which is worked out among `names`."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    *before, last = ast.parse(source).body
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    value = eval(ast.unparse(last), names)
    code = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    yield f'<section><div class="prompt">[{number}]:</div><pre>{code}</pre></section>'
    yield f'<section><div class="prompt">[{number}]:</div>{value._repr_html_()}</section>'


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, open_chromium() as browser:
        folder = Path(name)
        demo = make_demo(folder)
        (IMAGES / "terminal.svg").write_text(terminal(demo / "texts.jsonl"), encoding="utf-8")
        page = folder / "notebook.html"
        page.write_text(notebook(), encoding="utf-8")
        for scheme in SCHEMES:
            camera = Camera(browser, width=900, height=880, scale=1.6, scheme=scheme)
            shot = camera.picture(demo / "report.html")
            (IMAGES / f"report-{scheme}.png").write_bytes(shot)
            shot = Camera(browser, scale=1.6, scheme=scheme).picture(page, "body")
            (IMAGES / f"notebook-{scheme}.png").write_bytes(shot)
    sizes = {path.name: path.stat().st_size for path in sorted(IMAGES.iterdir())}
    print(json.dumps(sizes, indent=2))


if __name__ == "__main__":
    main()
