# SPDX-License-Identifier: Apache-2.0
"""A bound that keeps its promise in the long run, whatever the forecast behind it is worth."""

from __future__ import annotations


class AdaptiveRisk:
    """The risk to ask of a forecast so that misses are as frequent as promised.

    Adaptive conformal inference (Gibbs and Candes, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS
    2021, equation 2): risk += step * (promised - missed). Over n outcomes the share of misses differs from the promise
    by at most (1 + step) / (step * n), as long as the limits are not reached. At the lower one, a part of the promise,
    misses are not the size's doing any more (a link that fails by itself), and more care would only cost accuracy.

    >>> risk = AdaptiveRisk(promised=0.05)
    >>> risk.add(missed=True)
    >>> risk.value < 0.05
    True
    """

    MOST = 0.5
    """A forecast is never asked for less than an even chance."""
    LEAST = 0.4
    """Of the promise: the lower limit."""

    def __init__(self, promised: float, step: float = 0.02) -> None:
        self.promised = promised
        self._step = step
        self.value = promised

    def add(self, missed: bool) -> None:
        """Take in an outcome."""
        value = self.value + self._step * (self.promised - missed)
        self.value = min(self.MOST, max(self.LEAST * self.promised, value))

    def promise(self, promised: float) -> None:
        """Promise something else from now on; what was learnt is kept where it is the same promise."""
        if promised != self.promised:
            self.promised = self.value = promised
