# SPDX-License-Identifier: Apache-2.0
"""Every task as data, so that other code loops over tasks and never asks which one it has.

A network's output becomes a *result*: labels uint8 [h, w] (segmentation), metres float32 [h, w] (depth) or
probabilities float32 [K] (classification). Results are what meters compare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nepi_ros.tasks import classification, depth, segmentation
from nepi_ros.tasks.masks import TASKS
from nepi_ros.tasks.meters import IouMeter, Meter, RootMeter, ShareMeter
from nepi_ros.tasks.resample import bilinear
from nepi_ros.tasks.spec import TaskSpec

_NEAREST = 1e-3  # metres


@dataclass(frozen=True)
class Task:
    """How to treat one task.

    `output` and `rank` are the name and number of dimensions of its network's output (batch included);
    `channels(spec)` is the size of that output's second dimension. `result(output, size, spec)` turns one
    frame's output (no batch dimension) into a result of `size` = (width, height); tasks without pixels ignore it.
    `agreement(spec)` meters results against the results of the untouched frame, `accuracy(spec)` against truth
    (labels uint8 [h, w]; metres [h, w]; class index [] respectively); `metric` names the latter. `errors` are
    further meters against truth by name, of which less is better. `blend(output, other, weight)` is the output that two
    make together, of which the other counts `weight` times as much as the first.
    """

    name: str
    output: str
    rank: int
    channels: Callable[[TaskSpec], int]
    result: Callable[[np.ndarray, tuple[int, int], TaskSpec], np.ndarray]
    agreement: Callable[[TaskSpec], Meter]
    accuracy: Callable[[TaskSpec], Meter]
    metric: str
    dense: bool
    blend: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    errors: Mapping[str, Callable[[TaskSpec], Meter]] = field(default_factory=dict)

    def output_shape(self, spec: TaskSpec) -> tuple[int | None, ...]:
        """Shape of its network's output without batch; None = any."""
        return (self.channels(spec), *(None,) * (self.rank - 2))


def _labels(output: np.ndarray, size: tuple[int, int], spec: TaskSpec) -> np.ndarray:
    return segmentation.labels(output, size)


def _metres(output: np.ndarray, size: tuple[int, int], spec: TaskSpec) -> np.ndarray:
    metres = depth.resize(output[0], size)
    return np.clip(metres, spec.min_m, spec.max_m) if spec.max_m > 0 else metres


def _probabilities(output: np.ndarray, size: tuple[int, int], spec: TaskSpec) -> np.ndarray:
    return classification.probabilities(output)


def _blend_logits(output: np.ndarray, other: np.ndarray, weight: float) -> np.ndarray:
    """The product of both opinions (Hinton, "Training products of experts", 2002), in logits."""
    return (_log_shares(output) + weight * _log_shares(_like(output, other))) / np.float32(1 + weight)


def _blend_depths(output: np.ndarray, other: np.ndarray, weight: float) -> np.ndarray:
    """The mean ratio, as delta-1 counts depths."""
    logs = (np.log(np.maximum(metres, _NEAREST)) for metres in (output, _like(output, other)))
    return np.exp((next(logs) + weight * next(logs)) / np.float32(1 + weight))


def _log_shares(logits: np.ndarray) -> np.ndarray:
    beside_best = logits - logits.max(axis=0)
    return beside_best - np.log(np.exp(beside_best).sum(axis=0))


def _like(output: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The other output at the size of the first."""
    if other.shape == output.shape:
        return other
    return np.stack([bilinear(channel, output.shape[:0:-1]) for channel in other])


def _same_pixels(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    return int((a == b).sum()), a.size


def _same_class(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    return int(a.argmax() == b.argmax()), 1


def _right_class(result: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    known = 0 <= int(truth) < result.size  # a negative or unknown class is no truth
    return (int(result.argmax() == int(truth)), 1) if known else (0, 0)


_ALL = (
    Task(
        name="segmentation", output="logits", rank=4, dense=True, channels=lambda spec: len(spec.classes),
        result=_labels, agreement=lambda spec: ShareMeter(_same_pixels),
        accuracy=lambda spec: IouMeter(len(spec.classes)), metric="mean IoU", blend=_blend_logits,
    ),
    Task(
        name="depth", output="depth", rank=4, dense=True, channels=lambda spec: 1,
        result=_metres, agreement=lambda spec: ShareMeter(depth.within),
        accuracy=lambda spec: ShareMeter(depth.within), metric="delta-1", blend=_blend_depths,
        errors={
            "absolute relative error": lambda spec: ShareMeter(depth.relative_errors),
            "RMSE in metres": lambda spec: RootMeter(depth.squared_errors),
        },
    ),
    Task(
        name="classification", output="logits", rank=2, dense=False, channels=lambda spec: len(spec.classes),
        result=_probabilities, agreement=lambda spec: ShareMeter(_same_class),
        accuracy=lambda spec: ShareMeter(_right_class), metric="accuracy", blend=_blend_logits,
    ),
)  # fmt: skip

REGISTRY: dict[str, Task] = {task.name: task for task in _ALL}
assert tuple(REGISTRY) == TASKS
