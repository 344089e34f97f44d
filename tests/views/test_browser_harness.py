"""The browser's measures see what they are for: each fault is planted in a page that is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.views.browser import Tab

pytestmark = pytest.mark.full

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sound</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>{style} body{{margin:1em}} .wide{{overflow-x:auto}}
@media screen and (prefers-color-scheme:dark){{svg text{{fill:#eee}} .cell{{fill:#333}}}}</style>
</head><body><main><h1>Sound</h1><p><a href="#end">To the end</a></p>
<details><summary>More</summary><p>Not much.</p></details>
<svg width="200" height="60" role="img" aria-label="One cell"><rect class="cell" width="200"
height="60" fill="#ddd"/><text x="20" y="35">label</text></svg>
<div class="wide" tabindex="0" role="region" aria-label="Wide"><div style="width:900px">wide</div>
</div>{body}<p id="end">End.</p></main></body></html>"""

DRAWING = '<svg width="200" height="60" role="img" aria-label="Drawing">%s</svg>'
PLANTED = {
    "nothing": ("", "", ""),
    "faint text": ("#end{color:#888}", "", '<p> "End." has a contrast of'),
    "faint in the dark": (
        "@media screen and (prefers-color-scheme:dark){#end{color:#555}}",
        "",
        "screen 1280 dark: faintText",
    ),
    "faint in print": ("@media print{#end{color:#aaa}}", "", "print 700 light: faintText"),
    "faint by opacity": ("#end{opacity:.5}", "", "faintText"),
    "faint behind a closed summary": ("details p{color:#888}", "", '"Not much." has a contrast'),
    "text on an image": ("#end{background:linear-gradient(#fff,#000)}", "", "contrast of 0.00"),
    "faint generated text": ('#end::after{content:"after";color:#888}', "", "faintText"),
    "faint text in a drawing": (".cell{fill:#777 !important}", "", '<text> "label" has a contrast'),
    "faint text on a path": (
        "",
        DRAWING % '<path d="M0 0H200V60H0Z" fill="#777"/><text x="9" y="35">on it</text>',
        '<text> "on it" has a contrast',
    ),
    "text half beside its cell": (
        "",
        DRAWING % '<rect width="30" height="60" fill="#555"/><text x="9" y="35">half of it</text>',
        '<text> "half of it" has a contrast',
    ),
    "a wide page": ("", '<div style="width:900px">too wide</div>', "the page is 9"),
    "a word too long": ("", f"<p>{'w' * 200}</p>", "screen 400 dark: overflow"),
    "cut text": ("#end{width:3ch;overflow:hidden;white-space:nowrap}", "", "is cut at"),
    "text beyond its drawing": (
        "", DRAWING % '<text x="180" y="35">beyond</text>', '"beyond" leaves its drawing',
    ),
    "text over text": (
        "",
        DRAWING % '<text x="9" y="35">first</text><text x="20" y="37">second</text>',
        '"first" and <text> "second" overlap',
    ),
    "small text": ("#end{font-size:6px}", "", "is 6.0 px high"),
    "a drawing shrunk": (
        "svg[viewBox]{max-width:100%;height:auto}",
        '<svg viewBox="0 0 2000 20" role="img" aria-label="Row"><text y="15">row</text></svg>',
        "px high",
    ),
    "a region without a label": (
        "", '<div class="wide" tabindex="0">x</div>', "is no labelled region",
    ),
    "scrolling without the keyboard": (
        "",
        '<div style="overflow:auto"><div style="width:999px">x</div></div>',
        "is no labelled region",
    ),
    "focus unseen": ("a:focus{outline:none}", "", '"To the end": its focus does not show'),
    "focus outside": ("a{position:absolute;left:-999px}", "", "outside the window when focused"),
    "a link out of reach": ("", '<p inert><a href="#end">x</a></p>', "is not reached by Tab"),
    "a drawing without a label": ("", '<svg role="img"></svg>', "axe svg-img-alt"),
    "headings out of order": ("", "<h4>Fourth</h4>", "axe heading-order"),
    "an image from text": ("", "<img src='data:,' alt=''>", "made <img>"),
    "a handler from text": ("", "<p onclick='x'>p</p>", "has onclick"),
    "a request": ("", "<img src='beside.png' alt='beside'>", "request: file://"),
    "a style from the network": ("@import url(beside.css);", "", "request: file://"),
    "a warning": ("", "<script data-own>console.warn('take care')</script>", "warning: take care"),
    "an error": ("", "<script data-own>throw Error('broken')</script>", "error: broken"),
    "a dialog": ("", "<script data-own>alert('boo')</script>", "dialog: boo"),
    "a script from text": ("", "<script data-own>attacked=1</script>", "from a document ran"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_fault_is_found(tab: Tab, tmp_path: Path, name: str) -> None:
    style, body, told = PLANTED[name]
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(style=style, body=body), encoding="utf-8")
    tab.go(page)
    faults = tab.faults()
    if told:
        assert any(told in fault for fault in faults), "\n".join(["", *faults])
    else:
        assert not faults, "\n".join(["", *faults])
