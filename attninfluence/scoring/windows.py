"""How a document longer than the window is cut, and which window scores which token.

METHOD.md section 4. With a window of 4 tokens, a document of 9 and no BOS ('.' is
read as context, a digit is the token scored):

    position     0 1 2 3 4 5 6 7 8
    truncate     . 1 2 3
    chunk        . 1 2 3
                         . 5 6 7
                                 (8 alone has no context: not scored)
    stride=2     . 1 2 3
                     . . 4 5
                         . . 6 7
                             . . 8

With a BOS, `chunk` puts one before each window, so a window's first token is scored.
"""

from __future__ import annotations

from typing import NamedTuple

POLICIES = ("truncate", "chunk", "stride")


class Window(NamedTuple):
    """Tokens `start` to `stop` of a document, read as one piece.

    With `prepend_bos` the document's BOS comes before them. `first_scored` counts
    from the first token read, a prepended BOS included.
    """

    start: int
    stop: int
    first_scored: int
    prepend_bos: bool


def plan_windows(
    n_tokens: int, max_length: int, policy: str, stride: int | None = None, n_bos: int = 0
) -> list[Window]:
    """The windows that read a document of `n_tokens` tokens (METHOD.md section 4).

    `n_tokens` counts the `n_bos` BOS tokens at its start; no window reads more than
    `max_length` tokens, any prepended BOS included. `stride` (policy "stride" only)
    is the overlap of neighbouring windows in tokens; None is half a window. Each
    token is scored in at most one window, the windows come in token order, and
    a window that would score nothing is left out. ValueError for lengths that
    leave no room.
    """
    check_window(max_length, policy, stride, n_bos)
    if n_tokens <= max_length or policy == "truncate":
        stop = min(n_tokens, max_length)
        return [Window(0, stop, 1, False)] if stop > 1 else []
    if policy == "chunk":
        return _chunks(n_tokens, max_length, n_bos)
    return _strides(n_tokens, max_length, max_length // 2 if stride is None else stride)


def check_window(max_length: int, policy: str, stride: int | None, n_bos: int) -> None:
    """ValueError, with a sentence, for a window that cannot be."""
    if policy not in POLICIES:
        raise ValueError(f"long must be one of {', '.join(POLICIES)}, got {policy!r}")
    if max_length < 2 or max_length <= n_bos:
        least = max(2, n_bos + 1)
        raise ValueError(f"max_length must be at least {least} tokens, got {max_length}")
    if stride is None:
        return
    if policy != "stride":
        raise ValueError(f"stride={stride} needs long='stride', got long={policy!r}")
    if not 1 <= stride < max_length:
        raise ValueError(
            f"stride must be at least 1 and less than max_length={max_length}, got {stride}"
        )


def _chunks(n_tokens: int, max_length: int, n_bos: int) -> list[Window]:
    """Consecutive windows; the first holds the document's own BOS."""
    windows = [Window(0, max_length, 1, False)]
    first_scored = max(n_bos, 1)
    for start in range(max_length, n_tokens, max_length - n_bos):
        stop = min(n_tokens, start + max_length - n_bos)
        if n_bos + stop - start > first_scored:
            windows.append(Window(start, stop, first_scored, n_bos > 0))
    return windows


def _strides(n_tokens: int, max_length: int, stride: int) -> list[Window]:
    """Windows that overlap by `stride` tokens, until one reaches the end."""
    windows = [Window(0, max_length, 1, False)]
    while windows[-1].stop < n_tokens:
        start = windows[-1].stop - stride
        windows.append(Window(start, min(n_tokens, start + max_length), stride, False))
    return windows
