"""What a regular expression can read one after another, worked out from its syntax.

A search is cut in two at a place of a text without a difference when no match can reach across it
and nothing that is decided before it looks at what stands behind. Both follow from one property,
whatever the engine tries first: *the expression has no way to read the character behind the place
directly after the one before it*. A reading that got past the place would have to do that; so
would a lookahead that sees what stands there. What the engine tests at the place then fails, as it
does at the end of a text. (Lookbehind and `^` look the other way and are refused.)

The syntax is that of Oniguruma, as far as published tokenizers use it. `Unproven` is raised for
the rest.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

# The White_Space property: `\s`.
WHITE_SPACE = frozenset(
    "\t\n\v\f\r \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000"
    + "".join(map(chr, range(0x2000, 0x200B)))
)

_CATEGORIES = (
    "L M N P S Z Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp".split()
)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_CODE = re.compile(r"x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})")
_BRACES = re.compile(r"\{(?=\d|,\d)(\d*)(,?)(\d*)\}")

# Far beyond those of published expressions.
_MOST_CHARACTERS = 1 << 12
_MOST_PAIRS = 1 << 16
_MOST_DEPTH = 64  # of groups within each other

_Test = Callable[[str], bool]


def is_several(char: str) -> bool:
    """Whether it equals several characters where case is ignored, as the sharp s does."""
    return len(char.casefold()) > 1


@functools.cache
def _several() -> tuple[str, ...]:
    return tuple(filter(is_several, map(chr, range(sys.maxunicode))))


class Unproven(ValueError):
    """Something of which it is not known whether a text can be cut."""


@dataclass(frozen=True, slots=True)
class _Class:
    """The characters that one place of an expression reads; under (?i) they are not quite known."""

    test: _Test
    ignores_case: bool

    def may(self, char: str) -> bool:
        """False only where it surely does not read the character."""
        return any(map(self.test, self._forms(char)))

    def must(self, char: str) -> bool:
        """True only where it surely reads the character."""
        return all(map(self.test, self._forms(char)))

    def _forms(self, char: str) -> tuple[str, ...]:
        if not self.ignores_case:
            return (char,)
        return (char, char.lower(), char.upper(), char.casefold())


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of an expression.

    first, last: what may be the first and the last character that it reads. passes: it may read
    nothing. empty: it can always match without reading anything. sure: one of these characters is
    enough for a match, whatever follows.
    """

    first: list[_Class] = field(default_factory=list)
    last: list[_Class] = field(default_factory=list)
    passes: bool = True
    empty: bool = True
    sure: list[_Class] = field(default_factory=list)


class Pattern:
    """An expression, read; Unproven for one that is not known here or may match nothing."""

    def __init__(self, expression: str) -> None:
        if len(expression) > _MOST_CHARACTERS:
            raise Unproven(f"an expression of more than {_MOST_CHARACTERS} characters")
        parser = _Parser(expression)
        self._whole = parser.read()
        self._pairs = parser.pairs
        self._classes = parser.classes
        if self._whole.passes:
            raise Unproven(f"{expression!r} may match without a character")

    def joins(self, before: str, after: str) -> bool:
        """Whether it may read, or look at, the character `after` directly after `before`."""
        return any(one.may(before) and other.may(after) for one, other in self._pairs)

    def takes(self, char: str) -> bool:
        """Whether the character may be part of a match."""
        return any(one.may(char) for one in self._classes)

    def begins_with(self, char: str) -> bool:
        """Whether there surely is a match that begins where this character stands."""
        return any(one.must(char) for one in self._whole.sure)


def literal(text: str) -> Pattern:
    """The pattern of a plain string."""
    return Pattern("".join(f"\\x{{{ord(char):X}}}" for char in text))


class _Parser:
    """Recursive descent over the alternatives, sequences and repeated atoms of an expression.

    pairs: what may be read one after the other. classes: all that is read.
    """

    def __init__(self, expression: str) -> None:
        self.text = expression
        self.at = 0
        self.depth = 0
        self.pairs: list[tuple[_Class, _Class]] = []
        self.classes: list[_Class] = []

    def read(self) -> _Part:
        part = self._alternatives(False)
        if self.at < len(self.text):
            raise self._unknown()
        return part

    def _unknown(self) -> Unproven:
        return Unproven(f"unknown in a regular expression: {self.text[self.at :][:20]!r}")

    def _peek(self, *wanted: str) -> str:
        """Which of these comes next, and is passed over; "" for none."""
        for one in wanted:
            if self.text.startswith(one, self.at):
                self.at += len(one)
                return one
        return ""

    def _alternatives(self, ignores_case: bool) -> _Part:
        parts = [self._sequence(ignores_case)]
        while self._peek("|"):
            parts.append(self._sequence(ignores_case))
        if len(parts) == 1:
            return parts[0]
        return _Part(
            first=[one for part in parts for one in part.first],
            last=[one for part in parts for one in part.last],
            passes=any(part.passes for part in parts),
            empty=any(part.empty for part in parts),
            sure=[one for part in parts for one in part.sure],
        )

    def _sequence(self, ignores_case: bool) -> _Part:
        parts = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self._repeated(ignores_case))
        joined = _Part()
        for part in parts:
            self._follow(joined.last, part.first)
            joined = _Part(
                first=joined.first + (part.first if joined.passes else []),
                last=part.last + (joined.last if part.passes else []),
                passes=joined.passes and part.passes,
                empty=joined.empty and part.empty,
            )
        needed = [part for part in parts if not part.empty]
        sure = needed[0].sure if len(needed) == 1 else []
        return _Part(joined.first, joined.last, joined.passes, joined.empty, sure)

    def _follow(self, last: Sequence[_Class], first: Sequence[_Class]) -> None:
        if len(self.pairs) + len(last) * len(first) > _MOST_PAIRS:
            raise Unproven("an expression with too many ways to read it")
        self.pairs += [(one, other) for one in last for other in first]

    def _repeated(self, ignores_case: bool) -> _Part:
        part = self._atom(ignores_case)
        while bounds := self._bounds():
            least, loops, gives_back = bounds
            if loops:
                self._follow(part.last, part.first)
            part = _Part(
                part.first,
                part.last,
                passes=part.passes or least == 0,
                # What gives nothing back may leave nothing for what comes after it.
                empty=(part.empty or least == 0) and gives_back,
                sure=part.sure if least == 1 else [],
            )
        return part

    def _bounds(self) -> tuple[int, bool, bool] | None:
        """(least, more than once, gives back) of a quantifier, if one comes next."""
        if found := _BRACES.match(self.text, self.at):
            if found[3] and int(found[3]) < int(
                found[1] or 0
            ):  # the engine takes them the other way
                raise self._unknown()
            self.at = found.end()
            most = found[3] if found[2] else found[1]
            # In Oniguruma x{2}? is the optional x{2}.
            least = 0 if self._peek("?") and not found[2] else int(found[1] or 0)
            return least, not most or int(most) > 1, True
        sign = self._peek("?", "*", "+")
        if not sign:
            return None
        return int(sign == "+"), sign != "?", self._peek("+", "?") != "+"

    def _atom(self, ignores_case: bool) -> _Part:
        if self._peek("("):
            return self._group(ignores_case)
        if self._peek("["):
            return self._one(self._set(), ignores_case)
        if self._peek("."):
            return self._one(lambda char: char != "\n", ignores_case)
        if self._peek("$"):  # looks at what comes next, whatever it is
            return _Part([self._class(lambda _: True, False)], empty=False)
        if self._peek("\\"):
            return self._one(self._escaped(), ignores_case)
        char = self.text[self.at]
        if char in "^?*+{":
            raise self._unknown()
        self.at += 1
        return self._one(lambda other: other == char, ignores_case)

    def _class(self, test: _Test, ignores_case: bool) -> _Class:
        if ignores_case and any(map(test, _several())):
            raise Unproven("a character that is several ones where case is ignored")
        self.classes.append(_Class(test, ignores_case))
        return self.classes[-1]

    def _one(self, test: _Test, ignores_case: bool) -> _Part:
        one = [self._class(test, ignores_case)]
        return _Part(one, one, passes=False, empty=False, sure=one)

    def _group(self, ignores_case: bool) -> _Part:
        kind = self._peek("?:", "?i:", "?=", "?!", "?>")
        if not kind and self.text.startswith("?", self.at):
            raise self._unknown()
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise Unproven("groups nested too deeply")
        part = self._alternatives(ignores_case or kind == "?i:")
        self.depth -= 1
        if not self._peek(")"):
            raise self._unknown()
        if kind in ("?=", "?!"):
            return _Part(part.first, empty=False)
        if kind == "?>":
            return _Part(part.first, part.last, part.passes, empty=False)
        return part

    def _set(self) -> _Test:
        """What stands in brackets, of which the first is passed over."""
        negated = bool(self._peek("^"))
        tests: list[_Test] = []
        while not self._peek("]"):
            if self.at >= len(self.text) or self.text.startswith(("[", "&&"), self.at):
                raise self._unknown()
            tests.append(self._item())
        if not tests:  # which engines read as a bracket of its own
            raise self._unknown()
        return lambda char: any(test(char) for test in tests) is not negated

    def _item(self) -> _Test:
        """A character, a range or a class of a set."""
        start = self.at
        low = self._set_char()
        if low is None:
            self.at = start + 1
            return self._escaped()
        if self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at):
            self.at += 1
            high = self._set_char()
            if high is None or self.text.startswith("[", self.at):
                raise self._unknown()
            return lambda char: low <= char <= high
        return lambda char: char == low

    def _set_char(self) -> str | None:
        """The one character that comes next in a set; None for a class of them."""
        if not self._peek("\\"):
            self.at += 1
            return self.text[self.at - 1 : self.at]
        return self._escaped_char()

    def _escaped_char(self) -> str | None:
        """The character behind a backslash; None, with nothing passed over, for a class."""
        if found := _CODE.match(self.text, self.at):
            code = int(found[1] or found[2] or found[3], 16)
            if code > sys.maxunicode:
                raise self._unknown()
            self.at = found.end()
            return chr(code)
        char = self.text[self.at : self.at + 1]
        if char in _CONTROLS or (char and not char.isalnum()):
            self.at += 1
            return _CONTROLS.get(char, char)
        return None

    def _escaped(self) -> _Test:
        char = self._escaped_char()
        if char is not None:
            return lambda other: other == char
        kind = self._peek("s", "S", "d", "D", "w", "W", "p", "P")
        test = self._property() if kind in ("p", "P") else _SHORT.get(kind.lower())
        if test is None:
            raise self._unknown()
        return (lambda other: not test(other)) if kind.isupper() else test

    def _property(self) -> _Test:
        for name in _CATEGORIES:
            for is_not in ("^", ""):
                if self._peek(f"{{{is_not}{name}}}"):
                    return lambda char: (
                        unicodedata.category(char).startswith(name) is not bool(is_not)
                    )
        raise self._unknown()


_SHORT: dict[str, _Test] = {
    "s": lambda char: char in WHITE_SPACE,
    "d": lambda char: unicodedata.category(char) == "Nd",
    "w": lambda char: unicodedata.category(char)[0] in "LMN" or unicodedata.category(char) == "Pc",
}
