# SPDX-License-Identifier: Apache-2.0
"""Carries messages or packets over one direction of an emulated link, in real time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from nepi_ros.link.bottleneck import Bottleneck, Counters
from nepi_ros.link.trace import Schedule
from nepi_ros.link.wire import packets

Item = TypeVar("Item")


class Carrier(Generic[Item]):
    """A bottleneck with a thread that sleeps until the next item is due and hands it over then.

    `deliver` is called in that thread. A trace begins with the first item that is sent.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[Item], None],
        schedule: Schedule,
        delay_s: float,
        queue_bytes: int,
        loss: float,
        seed: int,
    ) -> None:
        self._deliver = deliver
        self._schedule = schedule
        self._link: Bottleneck[Item] = Bottleneck(schedule, delay_s, queue_bytes, loss, seed)
        self._changed = threading.Condition()
        self._begun = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def send(self, serialised: int, item: Item) -> None:
        """Send an item whose message is so many serialised bytes."""
        self.carry(packets(serialised), item)

    def carry(self, sizes: Sequence[int], item: Item) -> None:
        """Send an item in IP packets of so many bytes."""
        with self._changed:
            now = time.monotonic()
            if not self._begun:
                self._link.change(now, self._schedule)
                self._begun = True
            self._link.send(now, sizes, item)
            self._changed.notify()

    def change(
        self, schedule: Schedule | None = None, delay_s: float = 0.0, queue_bytes: int = 0, loss: float = 0.0
    ) -> None:
        """Change the link; without a schedule its rate goes on as it is."""
        with self._changed:
            self._schedule = schedule or self._schedule
            self._link.change(time.monotonic(), schedule, delay_s, queue_bytes, loss)
            self._changed.notify()

    def counters(self) -> tuple[Counters, int]:
        """What has happened so far, and the bytes in the queue now."""
        with self._changed:
            queued = self._link.queued_bytes(time.monotonic())
            return replace(self._link.counters), queued

    def close(self) -> None:
        """Deliver nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while items := self._next():
            for item in items:
                self._deliver(item)

    def _next(self) -> list[Item]:
        """Sleep until something has arrived; empty once the carrier is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                items = self._link.receive(now)
                if items:
                    return items
                due = self._link.due()
                # Infinite: the link carries nothing until it is changed.
                endless = due is None or due == float("inf")
                self._changed.wait(None if endless else max(0.0, due - now))
            return []
