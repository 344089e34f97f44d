"""Arguments that count something or number it."""

from __future__ import annotations

import contextlib
import operator
from typing import Any


def as_whole_number(name: str, value: Any) -> int:
    """`value` as an int; TypeError, naming it, for what is no integer (1.5, "8", True)."""
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise TypeError(f"{name} must be an integer, got {value!r}")
