"""AttentionInfluence on CPUs: how much a text leans on a model's retrieval heads.

A small pretrained language model reads each document twice, once as it is and
once with its retrieval heads masked; the relative rise of the loss is the
score (Hua et al. 2025, arXiv 2505.07293).

    import attninfluence as ai
    model = ai.load()                          # the model bundled with the package
    heads = ai.find_retrieval_heads(model)
    result = ai.score(texts, model=model, heads=heads)
    result.score, result.base_loss, result.ref_loss

Names are imported on first use, so that `import attninfluence` costs nothing
but this file.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from attninfluence.base.version import __version__

if TYPE_CHECKING:
    from attninfluence._core import ModelError
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model
    from attninfluence.model.opening import load
    from attninfluence.retrieval.find import find_retrieval_heads
    from attninfluence.scores.scores import Scores
    from attninfluence.scoring.batches import score
    from attninfluence.scoring.scorer import Scorer

__all__ = [
    "HeadScores",
    "Model",
    "ModelError",
    "Scorer",
    "Scores",
    "__version__",
    "find_retrieval_heads",
    "load",
    "score",
]

_HOME = {
    "HeadScores": "attninfluence.heads.head_scores",
    "Model": "attninfluence.model.model",
    "ModelError": "attninfluence._core",
    "Scorer": "attninfluence.scoring.scorer",
    "Scores": "attninfluence.scores.scores",
    "find_retrieval_heads": "attninfluence.retrieval.find",
    "load": "attninfluence.model.opening",
    "score": "attninfluence.scoring.batches",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'attninfluence' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
