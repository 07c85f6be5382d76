# SPDX-License-Identifier: Apache-2.0
"""Makes items ahead of their time, in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Prefetch(Generic[Item]):
    """Iterates over `items` in a thread, at most `depth` items ahead of who takes them.

    An exception of the iteration is raised where the item would have been taken. To be iterated over once.

    >>> list(Prefetch(range(3), depth=2))
    [0, 1, 2]
    """

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        self._items = items
        self._depth = depth
        self._changed = threading.Condition()
        self._ready: deque[Item] = deque()
        self._error: Exception | None = None
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while self.wait():
            with self._changed:
                item = self._ready.popleft()
                self._changed.notify_all()
            yield item

    def wait(self) -> bool:
        """Wait for an item to be ready; False when none will come. Raises what the iteration raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended or self._closed)
            if self._closed:
                return False
            if not self._ready and self._error is not None:
                raise self._error
            return bool(self._ready)

    def close(self) -> None:
        """Make no more items; whoever waits gets none."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._ready) < self._depth or self._closed)
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again where the item is wanted
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
