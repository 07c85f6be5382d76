# SPDX-License-Identifier: Apache-2.0
"""Bytes at a threshold, frontiers and intervals, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from nepi_ros.bench.curves import bytes_at, frontier, interval, resampling


def at(sizes: list[float], accuracy: list[float], threshold: float) -> float:
    return float(bytes_at(np.array(sizes, float), np.array(accuracy, float), np.array(threshold)))


def test_between_points_bytes_grow_by_factors() -> None:
    assert at([100, 10000], [0.2, 0.8], 0.5) == pytest.approx(1000)
    assert at([10000, 100], [0.8, 0.2], 0.5) == pytest.approx(1000)  # whatever their order
    assert at([100, 10000], [0.2, 0.8], 0.8) == pytest.approx(10000)


def test_a_curve_ends_with_its_points() -> None:
    assert at([100, 200], [0.5, 0.6], 0.4) == pytest.approx(100)
    assert math.isinf(at([100, 200], [0.5, 0.6], 0.61))
    assert math.isinf(at([100], [math.nan], 0.1))


def test_points_that_are_worse_than_smaller_ones_play_no_part() -> None:
    with_dip = at([100, 400, 1600], [0.5, 0.3, 0.7], 0.6)
    assert with_dip == pytest.approx(at([100, 1600], [0.5, 0.7], 0.6))
    assert at([100, 400, 1600, 1700], [0.5, 0.7, 0.2, 0.9], 0.7) == pytest.approx(400)


def test_a_point_of_no_bytes_is_a_point() -> None:
    assert at([0, 2], [0.8, 0.9], 0.7) == pytest.approx(0, abs=1e-9)
    assert 0 < at([0, 2], [0.8, 0.9], 0.899) <= 2


def test_without_a_threshold_there_are_no_bytes() -> None:
    """As in a resample of frames of which none has labels: not the same as never getting there."""
    found = bytes_at(np.array([[1.0, 2.0]] * 2), np.array([[0.5, 0.6]] * 2), np.array([0.55, math.nan]))
    assert 1 < found[0] < 2 and math.isnan(found[1])
    assert interval(found) == (found[0], found[0])


def test_many_curves_at_once_are_each_alone() -> None:
    random = np.random.default_rng(2)
    sizes, accuracy = random.uniform(10, 1e4, (50, 7)), random.random((50, 7))
    threshold = random.random(50)
    together = bytes_at(sizes, accuracy, threshold)
    alone = [at(list(s), list(a), t) for s, a, t in zip(sizes, accuracy, threshold, strict=True)]
    assert together == pytest.approx(alone)


def test_frontier_is_what_no_smaller_point_beats() -> None:
    assert frontier(np.array([300.0, 100, 200, 400]), np.array([0.7, 0.5, 0.4, 0.7])) == [1, 0]


def test_resampling_begins_with_the_set_itself() -> None:
    weights = resampling(9, 20)
    assert weights.shape == (21, 9) and (weights.sum(axis=1) == 9).all() and (weights[0] == 1).all()
    assert (weights == resampling(9, 20)).all()


def test_an_interval_may_have_no_end() -> None:
    values = np.concatenate([np.arange(90.0), np.full(10, np.inf)])
    low, high = interval(values)
    assert low == pytest.approx(2, abs=1) and math.isinf(high)
    assert interval(np.array([np.nan])) is None
