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
from nepi_ros.motion import Motion
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
        self._seen: tuple[View, dict[str, list[np.ndarray]]] | None = None

    def counts(self, frame: Frame, coded: Coded | None) -> Counts:
        """Counts of one frame as it was decoded (None: as it is)."""
        wanted = self._wanted.get(id(frame))
        if wanted is None:
            wanted = self._wanted[id(frame)] = self.results(frame, View.of(frame.image))
        got = wanted if coded is None else self.results(frame, coded.view, coded.motion)
        return {task: self._count(task, got[task], wanted[task], truth_of(frame.sample, task)) for task in got}

    def results(self, frame: Frame, view: View, motion: Motion | None = None) -> dict[str, np.ndarray]:
        """The tasks' results on what there is to see or is answered, over the frame's source; moved, where they are of
        an earlier frame."""
        results = results_over_source(self._outputs(view), self._specs, frame.sample, frame.box)
        if motion is None:
            return results
        return {task: motion.moved(found) if REGISTRY[task].dense else found for task, found in results.items()}

    def _outputs(self, view: View) -> dict[str, list[np.ndarray]]:
        """What the networks say, once where several frames in a row are of one view."""
        if self._seen is None or self._seen[0] is not view:
            self._seen = view, self.networks.see([view])
        return self._seen[1]

    def _count(self, task: str, got: np.ndarray, wanted: np.ndarray, truth: np.ndarray | None) -> dict[str, np.ndarray]:
        counts = {}
        for name, make in self._meters[task].items():
            meter, other = make(), wanted if name == AGREEMENT else truth
            if other is not None:
                meter.add(got, other)
            counts[name] = meter.counts
        return counts
