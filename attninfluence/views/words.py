"""Text made visible and escaped, and numbers as people read them.

Text from documents goes through `escape`, which also makes visible what would otherwise vanish or
rearrange the line, or cover the lines above and below it: control characters, direction overrides,
lone surrogates, marks by the dozen on one letter.
"""

from __future__ import annotations

import html
import math
import re
from fractions import Fraction

NO_DOMAIN = "(no domain)"
DOMAIN_CHARACTERS = 60

_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff]"
)
_MARK = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_TOO_MANY_MARKS = re.compile(f"(?<={_MARK * 4}){_MARK}+")  # no language needs as many


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"


def _counted(match: re.Match[str]) -> str:
    return f"\u27e8{plural(len(match.group()), 'more mark')}\u27e9"


def visible(text: str) -> str:
    """The text with each character that cannot be shown replaced by a sign that names it.

    Control characters other than tab and newline become control pictures; direction marks and
    overrides, zero-width spaces, byte order marks and lone surrogates become `⟨U+202E⟩`. Of the
    marks on a letter four are shown and the others counted. The result can always be encoded as
    UTF-8.
    """
    return _TOO_MANY_MARKS.sub(_counted, _UNSHOWABLE.sub(_picture, text))


def escape(text: str) -> str:
    """`visible(text)` escaped for HTML, in an element and in an attribute alike."""
    return html.escape(visible(text), quote=True)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters of the text; a shortened one ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def domain_name(name: str | None) -> str:
    """What a domain is called, of a long name the beginning."""
    return NO_DOMAIN if name is None else clip(name, DOMAIN_CHARACTERS)


def excerpt(text: str, limit: int) -> str:
    """The beginning of a text on one line: white space made single, at most `limit` characters."""
    stripped = text.lstrip()
    begins = stripped[: 8 * limit]  # of a long text no more than can matter
    line = " ".join(begins.split())
    return clip(line if len(begins) == len(stripped) else f"{line}…", limit)


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals and a true minus sign; "–" where there is none (None, NaN)."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{digits}f}"
    if text.startswith("-"):
        text = text[1:] if float(text.replace(",", "")) == 0 else "−" + text[1:]
    return text


def signed(value: float | None, digits: int = 3) -> str:
    """A number as `number` writes it, with a plus sign above zero: +0.120, −0.120, 0.000."""
    text = number(value, digits)
    is_above = value is not None and value > 0 and text.strip("0.,") != ""
    return f"+{text}" if is_above else text


def count(value: int) -> str:
    """A whole number with thousands separated: 12,345."""
    return f"{int(value):,}"


def plural(number: int, noun: str) -> str:
    """A count and its noun: 1 row, 2 rows."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def listed(numbers: list[int], most: int = 10) -> str:
    """The first of some numbers, and how many more there are: 3, 4 and 90 more."""
    first = ", ".join(map(str, numbers[:most]))
    return first + (f" and {len(numbers) - most} more" if len(numbers) > most else "")


def in_percent(share: Fraction) -> str:
    """A share in per cent without its sign and without needless zeros: 20, 12.5."""
    return f"{100 * float(share):.4g}"


def percent(part: float, whole: float, digits: int = 1) -> str:
    """A share in per cent; "–" where the whole is nothing."""
    return f"{100 * part / whole:.{digits}f} %" if whole else "–"
