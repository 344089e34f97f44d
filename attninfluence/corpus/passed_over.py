"""What the arguments of a command reach and is not read: counted and named."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MOST_NAMES = 20
MOST_SUFFIXES = 20

OTHER_KIND = "another kind of file"
NOT_NAMED = "read where an argument ends in the suffix, as in '*.json'"
DATASETS_CACHE = "a cache that datasets keeps beside its files"
HIDDEN = "a name that begins with . or _"
WRITTEN = "written by attninfluence"
OWN_OUTPUT = "the output of this very run"
LEADS_UP = "a link to a folder that it lies in"
SAME_FILE = "a link to a file that is read"
READ_ALREADY = "the same folder as one that is read"


class PassedOver:
    """The names that were passed over, by the reason."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Count `name`, once."""
        self._names.setdefault(reason, set()).add(name)

    def forget(self, is_read: Callable[[str], bool]) -> None:
        """Take out what another argument reads after all."""
        for reason, names in list(self._names.items()):
            self._names[reason] = {name for name in names if not is_read(name)}
            if not self._names[reason]:
                del self._names[reason]

    def summary(self) -> list[dict[str, Any]]:
        """A JSON object a reason: `reason`, `count`, and the first of the `names`.

        Of files of another kind also `suffixes`: how many there are of each, the most frequent.
        """
        return [
            {
                "reason": reason,
                "count": len(names),
                "names": sorted(names)[:MOST_NAMES],
                **({"suffixes": _suffixes(names)} if reason == OTHER_KIND else {}),
            }
            for reason, names in sorted(self._names.items())
        ]

    def __bool__(self) -> bool:
        return bool(self._names)

    def __str__(self) -> str:
        return "; ".join(map(passed_over_in_words, self.summary()))


def passed_over_in_words(entry: Mapping[str, Any]) -> str:
    """``passed over 3 (another kind of file; .md 2, .csv 1): a.csv, b.md, c.md``."""
    kinds = ", ".join(f"{name} {count:,}" for name, count in entry.get("suffixes", {}).items())
    why = entry["reason"] + (f"; {kinds}" if kinds else "")
    more = entry["count"] - len(entry["names"])
    names = ", ".join(entry["names"]) + (f" and {more:,} more" if more else "")
    return f"passed over {entry['count']:,} ({why}): {names}"


def _suffixes(names: Iterable[str]) -> dict[str, int]:
    counts = Counter(posixpath.splitext(name)[1].lower() or "no suffix" for name in names)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_SUFFIXES])
