"""An iterator that runs ahead: every item in order, bounded, and never a thread left behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.scoring import prefetch as prefetch_module
from attninfluence.scoring.prefetch import prefetch
from tests.kit.child import run_python


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "prefetch" in thread.name]


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not threads()


class Source:
    """An endless iterator of strings of `length`; tells what it made and whether it was closed."""

    def __init__(self, length: int = 1, fail_at: int | None = None) -> None:
        self.made = 0
        self.closed_by: threading.Thread | None = None
        self.length = length
        self.fail_at = fail_at

    def __iter__(self) -> Source:
        return self

    def __next__(self) -> str:
        if self.made == self.fail_at:
            raise ValueError(f"item {self.made}")
        self.made += 1
        return "x" * self.length

    def has_made(self, number: int) -> bool:
        return self.made >= number

    def close(self) -> None:
        self.closed_by = threading.current_thread()


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 9)), limit=st.integers(0, 20))
def test_every_item_in_order(lengths, limit):
    items = [str(i) * length for i, length in enumerate(lengths)]
    assert list(prefetch(iter(items), limit)) == items


@pytest.mark.parametrize(("length", "waiting"), [(3, 3), (10, 1), (11, 1), (1, 10)])
def test_what_waits_is_bounded(length, waiting):
    source = Source(length)
    with closing(prefetch(source, 10)) as items:
        for taken in range(1, 5):
            next(items)
            # Those that wait, and one more that finds no room.
            made = taken + waiting + 1
            wait_until(partial(source.has_made, made))
            time.sleep(0.02)
            assert source.made == made


def test_size_is_the_callers():
    source = Source(100)
    with closing(prefetch(source, 4, size=lambda item: 2)) as items:
        next(items)
        wait_until(partial(source.has_made, 4))


def test_the_thread_starts_with_the_first_item():
    source = Source()
    items = prefetch(source, 10)
    time.sleep(0.02)
    assert not threads() and source.made == 0
    items.close()
    assert not threads() and source.made == 0
    assert list(items) == []


@pytest.mark.parametrize("fail_at", [0, 1, 25])
def test_errors_come_in_order(fail_at):
    items = prefetch(Source(fail_at=fail_at), 3)
    assert [next(items) for _ in range(fail_at)] == ["x"] * fail_at
    with pytest.raises(ValueError, match=f"item {fail_at}") as error:
        next(items)
    assert not threads()
    assert list(items) == []
    assert error.traceback[-1].name == "__next__"


def test_an_error_of_size_is_raised():
    with pytest.raises(TypeError, match=r"object of type 'int' has no len"):
        list(prefetch(iter([1]), 3))


@pytest.mark.parametrize("limit", [1, 10**9])
@pytest.mark.parametrize("taken", [1, 7])
def test_closing_ends_the_thread_and_closes_the_iterator(limit, taken):
    """With a full queue, and with one that never fills."""
    source = Source()
    with closing(prefetch(source, limit)) as items:
        for _ in range(taken):
            next(items)
        (thread,) = threads()
        if limit == 1:
            wait_until(partial(source.has_made, taken + 2))
    assert not threads()
    assert source.closed_by is thread


def test_a_consumer_that_fails_ends_the_thread():
    def consume() -> None:
        with closing(prefetch(Source(), 3)) as items:
            for _ in items:
                raise RuntimeError("consumer")

    with pytest.raises(RuntimeError, match="consumer"):
        consume()
    assert not threads()


def test_a_dropped_generator_ends_the_thread():
    items = prefetch(Source(), 3)
    next(items)
    assert threads()
    del items
    gc.collect()
    assert not threads()


def test_the_iterator_ends_before_the_generator():
    ended = []

    def source() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            ended.append(threading.current_thread().name)

    with closing(prefetch(source(), 1)) as items:
        assert next(items) == "a"
    assert list(prefetch(source(), 1)) == ["a", "b"]
    assert ended == ["attninfluence-prefetch"] * 2


def test_closing_does_not_wait_long_for_an_item(monkeypatch):
    monkeypatch.setattr(prefetch_module, "PATIENCE", 0.05)
    release = threading.Event()

    def source() -> Iterator[str]:
        yield "a"
        release.wait()
        yield "b"

    items = prefetch(source(), 10)
    next(items)
    items.close()
    assert len(threads()) == 1
    release.set()
    wait_until(lambda: not threads())


@pytest.mark.parametrize("producer", ["slow", "blocked on a full queue"])
def test_an_interrupt_ends_the_thread(producer):
    """Ctrl-C while the consumer waits for an item, or works on one."""
    release = threading.Event()

    def source() -> Iterator[str]:
        yield "a"
        if producer == "slow":
            release.wait()
        while True:
            yield "b"

    def interrupt() -> None:
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)
        release.set()

    sender = threading.Thread(target=interrupt)

    def consume() -> None:
        with closing(prefetch(source(), 1)) as items:
            next(items)
            sender.start()
            if producer == "slow":
                next(items)
            time.sleep(20)

    with pytest.raises(KeyboardInterrupt):
        consume()
    sender.join()
    assert not threads()


INTERRUPTED = """
import os, signal, sys, threading, time
from contextlib import closing
from itertools import repeat
from attninfluence.scoring.prefetch import prefetch

def interrupt():
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGINT)

slowest = 0.0
for trial in range(300):
    delay = trial % 50 * 2e-5
    sender = threading.Thread(target=interrupt)
    try:
        with closing(prefetch(repeat("abc"), 1 + trial % 20)) as items:
            sender.start()
            for item in items:
                pass
    except KeyboardInterrupt:
        started = time.monotonic()
    sender.join()
    while any("prefetch" in thread.name for thread in threading.enumerate()):
        slowest = max(slowest, time.monotonic() - started)
        assert slowest < 5, trial
        time.sleep(0.001)
print("done", slowest)
"""


def test_an_interrupt_at_any_instant_ends_the_thread():
    assert run_python(INTERRUPTED, timeout=60).startswith("done")
