# SPDX-License-Identifier: Apache-2.0
"""The profile of a bundle: what each number of layers costs and what it is worth, measured on validation frames."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nepi_ros.errors import BundleError


@dataclass(frozen=True)
class Profile:
    """Means over `frames` frames, one entry per prefix: entry k is for the first k + 1 layers.

    `bytes`: size of an epitome's data in one stream. `agreement[task]`: with the target network on the
    untouched frame, 0 to 1. `accuracy[task]`: against truth, in the task's own metric (absent without truth), and
    `target_accuracy[task]` the same for the target network on the untouched frame.
    """

    bytes: tuple[float, ...]
    agreement: dict[str, tuple[float, ...]]
    accuracy: dict[str, tuple[float, ...]] = field(default_factory=dict)
    target_accuracy: dict[str, float] = field(default_factory=dict)
    frames: int = 0

    def bytes_of(self, layers: int, tasks: Iterable[str] = ()) -> float:
        """Mean bytes of the first `layers` layers (0 gives 0), whichever of the profile's tasks are wanted."""
        self._check(layers)
        return self.bytes[layers - 1] if layers else 0.0

    def accuracy_of(self, layers: int, tasks: Iterable[str]) -> float:
        """Worst agreement over `tasks` with the first `layers` layers, 0 to 1 (no layers gives 0)."""
        self._check(layers)
        return min(self._curve(task)[layers - 1] for task in tasks) if layers else 0.0

    def accuracies_of(self, tasks: Iterable[str]) -> tuple[float, ...]:
        """`accuracy_of` the first 1, 2, ... layers."""
        return tuple(map(min, zip(*map(self._curve, tasks), strict=True)))

    def useful_layers(self, tasks: Iterable[str], most: int | None = None, tolerance: float = 0.002) -> int:
        """The smallest prefix with which each task agrees as well as with the first `most` layers (None: all), within
        `tolerance`."""
        curves = [self._curve(task)[:most] for task in tasks]
        for layers in range(1, len(self.bytes) + 1):
            if all(curve[layers - 1] >= curve[-1] - tolerance for curve in curves):
                return layers
        raise AssertionError("the full prefix is always as good as itself")

    def worthwhile(self, tasks: Sequence[str], most: int | None = None) -> tuple[int, ...]:
        """The prefixes with which the worst of `tasks` agrees better than with any shorter one, up to the useful ones
        of the first `most` layers (None: all).

        A prefix that ends within a layer may be worse than one without that layer.
        """
        useful = self.accuracies_of(tasks)[: self.useful_layers(tasks, most)]
        return tuple(place + 1 for place in improvements(useful))

    def layers_within(self, tasks: Iterable[str], budget: float) -> int:
        """The largest prefix whose mean bytes fit `budget` bytes; 0 when not even the first layer does."""
        return max((k + 1 for k, size in enumerate(self.bytes) if size <= budget), default=0)

    def _curve(self, task: str) -> tuple[float, ...]:
        try:
            return self.agreement[task]
        except KeyError:
            raise BundleError(
                f"the bundle has no profile for task {task!r}, only for {sorted(self.agreement)}"
            ) from None

    def _check(self, layers: int) -> None:
        if not 0 <= layers <= len(self.bytes):
            raise ValueError(f"{layers} layers asked of a profile of {len(self.bytes)}")

    def to_json(self) -> dict[str, Any]:
        """As in bundle.json."""
        return {
            "bytes": list(self.bytes),
            "agreement": {task: list(curve) for task, curve in self.agreement.items()},
            "accuracy": {task: list(curve) for task, curve in self.accuracy.items()},
            "target_accuracy": dict(self.target_accuracy),
            "frames": self.frames,
        }

    @classmethod
    def from_json(cls, data: Any, layers: int, tasks: Iterable[str]) -> "Profile":
        """Read and check a profile for `layers` layers and `tasks`. Raises BundleError naming the field."""
        if not isinstance(data, dict):
            raise BundleError("profile is not an object")
        sizes = _numbers(data.get("bytes"), "bytes", layers, 0, math.inf)
        if any(b < a for a, b in zip(sizes[:-1], sizes[1:], strict=True)):
            raise BundleError("profile bytes shrink with more layers")
        agreement = {t: _numbers(data.get("agreement", {}).get(t), f"agreement of {t}", layers, 0, 1) for t in tasks}
        accuracy = {t: _numbers(c, f"accuracy of {t}", layers, 0, 1) for t, c in data.get("accuracy", {}).items()}
        target = {
            t: _numbers([v], f"target_accuracy of {t}", 1, 0, 1)[0] for t, v in data.get("target_accuracy", {}).items()
        }
        frames = data.get("frames", 0)
        if not isinstance(frames, int) or frames < 0:
            raise BundleError("profile frames is not a number of frames")
        return cls(sizes, agreement, accuracy, target, frames)


def improvements(curve: Iterable[float]) -> list[int]:
    """The places of values above all before them, from 0 up.

    >>> improvements([0.5, 0.4, 0.5, 0.6])
    [0, 3]
    """
    found, best = [], -math.inf
    for place, value in enumerate(curve):
        if value > best:
            found.append(place)
            best = value
    return found


def _numbers(values: Any, what: str, count: int, low: float, high: float) -> tuple[float, ...]:
    good = isinstance(values, list) and len(values) == count
    if not good or not all(isinstance(v, (int, float)) and low <= v <= high and v < math.inf for v in values):
        raise BundleError(f"profile {what} must be {count} numbers from {low} to {high}")
    return tuple(float(v) for v in values)
