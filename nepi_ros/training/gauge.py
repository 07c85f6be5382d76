# SPDX-License-Identifier: Apache-2.0
"""How good the target networks' results on what was decoded are, for all tasks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nepi_ros.datasets import Sample
from nepi_ros.letterbox import Letterbox
from nepi_ros.measure import result_over_source, result_size, truth_of
from nepi_ros.tasks import REGISTRY, Meter, TaskSpec

Outputs = np.ndarray | Sequence[np.ndarray]
"""A network's outputs for a batch."""


class Gauge:
    """Meters for all tasks at one setting."""

    def __init__(self, specs: Mapping[str, TaskSpec]) -> None:
        self._specs = specs
        self.agreement: dict[str, Meter] = {task: REGISTRY[task].agreement(spec) for task, spec in specs.items()}
        self.accuracy: dict[str, Meter] = {task: REGISTRY[task].accuracy(spec) for task, spec in specs.items()}

    def add(
        self, got: Mapping[str, Outputs], wanted: Mapping[str, Outputs], sample: Sample, box: Letterbox
    ) -> None:
        """One frame: outputs on what was decoded, outputs on the untouched one, each the first of a batch; labels."""
        for task, spec in self._specs.items():
            entry, truth = REGISTRY[task], truth_of(sample, task)
            size = result_size(truth, box)
            result = result_over_source(entry, got[task][0], size, spec, box)
            self.agreement[task].add(result, result_over_source(entry, wanted[task][0], size, spec, box))
            if truth is not None:
                self.accuracy[task].add(result, truth)

    def measured(self) -> list[str]:
        """Tasks that had labels."""
        return [task for task, meter in self.accuracy.items() if np.isfinite(meter.value())]
