"""Running an iterator ahead of its consumer, in one background thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

# Seconds that the end of the consumer waits for an item that is being made.
PATIENCE = 1.0

_DONE = object()


class _Failure:
    """Stands in the queue for what the iterator raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(
    iterator: Iterator[T], limit: int, size: Callable[[Any], int] = len
) -> Generator[T, None, None]:
    """The items of `iterator` in order, made by a thread while the consumer works on others.

    Items wait whose `size` is `limit` in sum, or one that is larger alone; one more may be in the
    making and one in the consumer's hands. What the iterator raises is raised here, after the items
    before it. The thread starts with the first item asked for and ends with the iterator or when
    this generator is closed, so use it in `with closing(...)`; it then closes `iterator` too.
    Closing waits up to PATIENCE for an item in the making, after which the thread ends by itself.
    Not to be carried across a fork.
    """
    producer = _Producer(iterator, limit, size)
    thread = threading.Thread(target=producer.run, name="attninfluence-prefetch", daemon=True)
    try:
        thread.start()
        while (entry := producer.items.get()) is not _DONE:
            if isinstance(entry, _Failure):
                raise entry.error
            weight, item = entry
            producer.taken.put(weight)
            yield item
    finally:
        producer.taken.put(None)
        if thread.ident is not None:
            thread.join(PATIENCE)


# The two threads share two SimpleQueues and no lock of ours: a KeyboardInterrupt between taking a
# lock and the block it guards would leave it taken, and the other thread waiting for good.


class _Producer:
    """What the thread does.

    items: (size, item) of each item, then _Failure or nothing, then _DONE. taken: the size of each
    item that the consumer took, and None when it wants no more.
    """

    def __init__(self, iterator: Iterator[Any], limit: int, size: Callable[[Any], int]) -> None:
        self.items: SimpleQueue[Any] = SimpleQueue()
        self.taken: SimpleQueue[int | None] = SimpleQueue()
        self._iterator, self._limit, self._size = iterator, limit, size

    def run(self) -> None:
        try:
            self._put_all()
            close = getattr(self._iterator, "close", None)
            if close is not None:
                close()
        except BaseException as error:  # noqa: BLE001 - it is the consumer's, and raised there
            self.items.put(_Failure(error))
        self.items.put(_DONE)

    def _put_all(self) -> None:
        waiting = 0
        for item in self._iterator:
            weight = self._size(item)
            while not self.taken.empty() or (waiting and waiting + weight > self._limit):
                freed = self.taken.get()
                if freed is None:
                    return
                waiting -= freed
            waiting += weight
            self.items.put((weight, item))
