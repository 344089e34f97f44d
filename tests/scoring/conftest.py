"""Fixtures of the tests of scoring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import attninfluence as ai


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> ai.Model:
    return ai.load(tiny_folder, threads=1)


@pytest.fixture(scope="module")
def short(llama_folder: Callable[..., Path]) -> ai.Model:
    """The same shape with a context of 32 tokens."""
    return ai.load(llama_folder(n_kv_heads=2, max_position_embeddings=32), threads=1)
