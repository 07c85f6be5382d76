# SPDX-License-Identifier: Apache-2.0
"""Capture-to-result latency and deadline hits over a sliding window, on one clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time

_NS = 1_000_000_000


def nanoseconds(stamp: Time) -> int:
    """A message's stamp in nanoseconds; of a damaged one, which rclpy's own Time refuses, as little as it says."""
    return stamp.sec * _NS + stamp.nanosec


@dataclass
class _Frame:
    """A frame on its way: tasks it was sent for (0 = not seen leaving), tasks back, latest latency in seconds."""

    sent: int = 0
    back: int = 0
    latency: float = 0.0

    @property
    def whole(self) -> bool:
        return self.back != 0 and self.back & self.sent == self.sent


@dataclass(frozen=True)
class LatencySummary:
    """What the window holds: latencies in milliseconds (NaN when empty), hit rate 0 to 1 (NaN when empty)."""

    frames: int
    hit_rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class LatencyWindow:
    """Follows frames from their epitome leaving to their last result, keyed by the image's stamp.

    A frame hits when the results of all its tasks are back within the deadline of its stamp. Frames whose
    results are lost count as misses once the deadline is over, if their epitome was seen leaving;
    otherwise only what comes back is counted. Stamps and `now_ns` are nanoseconds of the robot's ROS clock.
    """

    def __init__(self, window_s: float = 10.0, plausible_s: float = 60.0) -> None:
        self.window_s = window_s
        self._plausible = plausible_s
        self._stamped_here = False  # whether the last epitome's stamp was of this clock
        self._frames: OrderedDict[int, _Frame] = OrderedDict()

    def sent(self, stamp_ns: int, mask: int, now_ns: int) -> bool:
        """Note an epitome leaving; False when its stamp is not of this clock."""
        self._stamped_here = self._is_plausible(stamp_ns, now_ns)
        if self._stamped_here:
            self._frame(stamp_ns).sent = mask
        return self._stamped_here

    def arrived(self, stamp_ns: int, mask: int, now_ns: int) -> float | None:
        """Note a result; its latency in seconds, or None when its stamp is not of this clock."""
        if not self._is_plausible(stamp_ns, now_ns):
            return None
        frame = self._frame(stamp_ns)
        frame.back |= mask
        frame.latency = max(frame.latency, (now_ns - stamp_ns) / _NS)
        return (now_ns - stamp_ns) / _NS

    def is_ancient(self, stamp_ns: int, now_ns: int) -> bool:
        """Whether a result is older than any that is timed, of a robot whose stamps are of this clock."""
        return self._stamped_here and now_ns - stamp_ns > self._plausible * _NS

    def latency_of(self, stamp_ns: int) -> float | None:
        """Latency in seconds of a frame whose results are all back, else None."""
        frame = self._frames.get(stamp_ns)
        return frame.latency if frame is not None and frame.whole else None

    def summary(self, now_ns: int, deadline_s: float) -> LatencySummary:
        """Summary over the window; frames still within their deadline and not back are left out."""
        self._forget(now_ns, deadline_s)
        decided = [
            frame
            for stamp, frame in self._frames.items()
            if frame.whole or now_ns - stamp > deadline_s * _NS
        ]
        latencies = [1e3 * frame.latency for frame in decided if frame.whole]
        hits = sum(frame.whole and frame.latency <= deadline_s for frame in decided)
        p50, p95, p99 = np.percentile(latencies, [50, 95, 99]) if latencies else [np.nan] * 3
        rate = hits / len(decided) if decided else float("nan")
        return LatencySummary(len(decided), rate, float(p50), float(p95), float(p99))

    def clear(self) -> None:
        """Forget everything: the clock has jumped."""
        self._frames.clear()

    def _is_plausible(self, stamp_ns: int, now_ns: int) -> bool:
        return 0 <= now_ns - stamp_ns <= self._plausible * _NS

    def _frame(self, stamp_ns: int) -> _Frame:
        return self._frames.setdefault(stamp_ns, _Frame())

    def _forget(self, now_ns: int, deadline_s: float) -> None:
        """Forget frames that were decided, at the latest, before the window."""
        oldest = now_ns - int((self.window_s + deadline_s) * _NS)
        for stamp in [stamp for stamp in self._frames if not oldest <= stamp <= now_ns]:
            del self._frames[stamp]
