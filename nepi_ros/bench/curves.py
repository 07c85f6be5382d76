# SPDX-License-Identifier: Apache-2.0
"""Accuracy over bytes: the best curve through a method's points, bytes at a threshold, intervals by bootstrap.

All functions take any number of leading dimensions, so that a thousand resamples are computed at once.
"""

from __future__ import annotations

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95


def resampling(frames: int, count: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each frame occurs: float64 [1 + count, frames]. Row 0 is the set itself, the rest are resamples."""
    random = np.random.default_rng(seed)
    drawn = random.multinomial(frames, np.full(frames, 1 / frames), count)
    return np.concatenate([np.ones((1, frames)), drawn])


def bytes_at(sizes: np.ndarray, accuracy: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Bytes [...] where a curve of points (sizes [..., P], accuracy [..., P]) reaches `threshold` [...].

    The curve is that of a user who takes the best setting for a budget: with more bytes accuracy never falls.
    Between two points it is linear over the logarithm of bytes. Infinite where no point is accurate enough; where
    the smallest point is accurate enough already, that point's bytes (a curve is not continued beyond its ends). NaN
    where the threshold is.

    >>> float(bytes_at(np.array([100.0, 400.0]), np.array([0.5, 0.7]), np.array(0.6)).round())
    200.0
    """
    order = np.argsort(sizes, axis=-1, kind="stable")
    sizes, accuracy = np.take_along_axis(sizes, order, -1), np.take_along_axis(accuracy, order, -1)
    accuracy = np.where(np.isfinite(accuracy), accuracy, -np.inf)
    best = np.maximum.accumulate(accuracy, axis=-1)
    reached = best >= threshold[..., None]
    first = np.argmax(reached, axis=-1)[..., None]
    # The last point before that one which was better than all smaller ones.
    places = np.arange(sizes.shape[-1])
    improves = np.concatenate([np.ones_like(reached[..., :1]), accuracy[..., 1:] > best[..., :-1]], axis=-1)
    last = np.maximum.accumulate(np.where(improves, places, 0), axis=-1)
    before = np.take_along_axis(last, np.maximum(first - 1, 0), -1)
    low, high = (np.take_along_axis(accuracy, place, -1)[..., 0] for place in (before, first))
    # An epitome may have no bytes at all.
    positive = np.maximum(sizes, np.finfo(float).tiny)
    small, large = (np.log(np.take_along_axis(positive, place, -1)[..., 0]) for place in (before, first))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where((first[..., 0] > 0) & np.isfinite(low), (threshold - low) / (high - low), 1.0)
    between = np.exp(small + (large - small) * np.clip(share, 0, 1))
    return np.where(np.isnan(threshold), np.nan, np.where(reached.any(axis=-1), between, np.inf))


def frontier(sizes: np.ndarray, accuracy: np.ndarray) -> list[int]:
    """Places of the points [P] that are better than every smaller one, by size."""
    order = np.lexsort((-accuracy, sizes))
    kept: list[int] = []
    for place in order:
        if np.isfinite(accuracy[place]) and (not kept or accuracy[place] > accuracy[kept[-1]]):
            kept.append(int(place))
    return kept


def interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """The middle `confidence` of resampled values [B]; ends may be infinite. None without any value."""
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return None
    tail = (1 - confidence) / 2
    # Values themselves, not a mixture of two: one of them may be infinite.
    low, high = (known[int(np.clip(round(share * (known.size - 1)), 0, known.size - 1))] for share in (tail, 1 - tail))
    return float(low), float(high)
