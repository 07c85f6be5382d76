# SPDX-License-Identifier: Apache-2.0
"""What the target networks make of a decoded image, as counts per frame that add up over any frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from nepi_ros.bench.frames import Frame
from nepi_ros.bench.peers.base import Coded
from nepi_ros.bundle import Bundle
from nepi_ros.codec import TargetNetworks, View
from nepi_ros.errors import ConfigError
from nepi_ros.measure import results_over_source, truth_of
from nepi_ros.tasks import REGISTRY, Meter

AGREEMENT = "agreement"
ACCURACY = "accuracy"
# Of which folder they are; the robust ones were trained with JPEG among their augmentations.
_OTHERS = {"plain": "", "robust": "robust"}
TARGETS = tuple(_OTHERS)

Counts = dict[str, dict[str, np.ndarray]]
"""Of one frame: task -> measure -> counts [D]. Measures are AGREEMENT, ACCURACY and the names of Task.errors."""


def meters_of(bundle: Bundle) -> dict[str, dict[str, Callable[[], Meter]]]:
    """Makers of meters: task -> measure -> function that makes an empty one."""
    made: dict[str, dict[str, Callable[[], Meter]]] = {}
    for task, spec in bundle.tasks.items():
        entry = REGISTRY[task]
        factories = {AGREEMENT: entry.agreement, ACCURACY: entry.accuracy, **entry.errors}
        made[task] = {name: (lambda make=make, spec=spec: make(spec)) for name, make in factories.items()}
    return made


def networks_id(bundle: Bundle, targets: str) -> str:
    """Identifies the target networks. Raises ConfigError when the bundle has no such set."""
    digest = hashlib.sha256()
    for task in bundle.tasks:
        file = bundle.network_file(task, _OTHERS[targets])
        if not file.is_file():
            raise ConfigError(f"{file}: bundle {bundle.name} has no {targets} targets; run with --targets plain")
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class Judge:
    """Compares results on decoded images with labels and with the results on the untouched frames."""

    def __init__(self, bundle: Bundle, targets: str = "plain") -> None:
        self.networks = TargetNetworks(bundle, bundle.tasks, others=_OTHERS[targets])
        self._specs = bundle.tasks
        self._meters = meters_of(bundle)
        self._wanted: dict[int, dict[str, np.ndarray]] = {}

    def counts(self, frame: Frame, coded: Coded | None) -> Counts:
        """Counts of one frame as it was decoded (None: as it is)."""
        wanted = self._wanted.get(id(frame))
        if wanted is None:
            wanted = self._wanted[id(frame)] = self.results(frame, View.of(frame.image))
        got = wanted if coded is None else self.results(frame, coded.view)
        return {task: self._count(task, got[task], wanted[task], truth_of(frame.sample, task)) for task in got}

    def results(self, frame: Frame, view: View) -> dict[str, np.ndarray]:
        """The tasks' results on what there is to see or is answered, over the frame's source."""
        return results_over_source(self.networks.see([view]), self._specs, frame.sample, frame.box)

    def _count(self, task: str, got: np.ndarray, wanted: np.ndarray, truth: np.ndarray | None) -> dict[str, np.ndarray]:
        counts = {}
        for name, make in self._meters[task].items():
            meter, other = make(), wanted if name == AGREEMENT else truth
            if other is not None:
                meter.add(got, other)
            counts[name] = meter.counts
        return counts
