"""Text that came from outside, made valid Unicode."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def as_text(value: object) -> tuple[str | None, bool]:
    """(text, whether something was replaced by U+FFFD); (None, False) for no text.

    str and bytes (UTF-8) are text. Nothing else is turned into text: the string "nan"
    has a loss, a missing value has none. A lone surrogate becomes U+FFFD, a pair of them
    the character that it spells; offsets count the characters of what comes out.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8"), False
        except UnicodeDecodeError:
            return value.decode("utf-8", errors="replace"), True
    if not isinstance(value, str):
        return None, False
    if not _SURROGATE.search(value):
        return value, False
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), True


def printable(text: str | bytes) -> str:
    """`text` with what is not valid Unicode replaced by U+FFFD, so that UTF-8 can store it."""
    if isinstance(text, bytes):
        return text.decode("utf-8", "replace")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
