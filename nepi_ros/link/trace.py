# SPDX-License-Identifier: Apache-2.0
"""How fast a link carries bytes over time: recorded traces in Mahimahi's format, and constant rates.

A Mahimahi trace has one line per opportunity to deliver 1500 bytes, in whole milliseconds since the start; a
time that repeats means several in that millisecond. After the last line it begins again, the last line's
time being its length (Netravali et al., "Mahimahi: Accurate Record-and-Replay for HTTP", USENIX ATC 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nepi_ros.errors import TraceError

OPPORTUNITY_BYTES = 1500


class Server(Protocol):
    """Serves packets one after the other, in the order in which `finish` is called."""

    def finish(self, arrival: float, size: int) -> float:
        """When the last byte of the next packet is through: seconds, never before the previous one's.

        `arrival`: when the packet has reached the server, not before the previous one. Infinite when never.
        """
        ...


class Schedule(Protocol):
    """A link's rate over time."""

    def server(self, start: float) -> Server:
        """A server of this link that is idle at `start` seconds."""
        ...


@dataclass(frozen=True)
class ConstantRate:
    """A link of `kbps` thousand bits per second; 0 carries nothing.

    >>> ConstantRate(1000).server(0.0).finish(1.0, 1250)
    1.01
    """

    kbps: float

    def server(self, start: float) -> Server:
        """A server of this link; packets follow each other without a gap."""
        return _RateServer(self.kbps, start)


class _RateServer:
    def __init__(self, kbps: float, start: float) -> None:
        self._kbps = kbps
        self._free = start

    def finish(self, arrival: float, size: int) -> float:
        if self._kbps <= 0.0:
            return float("inf")
        self._free = max(self._free, arrival) + size * 8 / (self._kbps * 1000)
        return self._free


@dataclass(frozen=True)
class Trace:
    """Delivery opportunities: `times_ms` int64 [n], not decreasing, the last above 0; repeats for ever."""

    times_ms: np.ndarray
    name: str = "trace"

    def __post_init__(self) -> None:
        times = self.times_ms
        if len(times) == 0 or times[0] < 0 or times[-1] <= 0 or np.any(np.diff(times) < 0):
            raise TraceError(f"{self.name}: times must not be negative nor decrease, and the last must be above 0")

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a Mahimahi trace. Raises TraceError naming the file, and the line that is no time."""
        try:
            words = Path(path).read_text().split()
        except (OSError, UnicodeDecodeError) as error:
            raise TraceError(f"{path}: the trace cannot be read ({error})") from error
        try:
            times = np.array(words, np.int64)
        except (ValueError, OverflowError):
            # 18 digits are more milliseconds than anybody recorded, and the most that 64 bits hold for sure.
            bad = (number for number, word in enumerate(words, 1) if not word.isdecimal() or len(word) > 18)
            line = next(bad, "?")
            raise TraceError(f"{path}: line {line} is not a time in whole milliseconds") from None
        return cls(times, str(path))

    @property
    def length_s(self) -> float:
        """Seconds after which the trace begins again."""
        return float(self.times_ms[-1]) / 1000

    @property
    def mean_kbps(self) -> float:
        """Mean rate over the trace in thousand bits per second."""
        return len(self.times_ms) * OPPORTUNITY_BYTES * 8 / float(self.times_ms[-1])

    def bytes_between(self, start: float, end: float) -> int:
        """Bytes that the link could carry at times `start` <= t < end, in seconds since the trace began."""
        return max(0, self.first_at(end) - self.first_at(start)) * OPPORTUNITY_BYTES

    def first_at(self, time: float) -> int:
        """Number (from 0, over all rounds) of the first opportunity at or after `time` seconds."""
        # A thousandth of a microsecond forgives the rounding of seconds to binary fractions.
        milliseconds = max(0.0, time * 1000 - 1e-6)
        rounds, rest = divmod(milliseconds, float(self.times_ms[-1]))
        if rounds and rest == 0.0:
            # The end of a round and the beginning of the next are one moment; its opportunities begin here.
            rounds, rest = rounds - 1, float(self.times_ms[-1])
        return int(rounds) * len(self.times_ms) + int(np.searchsorted(self.times_ms, rest, side="left"))

    def time_of(self, number: int) -> float:
        """Time in seconds of an opportunity."""
        rounds, index = divmod(number, len(self.times_ms))
        return (rounds * int(self.times_ms[-1]) + int(self.times_ms[index])) / 1000

    def server(self, start: float) -> Server:
        """A server of this link, the trace beginning at time 0."""
        return _TraceServer(self, start)


class _TraceServer:
    """As Mahimahi's link queue: what an opportunity has left goes to the next packet if that is there already."""

    def __init__(self, trace: Trace, start: float) -> None:
        self._trace = trace
        self._next = trace.first_at(start)
        self._left = OPPORTUNITY_BYTES

    def finish(self, arrival: float, size: int) -> float:
        if self._trace.time_of(self._next) < arrival - 1e-9:
            self._next = self._trace.first_at(arrival)
            self._left = OPPORTUNITY_BYTES
        while size > self._left:
            size -= self._left
            self._next += 1
            self._left = OPPORTUNITY_BYTES
        self._left -= size
        return self._trace.time_of(self._next)
