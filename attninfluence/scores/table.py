"""Scores as an Arrow table and as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from attninfluence.views.saving import null_for_nan

if TYPE_CHECKING:
    from attninfluence.scores.score_rows import ScoreRows
    from attninfluence.scores.token_losses import TokenLosses, TokenRows

SPAN_TYPE = pa.list_(
    pa.struct(
        [
            ("start", pa.int64()),
            ("stop", pa.int64()),
            ("n_scored", pa.int64()),
            ("base_loss", pa.float64()),
            ("ref_loss", pa.float64()),
            ("score", pa.float64()),
            ("control_loss", pa.float64()),
            ("control_score", pa.float64()),
        ]
    )
)


def to_table(scores: ScoreRows) -> pa.Table:
    """The columns of `scores`, NaN as null, its metadata as JSON in the schema."""
    columns = {
        name: pa.array(values, from_pandas=True) for name, values in scores.columns().items()
    }
    columns["status"] = pa.array(scores.status, pa.string())
    if scores.token_rows is not None:
        columns |= _token_columns(scores.token_rows)
    if scores.spans is not None:
        columns["spans"] = pa.array([list(map(_span, row)) for row in scores.spans], SPAN_TYPE)
    metadata = {"attninfluence": json.dumps(scores.metadata, sort_keys=True)}
    return pa.table(columns).replace_schema_metadata(metadata)


def to_token_table(tokens: TokenLosses) -> pa.Table:
    """The columns of `tokens`, one row a token, NaN as null."""
    columns = {
        name: pa.array(values, from_pandas=True) for name, values in tokens.columns().items()
    }
    if tokens.tokens is not None:  # typed where there is no token as well
        columns["token"] = columns["token"].cast(pa.string())
    return pa.table(columns)


def _token_columns(rows: Sequence[TokenRows]) -> dict[str, pa.Array]:
    names = ("token_base_loss", "token_ref_loss", "token_control_loss")
    n_readings = max((len(row.losses) for row in rows), default=2)
    columns = {"token_ids": pa.array([row.ids for row in rows], pa.list_(pa.int32()))}
    for reading, name in enumerate(names[:n_readings]):
        values = [row.losses[reading] for row in rows]
        columns[name] = pa.array(values, pa.list_(pa.float32()), from_pandas=True)
    return columns


def _span(span: Any) -> dict[str, Any]:
    return {name: null_for_nan(getattr(span, name)) for name in span.__slots__}
