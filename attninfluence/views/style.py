"""The one style sheet of all pieces: their colours in light and in dark, within class `ati`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attninfluence.views.palette import (
    DARK,
    FALL_DARK,
    FALL_LIGHT,
    LIGHT,
    RISE_DARK,
    RISE_LIGHT,
    SEQUENTIAL_DARK,
    SEQUENTIAL_LIGHT,
    STEPS,
)


def _variables(
    colors: dict[str, str],
    sequential: Iterable[tuple[str, str]],
    fall: Sequence[str],
    rise: Sequence[str],
) -> str:
    lines = [f"--{name}:{value};" for name, value in colors.items()]
    lines += [f"--q{i}:{back};--q{i}t:{front};" for i, (back, front) in enumerate(sequential)]
    lines += [f"--f{i}:{color};" for i, color in enumerate(fall, 1)]
    lines += [f"--r{i}:{color};" for i, color in enumerate(rise, 1)]
    return "".join(lines)


# How JupyterLab, VS Code and the pages of the documentation say which theme they show, which need
# not be the system's.
LIGHT_THEMES = ('[data-jp-theme-light="true"]', ".vscode-light", '[data-theme="light"]')
DARK_THEMES = ('[data-jp-theme-light="false"]', ".vscode-dark", '[data-theme="dark"]')

PIECES = """
.ati-view{background:var(--page);font:14px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
padding:.9rem 1.1rem;max-width:62rem;box-sizing:border-box}
main.ati-view{margin:0 auto;padding:2rem 1.2rem} body.ati{margin:0;background:var(--page)}
.ati svg{display:block;max-width:100%;height:auto;font:11px system-ui,sans-serif}
.ati svg text{fill:var(--quiet);font-variant-numeric:tabular-nums}
.ati svg .axis{stroke:var(--quiet);fill:none} .ati svg .grid{stroke:var(--rule);fill:none}
.ati svg .bar{fill:var(--bar)} .ati svg .chosen{fill:var(--accent)}
.ati svg .cut{stroke:var(--accent);stroke-width:1.5;stroke-dasharray:4 3}
.ati svg .control{fill:var(--control)}
.ati svg .band{fill:var(--control);fill-opacity:.18}
.ati svg .line{stroke:var(--control);stroke-width:1.75;fill:none;stroke-linejoin:round}
.ati svg .dot{fill:var(--control)} .ati svg .line.accented{stroke:var(--accent)}
.ati svg .dot.accented{fill:var(--accent)}
.ati svg text.strong{fill:var(--ink)} .ati svg text.accent{fill:var(--accent);font-weight:600}
.ati svg .outline{fill:none;stroke:var(--accent);stroke-width:2.5}
.ati svg .qn{fill:var(--nan)} .ati svg .unfilled{fill:var(--panel)}
.ati .tokens{overflow-y:clip;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4;
unicode-bidi:plaintext;
font:.84rem/1.75 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.ati .tokens span{border-radius:2px;padding:.12em 0;-webkit-box-decoration-break:clone;
box-decoration-break:clone}
.ati .tokens .end{font-size:.8em} .ati .tokens .none{color:var(--quiet)}
.ati svg .reach{stroke:var(--control);stroke-width:3;fill:none} .ati svg .point{fill:var(--ink)}
.ati svg .bracket{stroke:var(--accent);stroke-width:1.5;fill:none}
.ati svg .guide{stroke:var(--accent);stroke-opacity:.35;stroke-dasharray:2 3;fill:none}
.ati svg .frame{stroke:var(--accent);stroke-width:1.5;fill:none}
.ati .tokens .marked{text-decoration:underline 2px var(--accent);text-underline-offset:.25em}
.ati .tokens span[class] .end{color:inherit}
.ati .tokens .label{font:600 .72rem system-ui,sans-serif;color:var(--accent);margin:0 .35em}
.ati .tokens,.ati svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}
"""

# Text and tables of a view, which "&" stands for; the report has rules of its own. The class stands
# twice, so that these rules are stronger than what a notebook says of all tables of its cells.
VIEW = ".ati-view.ati-view"
VIEW_TEXT = """
& .wide{overflow-x:auto;margin:.6rem 0} & .wide svg{max-width:none}
& .wide:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
& h2{font:600 1.1rem/1.35 system-ui,sans-serif;margin:.1rem 0 .5rem;color:var(--ink)}
& h1{font:600 1.7rem/1.3 system-ui,sans-serif;margin:0 0 .6rem}
& h3{font:600 .95rem/1.35 system-ui,sans-serif;margin:1.2rem 0 .3rem;color:var(--ink)}
& h1,& h2,& h3,& p,& summary{overflow-wrap:anywhere}
& h1,& h2,& h3,& summary{max-width:100%}
& p{margin:.4rem 0;max-width:46rem} & .quiet{color:var(--quiet)}
& table{border-collapse:collapse;table-layout:auto;width:auto;margin:0;background:none;
font-size:.88rem;font-variant-numeric:tabular-nums;color:var(--ink)}
& thead{border:0} & tbody tr{background:none} & tr{border:0;border-top:1px solid var(--rule)}
& tr:first-child{border-top:0}
& th,& td{padding:.28rem 1rem .28rem 0;text-align:right;font-weight:400;line-height:1.4;
vertical-align:baseline;white-space:nowrap;border:0;max-width:none}
& thead th{font-size:.8rem;color:var(--quiet);white-space:normal;vertical-align:bottom;
border-bottom:1px solid var(--rule)}
& .left,& th[scope=row]{text-align:left}
& .text{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:12rem}
& .facts tr{border-top:0}
& .facts tbody+tbody tr:first-child{border-top:1px solid var(--rule)}
& .facts tr:first-child>*{padding-top:.5rem} & .facts tr:last-child>*{padding-bottom:.5rem}
& .facts th{color:var(--quiet);vertical-align:top}
& .facts th,& .facts td{padding-top:.1rem;padding-bottom:.1rem}
& td svg{vertical-align:middle}
""".replace("&", VIEW)

# What documents and sets of scores add.
DOCUMENT_TEXT = """
& *+h2{margin-top:1.5rem} & style+h2{margin-top:.1rem} & .lead{font-size:1.05em;max-width:none}
& .tokens{background:var(--panel);padding:.7rem .9rem;margin:.7rem 0;border-radius:4px}
& figure{margin:.6rem 0} & figcaption{font-weight:600;overflow-wrap:anywhere}
& .panels{display:grid;gap:.5rem 1.4rem;margin:.8rem 0;
grid-template-columns:repeat(auto-fill,minmax(min(100%,18rem),1fr))}
& .pair{display:grid;gap:.2rem 2rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}
& .pair section{min-width:0} & .pair h3{margin-top:.6rem}
& ol.documents{list-style:none;margin:0;padding:0}
& .documents li{padding:.4rem 0 .45rem;margin:0;border-top:1px solid var(--rule);
overflow-wrap:anywhere}
& .excerpt{margin:.2rem 0 0;font-size:.93em;unicode-bidi:plaintext}
& details{margin:.5rem 0} & summary{cursor:pointer;width:fit-content}
& summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
""".replace("&", VIEW)


def style() -> str:
    """The style sheet of all pieces: their colours in light and in dark, within class `ati`."""
    light = _variables(LIGHT, SEQUENTIAL_LIGHT, FALL_LIGHT, RISE_LIGHT)
    dark = _variables(DARK, SEQUENTIAL_DARK, FALL_DARK, RISE_DARK)
    steps = range(1, STEPS + 1)
    cells = "".join(
        f".ati svg .q{i}{{fill:var(--q{i})}}.ati svg text.q{i}t{{fill:var(--q{i}t)}}"
        f".ati .tokens .q{i}{{background:var(--q{i});color:var(--q{i}t)}}"
        for i in range(len(SEQUENTIAL_LIGHT))
    )
    signs = "".join(
        f".ati .{sign}{i}{{background:var(--{sign}{i})}}"
        f".ati svg .{sign}{i}{{fill:var(--{sign}{i})}}"
        for sign in "fr"
        for i in steps
    )
    light, dark = f"color-scheme:light;{light}", f"color-scheme:dark;{dark}"
    return (
        f".ati{{color:var(--ink)}}.ati,{_within(LIGHT_THEMES)}{{{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{.ati{{{dark}}}}}"
        f"@media screen{{{_within(DARK_THEMES)}{{{dark}}}}}"
        f"{PIECES}{VIEW_TEXT}{DOCUMENT_TEXT}{cells}{signs}"
    )


def _within(themes: Iterable[str]) -> str:
    return ",".join(f"{theme} .ati" for theme in themes)
