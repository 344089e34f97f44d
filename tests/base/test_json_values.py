"""JSON of others: its kind, its depth and its size, and files that are none."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

from attninfluence.base import json_values
from attninfluence.base.json_values import (
    MOST_DEPTH,
    STRICT,
    JSONError,
    parse_json,
    parse_json_object,
    read_json_object,
)


def nested(depth: int) -> str:
    """A value of so many containers, lists and objects in turns."""
    open_, close = "", ""
    for at in range(depth):
        open_ += '{"a":' if at % 2 else "["
        close = ("}" if at % 2 else "]") + close
    return f"{open_}1{close}"


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, "b"]}', b"\xef\xbb\xbf[]", "3", '"[[["'])
def test_values_are_those_of_json(text: str | bytes) -> None:
    values: dict[Any, Any] = {'{"a": [1, 2.5, null, "b"]}': {"a": [1, 2.5, None, "b"]}}
    values |= {b"\xef\xbb\xbf[]": [], "3": 3, '"[[["': "[[["}
    assert parse_json(text) == values[text]


@pytest.mark.parametrize(
    "text", ["", "{", '{"a" 1}', b"\xff", "1" * 5000, b'{"a": "\xff"}'], ids=lambda text: text[:8]
)
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(JSONError, match=r"^not valid JSON \("):
        parse_json(text)


def test_values_may_nest_to_a_stated_depth() -> None:
    parse_json(nested(MOST_DEPTH))
    with pytest.raises(JSONError, match="nested more than 64 deep"):
        parse_json(nested(MOST_DEPTH + 1))


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_deep_json_is_refused_whatever_the_interpreter_allows(depth: int) -> None:
    with pytest.raises(JSONError, match="nested more than 64 deep"):
        parse_json("[" * depth + "]" * depth)
    with pytest.raises(JSONError):
        parse_json('{"a":' * depth)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("null", "null"),
        ("true", "a boolean"),
        ("1", "a number"),
        ("1.5", "a number"),
        ('"a"', "a string"),
        ("[]", "a list"),
    ],
)
def test_another_value_than_an_object_is_named(text: str, kind: str) -> None:
    with pytest.raises(JSONError, match=f"expected a JSON object, found {kind}"):
        parse_json_object(text)


def test_a_file_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": "ä"}', encoding="utf-8")
    (tmp_path / "b.json").symlink_to("a.json")
    assert read_json_object(tmp_path / "b.json") == {"a": "ä"}


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, kind in ((tmp_path / "fifo", "a FIFO"), (tmp_path, "a folder")):
        with pytest.raises(JSONError, match=f"expected a regular file, found {kind}"):
            read_json_object(path)
    with pytest.raises(JSONError, match="expected a regular file, found a device"):
        read_json_object("/dev/zero")


def test_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json_object(tmp_path / "none.json")


def test_a_larger_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "MOST_BYTES", 1 << 20)
    path = tmp_path / "a.json"
    path.write_text("{}".rjust(1 << 20))
    assert read_json_object(path) == {}
    path.write_text("{}".rjust((1 << 20) + 1))
    with pytest.raises(JSONError, match="is larger than 1 MiB"):
        read_json_object(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": {"b": 1, "b": 1}}', "a name occurs twice in one object"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("-Infinity", "-Infinity is no JSON number"),
        ("[1e400]", "the number 1e400 is too large"),
        ("-1" + "0" * 400 + ".0", "the number -1000.* is too large"),
    ],
)
def test_strictly_json_has_a_name_once_and_numbers_that_are_numbers(text: str, told: str) -> None:
    parse_json(text)
    with pytest.raises(JSONError, match=rf"not valid JSON \({told}\)"):
        parse_json(text, **STRICT)


def test_more_may_be_read_where_more_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_text("{}" + " " * (1 << 20))
    monkeypatch.setattr(json_values, "MOST_BYTES", 1 << 20)
    with pytest.raises(JSONError, match="larger than 1 MiB"):
        read_json_object(tmp_path / "a.json")
    assert read_json_object(tmp_path / "a.json", 2 << 20) == {}


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_as_it_was(was_on: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    try:
        parse_json("[]")
        with pytest.raises(JSONError):
            parse_json("[")
        assert gc.isenabled() is was_on
    finally:
        gc.enable()
