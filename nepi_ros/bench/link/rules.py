# SPDX-License-Identifier: Apache-2.0
"""What LinkControl is compared with: no control at all, and one in the manner of WebRTC."""

from __future__ import annotations

import math

from nepi_ros.link.budget import Budget, Choices, FrameReport, LinkState

_NONE = LinkState(math.nan, math.nan, math.nan, math.nan, 0)


class NoControl:
    """Every frame may spend anything."""

    def encoded(self, seconds: float) -> None:
        """Does not matter."""

    def sent(self, now: float, sequence: int, wire_bytes: int, first_bytes: int = 0, extra_layers: int = 0) -> None:
        """Does not matter."""

    def reported(self, now: float, report: FrameReport) -> bool:
        """Does not matter."""
        return True

    def budget(self, now: float, age_s: float, least_bytes: int = 1, choices: Choices | None = None) -> Budget:
        """As much as there is."""
        return Budget(1 << 30)

    def state(self, now: float) -> LinkState:
        """Nothing is known."""
        return _NONE


class GccLike(NoControl):
    """A rate as Google Congestion Control's (Carlucci et al., "Analysis and Design of the Google Congestion Control
    for WebRTC", ACM MMSys 2016), spread evenly over the frames; the smallest epitome is always sent.

    Delay gradient: from frame to frame, smoothed. Above an adaptive threshold the link is overused and the rate falls
    to 0.85 of what was received in the last half second; below, it holds until queues are empty; else it rises by 8 %
    per second, or, near the rate of the last decrease, by one packet per response time. Instead of a Kalman filter
    over packet groups an exponential mean over frames: there are a few frames per second.
    """

    START_KBPS = 300.0
    LEAST_KBPS, MOST_KBPS = 30.0, 10_000.0

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._rate = self.START_KBPS * 125
        self._near = math.nan
        self._gradient, self._threshold = 0.0, 0.0125
        self._before: tuple[float, float] | None = None
        self._received: list[tuple[float, int]] = []
        self._sizes: dict[int, int] = {}

    def sent(self, now: float, sequence: int, wire_bytes: int, first_bytes: int = 0, extra_layers: int = 0) -> None:
        self._sizes[sequence] = wire_bytes

    def reported(self, now: float, report: FrameReport) -> bool:
        away = now - report.handover_s - report.processing_s
        size = self._sizes.get(report.sequence, 0)
        self._sizes = {number: bytes_ for number, bytes_ in self._sizes.items() if number > report.sequence}
        self._received = [(at, n) for at, n in self._received if at > now - 0.5] + [(now, size)]
        if self._before is not None:
            passed = max(now - self._before[0], 1e-3)
            self._update(away - self._before[1], passed, away)
        self._before = (now, away)
        return True

    def budget(self, now: float, age_s: float, least_bytes: int = 1, choices: Choices | None = None) -> Budget:
        """The rate's share of a frame."""
        return Budget(max(least_bytes, int(self._rate / self._fps)))

    def _update(self, change: float, passed: float, away: float) -> None:
        self._gradient += 0.3 * (change - self._gradient)
        size = abs(self._gradient)
        gain = 0.01 if size > self._threshold else 0.00018
        self._threshold += min(passed, 0.1) * 1000 * gain * (min(size, 0.1) - self._threshold)
        self._threshold = min(max(self._threshold, 0.006), 0.6)
        if self._gradient > self._threshold:
            received = sum(n for _, n in self._received) / 0.5
            self._near = received
            self._rate = 0.85 * received
        elif self._gradient >= -self._threshold:
            close = not math.isnan(self._near) and abs(self._rate - self._near) < 0.2 * self._near
            self._rate += 1200 * passed / (0.1 + away) if close else self._rate * (1.08 ** min(passed, 1.0) - 1)
        self._rate = min(max(self._rate, self.LEAST_KBPS * 125), self.MOST_KBPS * 125)
