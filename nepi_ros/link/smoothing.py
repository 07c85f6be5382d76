# SPDX-License-Identifier: Apache-2.0
"""A smoothed time and how much it varies, as TCP keeps its round trip."""

from __future__ import annotations

import math


class SmoothedTime:
    """Mean and mean deviation of samples in seconds, recent ones counting more (RFC 6298, section 2).

    >>> time = SmoothedTime()
    >>> time.add(0.1), time.mean, time.bound
    (None, 0.1, 0.2)
    """

    _MEAN_GAIN = 1 / 8
    _DEVIATION_GAIN = 1 / 4
    # The RFC waits for four deviations, so as never to repeat in vain; two are about the 95th percentile.
    _DEVIATIONS = 2.0

    def __init__(self) -> None:
        self.mean = math.nan
        self._deviation = math.nan

    def add(self, sample: float) -> None:
        """Take in a sample."""
        if math.isnan(self.mean):
            self.mean, self._deviation = sample, sample / 2
            return
        self._deviation += self._DEVIATION_GAIN * (abs(sample - self.mean) - self._deviation)
        self.mean += self._MEAN_GAIN * (sample - self.mean)

    @property
    def known(self) -> bool:
        """Whether there was a sample."""
        return not math.isnan(self.mean)

    @property
    def bound(self) -> float:
        """What most samples stay below; NaN before the first."""
        return self.mean + self._DEVIATIONS * self._deviation
