# SPDX-License-Identifier: Apache-2.0
"""A one-slot mailbox between a callback and a worker thread: the newest item wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds at most one item; `put` replaces, `take` sleeps until there is one.

    >>> box = Mailbox()
    >>> box.put("old"), box.put("new")
    (False, True)
    >>> box.take()
    'new'
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Leave an item; True when it took the place of one that nobody had taken."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
            return replaced

    def take(self) -> Item | None:
        """Wait for an item and take it; None once the mailbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Wake whoever waits; every later `take` returns None at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Worker(Generic[Item]):
    """A thread that handles what is put into its mailbox, one item at a time, the newest first.

    An exception in `handle` goes to `failed` and ends neither the thread nor the next item.
    """

    def __init__(
        self, name: str, handle: Callable[[Item], None], failed: Callable[[Exception], None]
    ) -> None:
        self._mailbox: Mailbox[Item] = Mailbox()
        self._handle = handle
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Leave an item; True when it replaced one that was still waiting."""
        return self._mailbox.put(item)

    def stop(self) -> None:
        """Finish the item in hand, forget the waiting one, and end the thread."""
        self._mailbox.close()
        self._thread.join()

    def _run(self) -> None:
        while (item := self._mailbox.take()) is not None:
            try:
                self._handle(item)
            except Exception as error:  # noqa: BLE001 - one bad item must not end the node
                self._failed(error)
