"""What is said of a regular expression is true of the engine that reads it."""

from __future__ import annotations

import functools
import itertools

import pytest

from attninfluence.tokenizer.patterns import Pattern, Unproven, literal
from tests.tokenizer import tokenizer_kinds
from tests.tokenizer.made_pipelines import DEEPSEEK, GPT4_POSSESSIVE, GPT4O

PATTERNS = [
    tokenizer_kinds.GPT4,
    tokenizer_kinds.QWEN2,
    GPT4O,
    GPT4_POSSESSIVE,
    DEEPSEEK,
    r"(?i:'s|[a-c])x?|\d{2}|(?:ab|b)+\s|[^\W\d]",
    r"a(?=b)|b(?!c)c?|(?>\s*)x|\x79|\u0078{2,}|[\t-\x{20}]+",
    r"x{2}?y|a{0,1}b|\.|[.\]\-]|c$",
]
CHARACTERS = [*"abcxXsSy'012 \t\n\r.,_-]", "é", "ſ", "ß", "日", "。", "\u0301", "\u00a0"]


@functools.cache
def engine(expression):
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(expression), "removed", invert=True)


@functools.lru_cache(maxsize=10_000)
def matches(expression, text):
    """(start, stop) of what the library finds."""
    return [span for _, span in engine(expression).pre_tokenize_str(text)]


@pytest.mark.parametrize("expression", PATTERNS)
def test_what_may_not_be_joined_never_is(expression):
    pattern = Pattern(expression)
    apart = [pair for pair in itertools.product(CHARACTERS, repeat=2) if not pattern.joins(*pair)]
    assert apart
    for (before, after), start in itertools.product(apart, ["", "a", "'", "1\n"]):
        text = start + before
        for end in ("", "b", "s "):
            left, right = matches(expression, text), matches(expression, after + end)
            moved = [(low + len(text), high + len(text)) for low, high in right]
            assert matches(expression, text + after + end) == [*left, *moved], text + after + end


@pytest.mark.parametrize("expression", PATTERNS)
def test_what_surely_begins_a_match_does(expression):
    pattern = Pattern(expression)
    sure = [char for char in CHARACTERS if pattern.begins_with(char)]
    for char, end in itertools.product(sure, ["", "a", " ", "\n", "x", "'s", "1"]):
        assert matches(expression, char + end)[0][0] == 0, char + end


def test_a_plain_string():
    pattern = literal("a|b")
    assert pattern.joins("a", "|") and pattern.takes("|") and not pattern.takes("c")
    assert not pattern.joins("a", "b") and not pattern.begins_with("a")


def test_case_that_is_ignored():
    pattern = Pattern("(?i:'s)")
    assert pattern.joins("'", "S") and pattern.joins("'", "ſ")
    assert not Pattern("'s").joins("'", "S")


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "a*",
        "a{5,0}",
        "a{2,1}?b",
        "(a|)",
        "^a",
        r"\bword",
        r"(?<=a)b",
        r"(?<name>a)",
        r"(a)\1",
        r"\p{Han}",
        r"\h",
        r"\X",
        "[[:alpha:]]",
        "[a&&b]",
        "[]a]",
        "(a",
        "a)",
        "[a",
        "a{",
        "(?i)a",
        "(?i:ß)",
        r"(?i:\p{L})",
    ],
)
def test_what_is_not_known_is_refused(expression):
    with pytest.raises(Unproven):
        Pattern(expression)


@pytest.mark.parametrize(
    "expression", ["(" * 100_000, "a?" * 20_000, "(?:a|b)*" * 5_000, r"\x{FFFFFF}", r"[\x{110000}]"]
)
def test_expressions_without_an_end(expression: str) -> None:
    with pytest.raises(Unproven):
        Pattern(expression)


def test_a_long_expression_is_not_read() -> None:
    """Its parts are joined one after the other, and each keeps what the ones before began with."""
    assert Pattern("a" * 4096).takes("a")
    for expression in ("a" * 4097, "(?i:[" + "ab" * 5000 + "])", "a{" + "9" * 5000 + "}"):
        with pytest.raises(Unproven, match="more than 4096 characters"):
            Pattern(expression)
