"""Names within an option: a=1,b=2 or a,b, or in JSON, as text or as @FILE, any names at all."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from attninfluence.base.json_values import parse_json
from attninfluence.base.paths import expand_home
from attninfluence.cli.numbers import positive

MOST_LETTERS = 64 << 20  # of a file: a million domains with long names
_JSON_STARTS = ("{", "[", "@")
_BUDGETS = """budgets like {"a, b": "1B"} or [{"domain": null, "tokens": "1B"}]"""


def budgets(texts: Iterable[str]) -> int | dict[str | None, int]:
    """A budget of tokens in all, or by domain, from what each --tokens says::

    50B                                  in all
    math=1B,code=2B                      by domain, the last = of an entry counts
    {"math, pure": "1B"}                 in JSON, names of any characters
    [{"domain": null, "tokens": "5K"}]   and documents without a domain
    @budgets.json                        a file of such JSON
    """
    texts = list(texts)
    if len(texts) == 1 and not texts[0].startswith(_JSON_STARTS) and not {*",="} & {*texts[0]}:
        return positive(texts[0])
    found: dict[str | None, int] = {}
    for text in texts:
        in_json = text.startswith(_JSON_STARTS)
        for name, amount in _in_json(text) if in_json else _in_a_list(text):
            if name in found:
                raise argparse.ArgumentTypeError(f"domain {name!r} has two budgets")
            found[name] = positive(amount)
    return found


def columns(text: str) -> list[str]:
    """Names of columns, from ``a,b`` or, names of any characters, a list in JSON or @FILE."""
    if not text.startswith(_JSON_STARTS):
        return [name for name in text.split(",") if name]
    value = _json(text)
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise argparse.ArgumentTypeError(f"""{text!r} is no list of names like ["a, b", "c"]""")
    return value


def _in_a_list(text: str) -> Iterator[tuple[str, str]]:
    for item in text.split(","):
        name, equals, amount = item.rpartition("=")
        if not equals:
            raise argparse.ArgumentTypeError(
                f"{item!r} names no domain; give one budget like 50B, or each as DOMAIN=1B (names"
                """ with a comma in JSON, like '{"a, b": "1B"}')"""
            )
        yield name, amount


def _in_json(text: str) -> Iterator[tuple[str | None, str]]:
    value = _json(text)
    if isinstance(value, _Object):
        value = [_Object([("domain", name), ("tokens", amount)]) for name, amount in value.pairs]
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError(f"{text!r} holds no {_BUDGETS}")
    for entry in value:
        pairs = entry.pairs if isinstance(entry, _Object) else []
        given = dict(pairs)
        name, amount = given.get("domain"), given.get("tokens")
        is_name = name is None or isinstance(name, str)
        is_entry = is_name and len(pairs) == len(given) == 2 and "domain" in given
        if not is_entry or not isinstance(amount, str):
            raise argparse.ArgumentTypeError(f"{text!r} holds no {_BUDGETS}")
        yield name, amount


class _Object:
    """An object of JSON with all of its pairs, as a name that comes twice is an error here."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _json(text: str) -> Any:
    """A JSON value, given as text or as @FILE; numbers as they are written."""
    try:
        if text.startswith("@"):
            with open(expand_home(text[1:]), encoding="utf-8-sig") as file:
                stored = file.read(MOST_LETTERS + 1)  # a device may never end
            if len(stored) > MOST_LETTERS:
                raise ValueError(f"it is larger than {MOST_LETTERS >> 20} MiB")
        else:
            stored = text
        return parse_json(stored, object_pairs_hook=_Object, parse_int=str, parse_float=str)
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r}: {error.strerror}; @ names a file of JSON (a name that begins with @ is"
            " given in JSON)"
        ) from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not valid JSON: {error.__cause__ or error} (a name that begins with {{ or"
            " [ is given in JSON as well)"
        ) from None
