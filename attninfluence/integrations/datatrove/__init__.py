"""Blocks for datatrove pipelines: score a corpus in many tasks, and keep the best of each domain::

    SCORES = [reader, AttentionInfluenceScorer(checkpoint_folder="checkpoint"),
              DomainQuantiles("quantiles"), writer]          # any number of tasks
    MERGE = [MergeQuantiles("quantiles")]                    # one task
    SELECT = [reader of the scored documents,
              AttentionInfluenceFilter("quantiles", fraction=0.2), writer]

`AttentionInfluenceScorer` annotates and drops nothing. Domains are ranked apart: their cuts are
known when all tasks have been scored, so selection is a second reading of the scored documents.
"""

from __future__ import annotations

try:
    import datatrove as _datatrove  # noqa: F401 - only whether it is there
except ImportError as error:
    raise ImportError(
        "attninfluence.integrations.datatrove needs datatrove: "
        "pip install 'attninfluence[datatrove]'"
    ) from error

from attninfluence.integrations.datatrove.checkpoint import CheckpointError
from attninfluence.integrations.datatrove.domains import QuantilesError
from attninfluence.integrations.datatrove.filter import AttentionInfluenceFilter
from attninfluence.integrations.datatrove.quantiles import DomainQuantiles, MergeQuantiles
from attninfluence.integrations.datatrove.scorer import AttentionInfluenceScorer

__all__ = [
    "AttentionInfluenceFilter",
    "AttentionInfluenceScorer",
    "CheckpointError",
    "DomainQuantiles",
    "MergeQuantiles",
    "QuantilesError",
]
