"""The JSON files of a tokenizer, read and of the types that are expected of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attninfluence._core import ModelError
from attninfluence.base.json_values import (
    MOST_BYTES,
    STRICT,
    JSONError,
    json_kind,
    parse_json_object,
    read_json_object,
)
from attninfluence.base.regular_file import UnreadableFileError, read_regular_file

# Ids are below it. The core takes no model with a larger vocabulary (config.json's vocab_size).
MOST_IDS = 1 << 24

# A name and six properties for each of 300,000 added tokens; tokenizer.json may be larger.
MOST_SETTINGS = 64 << 20

_NAMED = tuple(f"{name}_token" for name in "bos eos unk sep pad cls mask".split())
_FLAGS = "add_bos_token add_prefix_space fix_mistral_regex legacy split_special_tokens".split()
_EXTRA = ("extra_special_tokens", "additional_special_tokens")
_PROPERTIES = "single_word lstrip rstrip normalized special".split()
_LFS_BEGINNING = b"version https://git-lfs.github.com/spec/"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when there is no file, ModelError when it is broken."""
    if not path.is_file():
        return {}
    check_is_there(path)
    try:
        return read_json_object(path, MOST_SETTINGS)
    except JSONError as error:
        raise ModelError(f"{path}: {error}") from None


def read_stored(path: Path) -> tuple[bytes, dict[str, Any]]:
    """A tokenizer.json as it lies there and as an object; ModelError when it is broken.

    A name that is given twice is refused: the library may take another one of the two.
    """
    data = read_bytes(path)
    try:
        return data, parse_json_object(data, **STRICT)
    except JSONError as error:
        raise ModelError(f"{path}: not a tokenizer that can be read ({error})") from None


def read_bytes(path: Path) -> bytes:
    """A regular file of a size that is to be read; ModelError for another."""
    check_is_there(path)
    try:
        return read_regular_file(path, MOST_BYTES)
    except UnreadableFileError as error:
        raise ModelError(f"{path}: {error}") from None


def check_is_there(path: Path) -> None:
    """ModelError for what stands in a clone for a file that Git LFS keeps elsewhere."""
    with path.open("rb") as file:
        if file.read(len(_LFS_BEGINNING)) == _LFS_BEGINNING:
            raise ModelError(
                f"'{path}' is a Git LFS pointer, not the file itself: run git lfs pull in its "
                "folder, or download it"
            )


def read_settings(folder: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """tokenizer_config.json or special_tokens_map.json, whose fields that are read have types."""
    path = Path(folder, name)
    settings = read_json(path)
    for field in _FLAGS:
        _check(path, field, settings.get(field), "a boolean")
    _check(path, "tokenizer_class", settings.get("tokenizer_class"), "a string")
    _check_list(path, "fast_tokenizer_files", settings.get("fast_tokenizer_files"))
    for field in _NAMED:
        _check_token(path, field, settings.get(field))
    for field in _EXTRA:
        _check(path, field, settings.get(field), "a list", "an object")
        for at, token in _items(settings.get(field) or []):
            check_token(path, f"{field}[{at!r}]", token)
    for field, value in settings.items():
        if field.endswith("_token") and isinstance(value, dict):
            check_token(path, field, value)
    if "added_tokens_decoder" in settings:
        _check_decoder(path, settings["added_tokens_decoder"])
    return settings


def read_added(folder: str) -> dict[str, int]:
    """added_tokens.json: ids by text."""
    path = Path(folder, "added_tokens.json")
    added = read_json(path)
    check_ids(path, added.items())
    return added


def read_vocab(path: Path) -> dict[str, int]:
    """vocab.json: ids by text."""
    try:
        vocab = read_json_object(path)
    except JSONError as error:
        raise ModelError(f"{path}: not a tokenizer that can be read ({error})") from None
    check_ids(path, vocab.items())
    return vocab


def check_ids(path: Path, ids: Iterable[tuple[str, Any]]) -> None:
    """ModelError, naming file, token and id, for what is no id below MOST_IDS."""
    for token, index in ids:
        if type(index) is not int or not 0 <= index < MOST_IDS:
            found = index if type(index) in (int, float) else json_kind(index)
            raise ModelError(
                f"{path}: expected the id of the token {token[:80]!r} to be a whole number from 0 "
                f"to {MOST_IDS - 1}, as no model has a larger vocabulary, found {found}"
            )


def expect(path: Path, field: str, value: Any, *kinds: str) -> None:
    """ModelError unless JSON calls the value one of `kinds`."""
    if json_kind(value) not in kinds:
        raise ModelError(
            f"{path}: expected {field} to be {' or '.join(kinds)}, found {json_kind(value)}"
        )


def check_token(path: Path, field: str, token: Any) -> None:
    """ModelError unless it is an added token's text, or an object with its properties."""
    expect(path, field, token, "a string", "an object")
    if isinstance(token, dict):
        expect(path, f"{field}.content", token.get("content"), "a string")
        for name in filter(token.__contains__, _PROPERTIES):
            expect(path, f"{field}.{name}", token[name], "a boolean")


def _check(path: Path, field: str, value: Any, *kinds: str) -> None:
    """As `expect`, of a field that may be absent or null."""
    if value is not None:
        expect(path, field, value, *kinds)


def _check_list(path: Path, field: str, value: Any) -> None:
    _check(path, field, value, "a list")
    for at, one in enumerate(value or []):
        expect(path, f"{field}[{at}]", one, "a string")


def _check_token(path: Path, field: str, token: Any) -> None:
    if token is not None:
        check_token(path, field, token)


def _items(values: list[Any] | dict[str, Any]) -> Iterable[tuple[Any, Any]]:
    return values.items() if isinstance(values, dict) else enumerate(values)


def _check_decoder(path: Path, decoder: Any) -> None:
    """added_tokens_decoder: tokens by id, which JSON writes as a string."""
    expect(path, "added_tokens_decoder", decoder, "an object")
    for index, token in decoder.items():
        if not (index.isascii() and index.isdigit() and len(index) < 20):
            raise ModelError(
                f"{path}: not a tokenizer that can be read (expected the names in "
                f"added_tokens_decoder to be ids, found {index[:80]!r})"
            )
        check_token(path, f"added_tokens_decoder[{index!r}]", token)
        text = token if isinstance(token, str) else token["content"]
        check_ids(path, [(text, int(index))])
