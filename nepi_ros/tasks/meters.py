# SPDX-License-Identifier: Apache-2.0
"""Meters: a metric over a whole set of frames, fed one frame at a time."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from nepi_ros.tasks.segmentation import ConfusionMatrix


class Meter(Protocol):
    """Collects frames; `value` is the metric over all of them (NaN without any)."""

    def add(self, result: np.ndarray, truth: np.ndarray) -> None: ...

    def value(self) -> float: ...


class ShareMeter:
    """A share over all counted items (pixels, frames): `count(result, truth)` gives (hits, items) of a frame."""

    def __init__(self, count: Callable[[np.ndarray, np.ndarray], tuple[int, int]]) -> None:
        self._count = count
        self._hits = 0
        self._items = 0

    def add(self, result: np.ndarray, truth: np.ndarray) -> None:
        hits, items = self._count(result, truth)
        self._hits += hits
        self._items += items

    def value(self) -> float:
        return self._hits / self._items if self._items else float("nan")


class IouMeter:
    """Mean intersection over union over all frames' pixels."""

    def __init__(self, classes: int) -> None:
        self._matrix = ConfusionMatrix(classes)

    def add(self, result: np.ndarray, truth: np.ndarray) -> None:
        self._matrix.add(result, truth)

    def value(self) -> float:
        return self._matrix.mean_iou()
