"""Which window scores which token: METHOD.md section 4, against a token-by-token reading of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attninfluence.scoring.windows import Window, plan_windows


def contexts_by_plan(n, max_length, policy, stride, n_bos):
    """{scored token: the tokens it sees, -1 for a prepended BOS token}, from the windows."""
    seen = {}
    for window in plan_windows(n, max_length, policy, stride, n_bos):
        bos = [-1] * n_bos if window.prepend_bos else []
        read = bos + list(range(window.start, window.stop))
        assert 2 <= len(read) <= max_length
        for place in range(window.first_scored, len(read)):
            assert read[place] not in seen, "scored twice"
            seen[read[place]] = read[:place]
    assert list(seen) == sorted(seen)
    return seen


def contexts_by_rule(n, max_length, policy, stride, n_bos):
    """The same, one token at a time from METHOD.md's sentences."""
    seen = {}
    for token in range(1, n):
        context = context_of(token, max_length, policy, stride, n_bos)
        if context:
            seen[token] = context
    return seen


def context_of(token, max_length, policy, stride, n_bos):
    if policy == "truncate":
        return list(range(token)) if token < max_length else []
    if token < max_length:
        return list(range(token))
    if policy == "chunk":
        room = max_length - n_bos
        start = max_length + (token - max_length) // room * room
        return [-1] * n_bos + list(range(start, token))
    start = 0
    while start + max_length <= token:
        start += max_length - stride
    return list(range(start, token))


@given(
    n=st.integers(0, 60),
    max_length=st.integers(4, 20),
    policy=st.sampled_from(["truncate", "chunk", "stride"]),
    stride=st.integers(1, 3),
    n_bos=st.integers(0, 2),
)
def test_windows_follow_the_rule_token_by_token(n, max_length, policy, stride, n_bos):
    stride = stride if policy == "stride" else None
    given_stride = stride or 0
    assert contexts_by_plan(n, max_length, policy, stride, n_bos) == contexts_by_rule(
        n, max_length, policy, given_stride, n_bos
    )


@given(n=st.integers(2, 60), max_length=st.integers(2, 20))
def test_the_default_overlap_is_half_a_window(n, max_length):
    half = max_length // 2
    assert plan_windows(n, max_length, "stride") == plan_windows(n, max_length, "stride", half)


def test_the_picture_of_the_docstring():
    assert plan_windows(9, 4, "truncate") == [Window(0, 4, 1, False)]
    assert plan_windows(9, 4, "chunk") == [Window(0, 4, 1, False), Window(4, 8, 1, False)]
    assert plan_windows(9, 4, "stride", 2) == [
        Window(0, 4, 1, False),
        Window(2, 6, 2, False),
        Window(4, 8, 2, False),
        Window(6, 9, 2, False),
    ]


def test_with_a_bos_chunks_score_every_token():
    windows = plan_windows(9, 4, "chunk", n_bos=1)
    assert windows == [Window(0, 4, 1, False), Window(4, 7, 1, True), Window(7, 9, 1, True)]
    assert set(contexts_by_plan(9, 4, "chunk", None, 1)) == set(range(1, 9))


def test_from_the_second_window_on_stride_tokens_of_context():
    contexts = contexts_by_plan(50, 10, "stride", 7, 1)
    assert set(contexts) == set(range(1, 50))
    assert min(len(contexts[token]) for token in range(10, 50)) == 7


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_score_needs_no_window(n):
    for policy in ("truncate", "chunk", "stride"):
        assert plan_windows(n, 8, policy) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((9, 1, "truncate"), "max_length must be at least 2"),
        ((9, 2, "chunk", None, 2), "max_length must be at least 3"),
        ((9, 8, "stride", 0), "stride must be at least 1 and less than max_length=8, got 0"),
        ((9, 8, "stride", 8), "stride must be at least 1 and less than max_length=8, got 8"),
        ((9, 8, "chunk", 4), "stride=4 needs long='stride', got long='chunk'"),
        ((9, 8, "slide"), "long must be one of truncate, chunk, stride, got 'slide'"),
    ],
)
def test_windows_that_cannot_be(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan_windows(*arguments)
