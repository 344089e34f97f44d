"""The two published models that `make test-real` brings, opened once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import attninfluence as ai
from attninfluence.heads.stored import FOLDER
from tools.real_models import MODELS, REAL_MODELS, convert


class Real(NamedTuple):
    """One of them: its GGUF file, and its stored heads."""

    gguf: Path
    heads: ai.HeadScores

    @property
    def folder(self) -> Path:
        """The same as transformers reads it, dequantised to float32."""
        return convert(self.gguf)


@pytest.fixture(scope="session", params=REAL_MODELS)
def real(request: pytest.FixtureRequest) -> Real:
    path = MODELS / REAL_MODELS[request.param].file
    if not path.is_file():
        pytest.skip(f"{path.name} is not in build/models: `make test-real` brings it")
    return Real(path, ai.HeadScores.load(FOLDER / f"{path.stem}.json"))


@pytest.fixture(scope="session")
def opened(real: Real) -> Callable[[str], ai.Model]:
    """The model in a precision, opened once."""
    models: dict[str, ai.Model] = {}

    def load(precision: str) -> ai.Model:
        if precision not in models:
            models[precision] = ai.load(real.gguf, precision=precision)
        return models[precision]

    return load
