"""The tokenizer.ggml fields of a GGUF file, of the types and within the sizes expected of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attninfluence._core import ModelError, read_gguf
from attninfluence.tokenizer.json_files import MOST_IDS
from attninfluence.tokenizer.stored import MOST_PIECE, MOST_PIECES

# Of llama.cpp's token types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

# Tokens that are looked for in a text before all else; speech models have tens of thousands.
MOST_ADDED = 1 << 18

# The id of no token: -1 as llama.cpp's converter wrote it, in an unsigned number of 32 bits.
_NO_TOKEN = (1 << 32) - 1

_PREFIX = "tokenizer."
_SHOWN = 80  # characters of a name or token

Numbers = NDArray[Any]


class Fields:
    """What a GGUF file says of its tokenizer.

    path: the file, which every message names. Methods that read a field return None where the
    file does not have it, and raise ModelError where it is of another type or out of bounds.
    """

    def __init__(self, path: str | os.PathLike[str], metadata: Mapping[str, Any]) -> None:
        self.path = os.fspath(path)
        self._metadata = metadata

    def error(self, field: str, problem: str) -> ModelError:
        return ModelError(f"{self.path}: tokenizer.ggml.{field} {problem}")

    def text(self, field: str) -> str | None:
        value = self._get(field)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(field, "a string", value)

    def flag(self, field: str) -> bool | None:
        value = self._get(field)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong(field, "a boolean", value)

    def token_id(self, role: str, count: int) -> int | None:
        """The id of a token with a role, "bos", which is one of `count`; None where none has it."""
        field = f"{role}_token_id"
        value = self._get(field)
        if value in (None, _NO_TOKEN):
            return None
        if type(value) is not int:
            raise self._wrong(field, "a whole number", value)
        if not 0 <= value < count:
            raise self.error(field, f"is {value}, and the file has {count} tokens")
        return value

    def tokens(self) -> list[str]:
        """The tokens by id: distinct, and none of them empty.

        llama.cpp writes an empty token where a vocabulary has no text for an id; it gets a name.
        """
        tokens = self._strings("tokens", MOST_IDS)
        if not tokens:
            raise self.error("tokens", "is missing, or names no token")
        tokens = [text or f"[EMPTY_{at}]" for at, text in enumerate(tokens)]
        _check_sizes(self, tokens)
        if len(set(tokens)) < len(tokens):
            raise self.error("tokens", _twice(tokens, "the token"))
        return tokens

    def merges(self, most: int) -> list[str] | None:
        if self._get("merges") is None:
            return None
        merges = self._strings("merges", most)
        if len(set(merges)) < len(merges):
            raise self.error("merges", _twice(merges, "the merge"))
        return merges

    def types(self, count: int) -> NDArray[np.int64] | None:
        """int64[count]: the type of each token."""
        values = self._numbers("token_type", "iu", count)
        if values is None:
            return None
        wrong = np.flatnonzero((values < NORMAL) | (values > BYTE))
        if wrong.size:
            at = int(wrong[0])
            raise self.error("token_type", f"of token {at} is {values[at]}, expected 1 to 6")
        return values.astype(np.int64)

    def scores(self, count: int) -> NDArray[np.float64] | None:
        """float64[count]: the score of each token, all finite."""
        values = self._numbers("scores", "fiu", count)
        if values is None:
            return None
        scores = values.astype(np.float64)
        wrong = np.flatnonzero(~np.isfinite(scores))
        if wrong.size:
            at = int(wrong[0])
            raise self.error("scores", f"of token {at} is {scores[at]}, expected a finite number")
        return scores

    def table(self, field: str) -> bytes | None:
        """Bytes that a field keeps as an array of small numbers."""
        values = self._numbers(field, "iu", None)
        if values is None:
            return None
        if values.dtype.itemsize != 1:
            raise self.error(field, f"is an array of {values.dtype}, expected one of bytes")
        return values.tobytes()

    def digest(self) -> str:
        """SHA-256 of all that is said of the tokenizer, as 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for key in sorted(key for key in self._metadata if key.startswith(_PREFIX)):
            digest.update(_framed(key.encode()))
            for part in _encoded(self._metadata[key]):
                digest.update(_framed(part))
        return digest.hexdigest()

    def _get(self, field: str) -> Any:
        return self._metadata.get(f"{_PREFIX}ggml.{field}")

    def _wrong(self, field: str, expected: str, value: Any) -> ModelError:
        return self.error(field, f"is {_kind(value)}, expected {expected}")

    def _strings(self, field: str, most: int) -> list[str]:
        values = self._get(field)
        if values is None or (isinstance(values, np.ndarray) and not values.size):
            return []
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise self._wrong(field, "an array of strings", values)
        if len(values) > most:
            raise self.error(field, f"has {len(values)} entries, expected at most {most}")
        return values

    def _numbers(self, field: str, kinds: str, count: int | None) -> Numbers | None:
        values = self._get(field)
        if values is None:
            return None
        if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds:
            raise self._wrong(field, "an array of numbers", values)
        if count is not None and len(values) != count:
            raise self.error(field, f"has {len(values)} entries for {count} tokens")
        return values


def read_fields(path: str | os.PathLike[str]) -> Fields:
    """ModelError for what is no GGUF file; OSError for one that cannot be read."""
    return Fields(path, read_gguf(os.fspath(path))["metadata"])


def shown(text: str) -> str:
    """A token or a name of a file as a message has it."""
    return repr(text[:_SHOWN])


def _kind(value: Any) -> str:
    names = {str: "string", bool: "boolean", int: "whole number", float: "number"}
    if isinstance(value, list):
        return f"an array of {names[type(value[0])]}s" if value else "an empty array"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return f"a {names[type(value)]}"


def _check_sizes(fields: Fields, tokens: list[str]) -> None:
    sizes = [len(text.encode("utf-8", "surrogatepass")) for text in tokens]
    at = max(range(len(sizes)), key=sizes.__getitem__)
    if sizes[at] > MOST_PIECE:
        raise fields.error(
            "tokens", f"has a token of {sizes[at]} bytes, {at}, expected at most {MOST_PIECE}"
        )
    if sum(sizes) > MOST_PIECES:
        raise fields.error("tokens", f"has {sum(sizes)} bytes, expected at most {MOST_PIECES}")


def _twice(texts: list[str], what: str) -> str:
    seen: dict[str, int] = {}
    for at, text in enumerate(texts):
        if text in seen:
            return f"has {what} {shown(text)} twice, at {seen[text]} and {at}"
        seen[text] = at
    raise AssertionError("the texts are distinct")


def _encoded(value: Any) -> Iterator[bytes]:
    """A value of the metadata as bytes, which differ where values do."""
    if isinstance(value, np.ndarray):
        yield str(value.dtype).encode()
        yield value.tobytes()
    elif isinstance(value, list):
        yield b"list"
        for one in value:
            yield from _encoded(one)
    else:
        yield type(value).__name__.encode()
        yield str(value).encode("utf-8", "surrogatepass")


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8, "little") + part
