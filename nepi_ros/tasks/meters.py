# SPDX-License-Identifier: Apache-2.0
"""Meters: a metric over a whole set of frames, fed one frame at a time.

What a meter has counted is an array, and counts add up: the metric over any frames, each taken any number of
times, is `of` the sum of their counts. That is all a bootstrap over frames needs.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from nepi_ros.tasks.segmentation import ConfusionMatrix, mean_iou_of


class Meter(Protocol):
    """Collects frames; `value` is the metric over all of them (NaN without any)."""

    @property
    def counts(self) -> np.ndarray:
        """What was counted so far [D]; the counts of two meters of one kind add up."""
        ...

    def add(self, result: np.ndarray, truth: np.ndarray) -> None: ...

    def value(self) -> float: ...

    def of(self, counts: np.ndarray) -> np.ndarray:
        """The metric float64 [...] of counts [..., D]."""
        ...


class ShareMeter:
    """A share or mean over all counted items (pixels, frames): `count(result, truth)` gives (sum, items) of a frame."""

    def __init__(self, count: Callable[[np.ndarray, np.ndarray], tuple[float, int]]) -> None:
        self._count = count
        self.counts = np.zeros(2)

    def add(self, result: np.ndarray, truth: np.ndarray) -> None:
        self.counts += self._count(result, truth)

    def value(self) -> float:
        return float(self.of(self.counts))

    def of(self, counts: np.ndarray) -> np.ndarray:
        total, items = counts[..., 0], counts[..., 1]
        return np.where(items > 0, total / np.maximum(items, 1), np.nan)


class RootMeter(ShareMeter):
    """The root of a mean: `count(result, truth)` gives (sum of squares, items) of a frame."""

    def of(self, counts: np.ndarray) -> np.ndarray:
        return np.sqrt(super().of(counts))


class IouMeter:
    """Mean intersection over union over all frames' pixels."""

    def __init__(self, classes: int) -> None:
        self._matrix = ConfusionMatrix(classes)

    @property
    def counts(self) -> np.ndarray:
        return self._matrix.counts.ravel()

    def add(self, result: np.ndarray, truth: np.ndarray) -> None:
        self._matrix.add(result, truth)

    def value(self) -> float:
        return self._matrix.mean_iou()

    def of(self, counts: np.ndarray) -> np.ndarray:
        return mean_iou_of(counts.reshape(*counts.shape[:-1], *self._matrix.counts.shape))
