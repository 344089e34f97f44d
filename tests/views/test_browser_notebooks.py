"""Views in a notebook's page, whose theme need not be the system's and whose styles reach in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from attninfluence.views.view import View
from tests.views.browser import Setting, Tab
from tests.views.view_catalogue import VIEWS, Entry

pytestmark = pytest.mark.full


@dataclass(frozen=True)
class Theme:
    """A notebook's theme, on a system that is set to the other one."""

    name: str
    body: str  # attributes of the page's body
    dark: bool

    def __str__(self) -> str:
        return self.name


THEMES = (
    Theme("JupyterLab dark", 'data-jp-theme-light="false"', True),
    Theme("JupyterLab light", 'data-jp-theme-light="true"', False),
    Theme("VS Code dark", 'class="vscode-body vscode-dark"', True),
    Theme("VS Code light", 'class="vscode-body vscode-light"', False),
    Theme("documentation dark", 'data-theme="dark"', True),
    Theme("documentation light", 'data-theme="light"', False),
)

# A notebook colours what is in a cell, and what JupyterLab says of tables outweighs one class.
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Notebook</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>
body{{margin:0;font:14px/1.6 sans-serif;color:{ink};background:{paper}}}
.rendered{{padding-right:20px}}
.rendered table{{margin:0 auto 1em;font-size:12px;table-layout:fixed;border:none}}
.rendered td,.rendered th,.rendered tr{{padding:.5em;vertical-align:middle;text-align:right;
line-height:normal;white-space:normal;max-width:none;border:none}}
.rendered tbody tr:nth-child(odd){{background:{paper}}}
.rendered tbody tr:nth-child(even){{background:{row}}}
.rendered a{{color:{link}}} .rendered p{{margin:0 0 1em}}
.rendered pre,.rendered code{{color:{ink};background:{paper}}}
</style></head>
<body {body}><main><h1>Notebook</h1><div class="rendered">{fragment}</div></main></body></html>"""
LIGHT = {"ink": "rgba(0,0,0,.87)", "paper": "white", "row": "#f5f5f5", "link": "#0d47a1"}
DARK = {"ink": "#fff", "paper": "#111", "row": "#212121", "link": "#64b5f6"}
LIGHTNESS = """() => {
  const [r, g, b] = getComputedStyle(document.querySelector(".ati-view")).backgroundColor
    .match(/[\\d.]+/g).map(Number);
  return (r + g + b) / 765;
}"""


def notebook(view: View, theme: Theme) -> str:
    colors = DARK if theme.dark else LIGHT
    return PAGE.format(fragment=view._repr_html_(), body=theme.body, **colors)


@pytest.mark.parametrize("entry", [entry for entry in VIEWS if not entry.is_page], ids=str)
def test_view_follows_the_theme(tab: Tab, tmp_path: Path, entry: Entry) -> None:
    made = entry.make(tmp_path)
    assert isinstance(made, View)
    faults = []
    for theme in THEMES:
        page = tmp_path / "notebook.html"
        page.write_text(notebook(made, theme), encoding="utf-8")
        tab.go(page)
        tab.measure("openAll")
        setting = Setting(400, "light") if theme.dark else Setting(1000, "dark")
        faults += [f"{theme}: {fault}" for fault in tab.legibility(setting)]
        if (tab.page.evaluate(LIGHTNESS) < 0.5) != theme.dark:
            faults.append(f"{theme}: the view has the system's colours")
        faults += [f"{theme}: {fault}" for fault in tab.measure("madeFromText") + tab.noise]
    assert not faults, "\n".join(["", *faults])
