# SPDX-License-Identifier: Apache-2.0
"""A bound that keeps its promise in the long run, whatever the forecast behind it is worth."""

from __future__ import annotations


class AdaptiveRisk:
    """The risk to ask of a forecast so that misses are as frequent as promised.

    Adaptive conformal inference (Gibbs and Candes, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS
    2021, equation 2): risk += step * (promised - missed). Over n outcomes the share of misses differs from the promise
    by at most (1 + step) / (step * n), as long as the limits are not reached; at the lower limit the forecast is asked
    for its most careful answer, and there is nothing more to do.

    >>> risk = AdaptiveRisk(promised=0.05)
    >>> risk.add(missed=True)
    >>> risk.value < 0.05
    True
    """

    MOST = 0.5
    """A forecast is never asked for less than an even chance."""

    def __init__(self, promised: float, step: float = 0.02) -> None:
        self.promised = promised
        self._step = step
        self.value = promised

    def add(self, missed: bool) -> None:
        """Take in an outcome."""
        self.value = min(self.MOST, max(0.0, self.value + self._step * (self.promised - missed)))
