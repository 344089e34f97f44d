"""Text that came from outside, made valid Unicode."""

from __future__ import annotations


def repaired(value: str | bytes) -> tuple[str, bool]:
    """Text that UTF-8 can store, and whether something was replaced for it.

    bytes are UTF-8; what is not becomes U+FFFD. So does a lone surrogate; a pair of them becomes
    the character that it spells. Offsets count the characters of what comes out.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8"), False
        except UnicodeDecodeError:
            return value.decode("utf-8", errors="replace"), True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), True
    return value, False


def as_text(value: object) -> tuple[str | None, bool]:
    """`repaired(value)` of str and bytes; (None, False) for all else, which is no text.

    Nothing is turned into text: the string "nan" has a loss, a missing value has none.
    """
    return repaired(value) if isinstance(value, (str, bytes)) else (None, False)
