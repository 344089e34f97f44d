"""Columns as a pandas DataFrame, where pandas is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


def to_frame(columns: Mapping[str, Any]) -> pandas.DataFrame:
    """A DataFrame of the columns; ImportError, saying so, without pandas."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas: pip install pandas") from error
    return pandas.DataFrame(dict(columns))
