"""Shapes of JSON values: what they let through, and the sentence for what they do not."""

from __future__ import annotations

from typing import Any

import pytest

from attninfluence.base.json_shapes import (
    Flag,
    ListOf,
    MapOf,
    Name,
    Number,
    Object,
    OrNull,
    Shape,
    ShapeError,
    Text,
    Whole,
)

FILE = Object({"file": Name(), "rows": Whole(0, 9)}, {"digest": Text("[0-9a-f]+", "a digest")})


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (Whole(), 0),
        (Whole(-1, 1), -1),
        (Number(), 1e100),
        (Number(), 3),
        (Flag(), False),
        (Text(), "\ud800"),
        (Name(), "a\udcff"),
        (OrNull(Whole()), None),
        (ListOf(Whole(), 2), [1, 2]),
        (MapOf(Whole(), Text("[a-z]", "a letter")), {"a": 1}),
        (FILE, {"file": "a", "rows": 1, "more": [{}]}),
        (FILE, {"file": "a", "rows": 1, "digest": "0f"}),
    ],
)
def test_what_a_value_may_be(shape: Shape, value: Any) -> None:
    shape.check(value)


@pytest.mark.parametrize(
    ("shape", "value", "told"),
    [
        (Whole(0, 9), True, "it must be a whole number from 0 to 9, found true"),
        (Whole(0, 9), 10, "it must be a whole number from 0 to 9, found 10"),
        (Whole(0, 9), 1.0, "it must be a whole number from 0 to 9, found 1.0"),
        (Number(0, 1), float("nan"), "it must be a number from 0 to 1, found NaN"),
        (Number(), 1e101, "it must be a number from -1e+100 to 1e+100, found 1e+101"),
        (Flag(), 0, "it must be true or false, found 0"),
        (Text(), None, "it must be a string, found null"),
        (Text("a", "an a"), "x" * 99, f'it must be an a, found "{"x" * 58}…'),
        (Name(), "", 'it must be the name of a file, found ""'),
        (Name(), "a\0", r'it must be the name of a file, found "a\u0000"'),
        (Name(), "\ud800", r'it must be the name of a file, found "\ud800"'),
        (OrNull(Flag()), [], "it must be true or false, found a list of 0"),
        (ListOf(Whole(), 2), [1], "it must be a list of 2, found a list of 1"),
        (ListOf(FILE), {}, "it must be a list, found an object of 0"),
        (MapOf(Whole()), [], "it must be an object, found a list of 0"),
        (
            Object({"a": MapOf(Whole(0, 1), Text("[a-z]", "a letter"))}),
            {"a": {"b": 1, "1": 1}},
            'a name in a must be a letter, found "1"',
        ),
        (Object({"a": ListOf(FILE)}), {"a": [{"file": "x"}]}, "a[0].rows is missing"),
        (
            Object({"a": MapOf(ListOf(FILE))}),
            {"a": {"b": [{"file": "x", "rows": 1, "digest": 5}]}},
            "a.b[0].digest must be a digest, found 5",
        ),
    ],
)
def test_what_it_may_not_be_is_told_by_its_place(shape: Shape, value: Any, told: str) -> None:
    with pytest.raises(ShapeError) as found:
        shape.check(value)
    assert str(found.value) == told
