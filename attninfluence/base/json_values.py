"""JSON that somebody else may have written, read to a size and a depth.

Every JSON file that the package reads goes through here, but for the lines of documents
(`attninfluence.corpus.jsonl`), and each reader gives what is refused its own kind of error.
"""

from __future__ import annotations

import json
import os
from typing import Any

from attninfluence.base.regular_file import UnreadableFileError, read_regular_file

MOST_BYTES = 256 << 20  # the largest tokenizer.json in use has some 35 MB
MOST_DEPTH = 64


class JSONError(ValueError):
    """What was read is not JSON, or not JSON to be read; the message does not name the file."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, as `json.loads`; JSONError where that fails or nests too deeply."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise JSONError(f"not valid JSON ({error})") from None
    _check_depth(value)
    return value


def parse_json_object(text: str | bytes) -> dict[str, Any]:
    """The object of a JSON text, as `parse_json`; JSONError for another value."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise JSONError(f"expected a JSON object, found {json_kind(value)}")
    return value


def read_json_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file, in UTF-8. Raises JSONError, and OSError as `open` does."""
    try:
        return parse_json_object(read_regular_file(path, MOST_BYTES))
    except UnreadableFileError as error:
        raise JSONError(str(error)) from None


def json_kind(value: Any) -> str:
    """What JSON calls a value, for messages."""
    if value is None:
        return "null"
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "an object")


def _check_depth(value: Any) -> None:
    """JSONError for what is nested more than MOST_DEPTH deep; without recursion."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise _too_deep()
        level = [inner for outer in level if type(outer) in (dict, list) for inner in _inner(outer)]
        level = [inner for inner in level if type(inner) in (dict, list)]


def _inner(value: Any) -> Any:
    return value.values() if type(value) is dict else value


def _too_deep() -> JSONError:
    return JSONError(f"not JSON to be read: it is nested more than {MOST_DEPTH} deep")
