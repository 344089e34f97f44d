"""What JSON values must be: a shape says it of a value and of all that is in it.

RUN = Object({"rows": Whole()}, {"files": ListOf(Object({"file": Name()}))})
RUN.check(value)     ShapeError: files[3].file must be the name of a file, found -1
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from attninfluence.base.json_values import json_kind

MOST_COUNT = 1 << 53  # of anything: what JSON's numbers hold exactly
LARGEST = 1e100  # of a measured number: its square times any count is a number still
_SHOWN = 60  # characters of a value


class ShapeError(ValueError):
    """A value is not what it must be; the message names it by the keys that lead to it."""


class Shape(Protocol):
    """What a value must be."""

    def check(self, value: Any, name: str = "") -> None:
        """ShapeError, which calls the value `name`, for another one."""


def expect(holds: bool, name: str, expected: str, value: Any) -> None:
    """ShapeError with what was expected of the value `name`, and what it is, unless it holds."""
    if not holds:
        raise ShapeError(f"{name or 'it'} must be {expected}, found {_told(value)}")


def _told(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return f"{json_kind(value)} of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@dataclass(frozen=True)
class Whole:
    """A whole number of a range, both ends included."""

    low: int = 0
    high: int = MOST_COUNT

    def check(self, value: Any, name: str = "") -> None:
        if not (type(value) is int and self.low <= value <= self.high):
            expect(False, name, f"a whole number from {self.low} to {self.high}", value)


@dataclass(frozen=True)
class Number:
    """A number of a range, both ends included."""

    low: float = -LARGEST
    high: float = LARGEST

    def check(self, value: Any, name: str = "") -> None:
        if not (type(value) in (int, float) and self.low <= value <= self.high):
            expect(False, name, f"a number from {self.low:g} to {self.high:g}", value)


@dataclass(frozen=True)
class Flag:
    """true or false."""

    def check(self, value: Any, name: str = "") -> None:
        expect(isinstance(value, bool), name, "true or false", value)


@dataclass(frozen=True)
class Text:
    """A string; of a pattern, `words` say which."""

    pattern: str = ""
    words: str = "a string"

    def check(self, value: Any, name: str = "") -> None:
        holds = isinstance(value, str) and (not self.pattern or re.fullmatch(self.pattern, value))
        expect(bool(holds), name, self.words, value)


@dataclass(frozen=True)
class Name:
    """A name that a file or a folder can have, which may be bytes that are no UTF-8."""

    def check(self, value: Any, name: str = "") -> None:
        expect(isinstance(value, str) and _can_be_named(value), name, "the name of a file", value)


def _can_be_named(value: str) -> bool:
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return bool(value) and "\0" not in value


@dataclass(frozen=True)
class OrNull:
    """What the shape says, or null."""

    shape: Shape

    def check(self, value: Any, name: str = "") -> None:
        if value is not None:
            self.shape.check(value, name)


@dataclass(frozen=True)
class ListOf:
    """A list; of a stated length where there is one."""

    item: Shape
    length: int | None = None

    def check(self, value: Any, name: str = "") -> None:
        expect(isinstance(value, list), name, "a list", value)
        if self.length is not None:
            expect(len(value) == self.length, name, f"a list of {self.length}", value)
        for at, item in enumerate(value):
            self.item.check(item, f"{name}[{at}]")


@dataclass(frozen=True)
class MapOf:
    """An object of values that are alike, under any names, or names of a shape."""

    item: Shape
    key: Shape = field(default_factory=Text)

    def check(self, value: Any, name: str = "") -> None:
        expect(isinstance(value, dict), name, "an object", value)
        for key, item in value.items():
            self.key.check(key, f"a name in {name}")
            self.item.check(item, f"{name}.{key}")


@dataclass(frozen=True)
class Object:
    """An object with the fields that must be there and those that may; others are not looked at."""

    required: Mapping[str, Shape]
    optional: Mapping[str, Shape] = field(default_factory=dict)

    def check(self, value: Any, name: str = "") -> None:
        expect(isinstance(value, dict), name, "an object", value)
        start = f"{name}." if name else ""
        for key, shape in self.required.items():
            if key not in value:
                raise ShapeError(f"{start}{key} is missing")
            shape.check(value[key], start + key)
        for key, shape in self.optional.items():
            if key in value:
                shape.check(value[key], start + key)
