# SPDX-License-Identifier: Apache-2.0
"""How good the target networks' results on what was decoded are, for all tasks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nepi_ros.datasets import Sample
from nepi_ros.letterbox import Letterbox
from nepi_ros.measure import results_over_source, truth_of
from nepi_ros.tasks import REGISTRY, Meter, TaskSpec

Outputs = np.ndarray | Sequence[np.ndarray]
"""A network's outputs for a batch."""


@dataclass(frozen=True)
class Reference:
    """What one frame's results are compared with: its labels, and by task the networks' results on it untouched."""

    sample: Sample
    box: Letterbox
    results: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, specs: Mapping[str, TaskSpec], wanted: Mapping[str, Outputs], sample: Sample, box: Letterbox
    ) -> Reference:
        """Of the outputs on the untouched frame, each the first of a batch."""
        return cls(sample, box, results_over_source(wanted, specs, sample, box))


class Gauge:
    """Meters for all tasks at one setting."""

    def __init__(self, specs: Mapping[str, TaskSpec]) -> None:
        self._specs = specs
        self.agreement: dict[str, Meter] = {task: REGISTRY[task].agreement(spec) for task, spec in specs.items()}
        self.accuracy: dict[str, Meter] = {task: REGISTRY[task].accuracy(spec) for task, spec in specs.items()}

    def add(self, got: Mapping[str, Outputs], reference: Reference) -> None:
        """One frame: outputs on what was decoded, each the first of a batch, and what to compare them with."""
        results = results_over_source(got, self._specs, reference.sample, reference.box)
        for task, result in results.items():
            self.agreement[task].add(result, reference.results[task])
            truth = truth_of(reference.sample, task)
            if truth is not None:
                self.accuracy[task].add(result, truth)

    def measured(self) -> list[str]:
        """Tasks that had labels."""
        return [task for task, meter in self.accuracy.items() if np.isfinite(meter.value())]
