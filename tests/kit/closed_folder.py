"""A folder that cannot be listed, for root neither."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest


def close_folder(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the system refuse to list folders of this name."""
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if os.path.basename(os.fsdecode(path)) == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
