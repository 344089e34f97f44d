"""Names of files as people type them."""

import os
from pathlib import Path

from attninfluence.base.paths import expand_home


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.chdir(tmp_path)
    assert expand_home("~/models/tiny") == "/home/somebody/models/tiny"
    assert expand_home(Path("~") / "x") == "/home/somebody/x"
    assert expand_home("models/~") == "models/~"
    assert expand_home("~no-such-user/x") == "~no-such-user/x"
    os.mkdir("~")
    assert expand_home("~") == "~"
    assert expand_home("~/x") == "/home/somebody/x"
