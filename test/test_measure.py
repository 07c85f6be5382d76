# SPDX-License-Identifier: Apache-2.0
"""Results and truths side by side, and meters whose counts add up."""

from __future__ import annotations

import numpy as np
import pytest

from nepi_ros.datasets import Sample
from nepi_ros.letterbox import Letterbox
from nepi_ros.measure import result_over_source, result_size, truth_of
from nepi_ros.tasks import REGISTRY, TaskSpec

SPECS = {
    "segmentation": TaskSpec("segmentation", "s.onnx", ("a", "b", "c"), ((0, 0, 0),) * 3),
    "depth": TaskSpec("depth", "d.onnx", min_m=0.5, max_m=8.0),
    "classification": TaskSpec("classification", "c.onnx", ("x", "y")),
}
BOX = Letterbox((64, 48), (80, 48))  # bars of 8 pixels left and right


def test_bars_are_no_part_of_a_result() -> None:
    metres = np.full((1, 48, 80), 7.0, np.float32)
    metres[:, :, 8:72] = 2.0
    result = result_over_source(REGISTRY["depth"], metres, (64, 48), SPECS["depth"], BOX)
    assert result.shape == (48, 64) and (result == 2).all()


def test_results_are_compared_at_the_truths_size() -> None:
    sample = Sample("a", np.zeros((48, 64, 3), np.uint8), segmentation=np.zeros((24, 32), np.uint8), place=1)
    assert result_size(truth_of(sample, "segmentation"), BOX) == (32, 24)
    assert result_size(truth_of(sample, "classification"), BOX) == (64, 48)
    assert truth_of(sample, "depth") is None and truth_of(sample, "classification") == 1


@pytest.mark.parametrize("task", SPECS)
def test_counts_of_frames_add_up_to_the_metric_of_all(task: str) -> None:
    random = np.random.default_rng(1)
    pairs = {
        "segmentation": lambda: random.integers(0, 3, (2, 6, 8)).astype(np.uint8),
        "depth": lambda: random.uniform(1, 2, (2, 6, 8)).astype(np.float32),
        "classification": lambda: (random.random(2), np.array(random.integers(2))),
    }
    entry, spec = REGISTRY[task], SPECS[task]
    for factory in (entry.accuracy, *entry.errors.values()):
        whole, counts = factory(spec), []
        for result, truth in (pairs[task]() for _ in range(5)):
            whole.add(result, truth)
            one = factory(spec)
            one.add(result, truth)
            counts.append(one.counts)
        assert float(whole.of(np.sum(counts, axis=0))) == pytest.approx(whole.value())
        twice = np.stack([np.sum(counts, axis=0), 2 * np.sum(counts, axis=0)])
        assert whole.of(twice) == pytest.approx([whole.value()] * 2)
        assert np.isnan(factory(spec).of(np.zeros_like(one.counts)))
