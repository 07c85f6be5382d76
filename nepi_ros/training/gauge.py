# SPDX-License-Identifier: Apache-2.0
"""How good the target networks' results on what was decoded are, for all tasks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nepi_ros.datasets import Sample
from nepi_ros.letterbox import Letterbox
from nepi_ros.measure import result_over_source, result_size, truth_of
from nepi_ros.tasks import REGISTRY, Meter, TaskSpec

Outputs = np.ndarray | Sequence[np.ndarray]
"""A network's outputs for a batch."""


@dataclass(frozen=True)
class Reference:
    """What one frame's results are compared with, by task: the networks' on the untouched frame, and labels."""

    box: Letterbox
    results: Mapping[str, np.ndarray]
    truths: Mapping[str, np.ndarray | None]

    @classmethod
    def of(
        cls, specs: Mapping[str, TaskSpec], wanted: Mapping[str, Outputs], sample: Sample, box: Letterbox
    ) -> Reference:
        """Of the outputs on the untouched frame, each the first of a batch."""
        truths = {task: truth_of(sample, task) for task in specs}
        results = {
            task: result_over_source(REGISTRY[task], wanted[task][0], result_size(truths[task], box), spec, box)
            for task, spec in specs.items()
        }
        return cls(box, results, truths)


class Gauge:
    """Meters for all tasks at one setting."""

    def __init__(self, specs: Mapping[str, TaskSpec]) -> None:
        self._specs = specs
        self.agreement: dict[str, Meter] = {task: REGISTRY[task].agreement(spec) for task, spec in specs.items()}
        self.accuracy: dict[str, Meter] = {task: REGISTRY[task].accuracy(spec) for task, spec in specs.items()}

    def add(self, got: Mapping[str, Outputs], reference: Reference) -> None:
        """One frame: outputs on what was decoded, each the first of a batch, and what to compare them with."""
        for task, spec in self._specs.items():
            truth, box = reference.truths[task], reference.box
            result = result_over_source(REGISTRY[task], got[task][0], result_size(truth, box), spec, box)
            self.agreement[task].add(result, reference.results[task])
            if truth is not None:
                self.accuracy[task].add(result, truth)

    def measured(self) -> list[str]:
        """Tasks that had labels."""
        return [task for task, meter in self.accuracy.items() if np.isfinite(meter.value())]
