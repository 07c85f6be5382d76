# SPDX-License-Identifier: Apache-2.0
"""Depth in metres along Z, and how far two depth images agree.

A true depth that is zero, negative, NaN or infinite is no measurement and does not count. A predicted one
that is not a positive finite number counts as wrong (it would otherwise pay to predict nothing).
Metrics as in Eigen et al., Depth Map Prediction from a Single Image, NIPS 2014.
"""

import numpy as np

from nepi_ros.tasks.resample import bilinear


def resize(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth float32 [h, w] resampled to [height, width] for `size` = (width, height)."""
    return bilinear(depth, size)


def valid(depth: np.ndarray) -> np.ndarray:
    """Where a depth is a measurement: positive and finite."""
    return np.isfinite(depth) & (depth > 0)


def within(prediction: np.ndarray, truth: np.ndarray, threshold: float = 1.25) -> tuple[int, int]:
    """How many valid pixels have a ratio to the truth below `threshold`, and how many are valid."""
    known = valid(truth)
    true, predicted = truth[known].astype(np.float64), prediction[known].astype(np.float64)
    good = valid(predicted)
    close = np.maximum(predicted[good] / true[good], true[good] / predicted[good]) < threshold
    return int(close.sum()), int(known.sum())


def delta1(prediction: np.ndarray, truth: np.ndarray, threshold: float = 1.25) -> float:
    """Share of valid pixels whose ratio to the truth is below `threshold`; NaN when none is valid."""
    close, known = within(prediction, truth, threshold)
    return close / known if known else float("nan")


def relative_errors(prediction: np.ndarray, truth: np.ndarray) -> tuple[float, int]:
    """Sum of |prediction - truth| / truth over pixels valid in the truth, and their number.

    An invalid prediction counts as 0 m.
    """
    known = valid(truth)
    true = truth[known].astype(np.float64)
    return float(np.sum(np.abs(_usable(prediction[known]) - true) / true)), int(known.sum())


def squared_errors(prediction: np.ndarray, truth: np.ndarray) -> tuple[float, int]:
    """Sum of (prediction - truth)^2 in m^2 over pixels valid in the truth, and their number; see relative_errors."""
    known = valid(truth)
    error = _usable(prediction[known]) - truth[known].astype(np.float64)
    return float(np.sum(error**2)), int(known.sum())


def abs_rel(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Mean of |prediction - truth| / truth over pixels valid in the truth; an invalid prediction counts as 0 m."""
    total, known = relative_errors(prediction, truth)
    return total / known if known else float("nan")


def rmse(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square error in metres over pixels valid in the truth; an invalid prediction counts as 0 m."""
    total, known = squared_errors(prediction, truth)
    return float(np.sqrt(total / known)) if known else float("nan")


def _usable(prediction: np.ndarray) -> np.ndarray:
    return np.where(valid(prediction), prediction, 0.0).astype(np.float64)
