"""Fixtures of the tests of the core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attninfluence import _core
from tests.kit.parity import Opened


@pytest.fixture(scope="session")
def open_llama(llama_folder: Callable[..., Path]) -> Callable[..., Opened]:
    """Opens the model folder of the given options, once a session."""
    cache: dict[Path, Opened] = {}

    def make(**options: Any) -> Opened:
        from attninfluence.verify.reference import Reference  # torch is not for every test

        folder = llama_folder(tokenizer=False, **options)
        if folder not in cache:
            cache[folder] = Opened(folder, _core.Model(str(folder), "fp32"), Reference(folder))
        return cache[folder]

    return make
