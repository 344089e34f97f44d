"""What the status of a document says (METHOD.md section 4)."""

from __future__ import annotations

from collections.abc import Mapping

STATUS_MEANING = {
    "ok": "scored",
    "empty": "no text, or white space alone",
    "too_short": "fewer than two tokens",
    "bad_type": "not a text",
    "bad_utf8": "not valid UTF-8, and the run was strict about it",
    "tokenizer_error": "the tokenizer failed, or gave a token that the model lacks",
    "degenerate": "base loss below 0.01 nat, where a relative rise says nothing",
    "non_finite": "the model gave a loss that is no number",
}


def status_order(status: str) -> tuple[bool, str]:
    """What statuses are sorted by where they are listed: ok first, the others by name."""
    return status != "ok", status


def status_lines(counts: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """Each status with how often it is there and what it says, in the order of a list."""
    names = sorted(counts, key=status_order)
    return [(name, counts[name], STATUS_MEANING.get(name, "")) for name in names]
