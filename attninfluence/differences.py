"""What differs between two descriptions of a run, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN = 80  # characters of a value


def differences(recorded: Any, given: Any, name: str = "") -> list[str]:
    """A line for each value that differs: ``scoring.mask: 'uniform' recorded, 'zero' given``.

    Values are those of JSON. Objects are compared key by key, everything else as a whole.
    """
    if isinstance(recorded, Mapping) and isinstance(given, Mapping):
        found: list[str] = []
        for key in dict.fromkeys((*recorded, *given)):
            inner = f"{name}.{key}" if name else str(key)
            found += differences(recorded.get(key), given.get(key), inner)
        return found
    if recorded == given and type(recorded) is type(given):
        return []
    return [f"{name}: {_short(recorded)} recorded, {_short(given)} given"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
