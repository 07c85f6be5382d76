# SPDX-License-Identifier: Apache-2.0
"""One direction of a thin link: a bounded queue, a rate, a delay and losses, in time that the caller tells.

    packets -> [ queue, drop-tail, in bytes ] -> [ rate: trace or constant ] -> [ loss ] -> [ delay ] -> items

An item is what the packets of one message carry; it arrives when the last of them does, or, when one of them
is dropped or lost, never (as a UDP datagram whose IP fragments do not all arrive).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from nepi_ros.link.trace import ConstantRate, Schedule

Item = TypeVar("Item")


@dataclass
class Counters:
    """What has happened on a link since it began. `bytes` count whole packets, headers included."""

    items_sent: int = 0
    items_arrived: int = 0
    items_lost: int = 0
    bytes_sent: int = 0
    bytes_served: int = 0
    packets_dropped: int = 0
    packets_lost: int = 0


@dataclass
class _Packet(Generic[Item]):
    """A packet in the queue. `item` travels with a message's last packet; `whole` says whether it will arrive."""

    size: int
    finish: float
    is_last: bool
    whole: bool
    item: Item


class Bottleneck(Generic[Item]):
    """A link's direction. Times are seconds on the caller's clock and must not decrease from call to call.

    >>> link = Bottleneck(ConstantRate(100), delay_s=0.02)
    >>> link.send(0.0, [1250], "frame")
    True
    >>> round(link.due(), 3), link.receive(0.1), link.receive(0.13)
    (0.12, [], ['frame'])
    """

    def __init__(
        self,
        schedule: Schedule | None = None,
        delay_s: float = 0.0,
        queue_bytes: int = 65536,
        loss: float = 0.0,
        seed: int = 0,
        start: float = 0.0,
    ) -> None:
        self.counters = Counters()
        self._schedule = schedule or ConstantRate(1000.0)
        self._delay = delay_s
        self._limit = queue_bytes
        self._loss = loss
        self._random = random.Random(seed)
        self._start = start
        self._server = self._schedule.server(0.0)
        self._waiting: deque[_Packet[Item]] = deque()
        self._queued = 0
        self._flying: deque[tuple[float, Item]] = deque()

    def send(self, now: float, sizes: Sequence[int], item: Item) -> bool:
        """Hand over a message in packets of so many bytes; False when it is known already that it will not arrive.

        Packets that fit the queue take their share of the link even so.
        """
        self._serve(now)
        self.counters.items_sent += 1
        whole = True
        accepted: list[_Packet[Item]] = []
        for size in sizes:
            self.counters.bytes_sent += size
            if self._queued + size > self._limit:
                self.counters.packets_dropped += 1
                whole = False
                continue
            if self._random.random() < self._loss:
                self.counters.packets_lost += 1
                whole = False
            finish = self._server.finish(now - self._start, size) + self._start
            accepted.append(_Packet(size, finish, False, False, item))
            self._queued += size
        if accepted:
            accepted[-1] = replace(accepted[-1], is_last=True, whole=whole)
        self._waiting.extend(accepted)
        self.counters.items_lost += not whole
        return whole

    def due(self) -> float | None:
        """When something arrives next; None when nothing is on its way. Infinite while the link carries nothing."""
        if self._flying:
            return self._flying[0][0]
        for packet in self._waiting:
            if packet.is_last and packet.whole:
                return packet.finish + self._delay
        return None

    def receive(self, now: float) -> list[Item]:
        """What has arrived by now and was not received before, in order."""
        self._serve(now)
        items = []
        while self._flying and self._flying[0][0] <= now:
            items.append(self._flying.popleft()[1])
        self.counters.items_arrived += len(items)
        return items

    def queued_bytes(self, now: float) -> int:
        """Bytes in the queue."""
        self._serve(now)
        return self._queued

    def change(
        self,
        now: float,
        schedule: Schedule | None = None,
        delay_s: float | None = None,
        queue_bytes: int | None = None,
        loss: float | None = None,
    ) -> None:
        """Change the link from now on; what is in the queue stays there and is served at the new rate.

        A trace begins anew at `now`. What is past the queue keeps its time of arrival.
        """
        self._serve(now)
        self._delay = self._delay if delay_s is None else delay_s
        self._limit = self._limit if queue_bytes is None else queue_bytes
        self._loss = self._loss if loss is None else loss
        if schedule is None:
            return
        self._schedule, self._start = schedule, now
        self._server = schedule.server(0.0)
        for packet in self._waiting:
            packet.finish = self._server.finish(0.0, packet.size) + now

    def _serve(self, now: float) -> None:
        """Move what is through the queue by now on to the far end."""
        while self._waiting and self._waiting[0].finish <= now:
            packet = self._waiting.popleft()
            self._queued -= packet.size
            self.counters.bytes_served += packet.size
            if packet.is_last and packet.whole:
                # A delay made shorter meanwhile does not let one item overtake another.
                earliest = self._flying[-1][0] if self._flying else packet.finish
                self._flying.append((max(earliest, packet.finish + self._delay), packet.item))
