"""Folders with tokenizers of every kind, made once for each file of tests."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tokenizer import tokenizer_kinds as kinds


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a kind."""

    @functools.cache
    def folder_of(kind: str) -> Path:
        return kinds.KINDS[kind](tmp_path_factory.mktemp("kind") / kind)

    return folder_of
