"""Every view and the report in a real browser: quiet, within the window, legible, reachable."""

from __future__ import annotations

from pathlib import Path

import pytest

from attninfluence.views.view import View
from tests.views.browser import Tab
from tests.views.view_catalogue import VIEWS, Entry

pytestmark = pytest.mark.full


@pytest.mark.parametrize("entry", VIEWS, ids=str)
def test_page(tab: Tab, tmp_path: Path, entry: Entry) -> None:
    made = entry.make(tmp_path)
    page = made
    if isinstance(made, View):
        page = tmp_path / "view.html"
        made.save(page)
    tab.go(page)
    faults = tab.faults()
    text = tab.page.evaluate("document.body.innerText")
    faults += [f"the text lacks {words!r}" for words in entry.says if words not in text]
    assert not faults, "\n".join(["", *faults])
