"""Names of files as people type them."""

import os
from pathlib import Path

from attninfluence.base.paths import expand_home


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere/else")
    monkeypatch.chdir(tmp_path)
    assert expand_home("~/models/tiny") == "/somewhere/else/models/tiny"
    assert expand_home(Path("~") / "x") == "/somewhere/else/x"
    assert expand_home("models/~") == "models/~"
    assert expand_home("~no-such-user/x") == "~no-such-user/x"
    os.mkdir("~")
    assert expand_home("~") == "~"
    assert expand_home("~/x") == "/somewhere/else/x"
