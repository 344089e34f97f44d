"""What differs between two descriptions of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SHOWN = 80  # characters of a value
MOST = 8  # differences that are told


class Difference(NamedTuple):
    """A value that differs, by the keys that lead to it: ``scoring.mask``."""

    name: str
    there: Any
    here: Any


def differences(there: Any, here: Any, name: str = "") -> list[Difference]:
    """The values that differ; a key that is missing has the value None.

    Values are those of JSON. Objects are compared key by key, everything else as a whole.
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        found: list[Difference] = []
        for key in dict.fromkeys((*there, *here)):
            inner = f"{name}.{key}" if name else str(key)
            found += differences(there.get(key), here.get(key), inner)
        return found
    if there == here and type(there) is type(here):
        return []
    return [Difference(name, there, here)]


def without_kernel(found: Sequence[Difference]) -> list[Difference]:
    """Those that are left when kernels, which differ in the last bits of a score, may differ."""
    return [one for one in found if one.name != "scoring.kernel"]


def with_count(scoring: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run; one that had no choice of `count` counted whole documents."""
    return {"count": "document", **scoring}


def in_words(found: Sequence[Difference], there: str = "there", here: str = "here") -> str:
    """``scoring.mask: 'uniform' there, 'zero' here; ...``, at most MOST of them."""
    words = [f"{name}: {_short(a)} {there}, {_short(b)} {here}" for name, a, b in found[:MOST]]
    more = len(found) - MOST
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
