"""JSON that somebody else may have written, read to a size and a depth.

Every JSON file that the package reads goes through here, but for the lines of documents
(`attninfluence.corpus.jsonl`), and each reader gives what is refused its own kind of error.
"""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from attninfluence.base.regular_file import UnreadableFileError, read_regular_file

MOST_BYTES = 256 << 20  # the largest tokenizer.json in use has some 35 MB
MOST_OWN_BYTES = 1 << 30  # of what this package writes, which may list millions of files
MOST_DEPTH = 64


class JSONError(ValueError):
    """What was read is not JSON, or not JSON to be read; the message does not name the file."""


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value


# Hooks that refuse what JSON does not define and what no file of this package has.
STRICT: dict[str, Any] = {
    "object_pairs_hook": _unique_names,
    "parse_constant": _refuse_constant,
    "parse_float": _finite,
}


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """The value of a JSON text; JSONError where `json.loads` fails or it nests too deeply.

    hooks: those of `json.loads`, STRICT for some; what nests within objects of another type than
    dict is not looked into.
    """
    try:
        with _collector_paused():
            value = _loads(text, hooks)
            _check_depth(value)
    except RecursionError:
        raise _too_deep() from None
    return value


def _loads(text: str | bytes, hooks: dict[str, Any]) -> Any:
    try:
        return json.loads(text, **hooks)
    except ValueError as error:
        raise JSONError(f"not valid JSON ({error})") from error


def parse_json_object(text: str | bytes, **hooks: Any) -> dict[str, Any]:
    """The object of a JSON text, as `parse_json`; JSONError for another value."""
    value = parse_json(text, **hooks)
    if not isinstance(value, dict):
        raise JSONError(f"expected a JSON object, found {json_kind(value)}")
    return value


def read_json_object(
    path: str | os.PathLike[str], most_bytes: int | None = None, **hooks: Any
) -> dict[str, Any]:
    """The object in a JSON file, in UTF-8. Raises JSONError, and OSError as `open` does.

    most_bytes: None is MOST_BYTES.
    """
    try:
        data = read_regular_file(path, MOST_BYTES if most_bytes is None else most_bytes)
        return parse_json_object(data, **hooks)
    except UnreadableFileError as error:
        raise JSONError(str(error)) from None


def json_kind(value: Any) -> str:
    """What JSON calls a value, for messages."""
    if value is None:
        return "null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "an object")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A value of JSON has no circles, and looking for them while it grows takes half of the time.

    Of several threads the one that stopped the collector starts it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _check_depth(value: Any) -> None:
    """JSONError for what is nested more than MOST_DEPTH deep; without recursion."""
    level, depth = [value] if type(value) in (dict, list) else [], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise _too_deep()
        inner = chain.from_iterable(one.values() if type(one) is dict else one for one in level)
        level = [one for one in inner if type(one) is list or type(one) is dict]


def _too_deep() -> JSONError:
    return JSONError(f"not JSON to be read: it is nested more than {MOST_DEPTH} deep")
