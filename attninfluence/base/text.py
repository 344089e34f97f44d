"""Text that came from outside, made valid Unicode."""

from __future__ import annotations

import codecs

# UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def marked_encoding(data: bytes) -> str | None:
    """``"utf-16"`` or ``"utf-32"`` where `data` begins with its byte order mark, else None."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def repaired(value: str | bytes) -> tuple[str, bool]:
    """Text that UTF-8 can store, and whether something was replaced for it.

    bytes are UTF-8; what is not becomes U+FFFD. So does a lone surrogate; a pair of them becomes
    the character that it spells. Bytes that begin with a byte order mark of UTF-16 or UTF-32 are
    read as that, and count as replaced. Offsets count the characters of what comes out.
    """
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8"), False
        except UnicodeDecodeError:  # as any mark of another encoding is
            return value.decode(marked_encoding(value) or "utf-8", errors="replace"), True
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
