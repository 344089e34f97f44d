"""The columns of a score table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attninfluence.output.files import OutputError

if TYPE_CHECKING:
    import pyarrow as pa


def score_schema(
    control: bool = False, text: bool = False, kept: Mapping[str, pa.DataType] | None = None
) -> pa.Schema:
    """The columns of a score table (docs/OUTPUT.md); null where there is no number.

    `control` adds the losses under the control heads, `text` the document itself, `kept` columns
    of the input. OutputError when one of these has the name of another column.
    """
    import pyarrow as pa

    fields = [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("n_tokens", pa.int64(), nullable=False),
        pa.field("n_scored", pa.int64(), nullable=False),
        pa.field("base_loss", pa.float64()),
        pa.field("ref_loss", pa.float64()),
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("truncated", pa.bool_(), nullable=False),
        pa.field("repaired", pa.bool_(), nullable=False),
        pa.field("partly_counted", pa.bool_(), nullable=False),
    ]
    if control:
        fields += [pa.field("control_loss", pa.float64()), pa.field("control_score", pa.float64())]
    if text:
        fields.append(pa.field("text", pa.large_string()))
    for name, kind in (kept or {}).items():
        if name in [field.name for field in fields]:
            raise OutputError(
                f"the column {name!r} cannot be kept: the scores have one of that name"
            )
        fields.append(pa.field(name, kind))
    return pa.schema(fields)
