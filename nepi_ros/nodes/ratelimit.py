# SPDX-License-Identifier: Apache-2.0
"""Thins a stream of frames to a highest rate."""

from __future__ import annotations


class RateLimit:
    """Lets frames through at no more than a given mean rate.

    Frames are due on a grid of one period; one that comes up to half a period early takes its place on
    the grid, so that a 15 or 30 Hz camera with jitter gives exactly 10 Hz and not 7.5.

    >>> limit = RateLimit()
    >>> [limit.passes(n / 30, 10.0) for n in range(7)]
    [True, False, True, False, False, True, False]
    """

    def __init__(self) -> None:
        self._due = float("-inf")

    def passes(self, now_s: float, rate_hz: float) -> bool:
        """Whether the frame that arrives now may pass; a rate of 0 lets every frame pass."""
        if rate_hz <= 0.0:
            return True
        period = 1.0 / rate_hz
        due = self._due = min(self._due, now_s + 1.5 * period)  # the rate may have been raised since
        if now_s < due - 0.5 * period:
            return False
        self._due = (due if now_s < due + period else now_s) + period
        return True
