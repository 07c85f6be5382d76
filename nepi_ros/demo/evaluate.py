# SPDX-License-Identifier: Apache-2.0
"""Compares the results that came back with truth and with the target networks on the untouched frames."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from nepi_ros.bundle import Bundle
from nepi_ros.codec.networks import TargetNetworks, untouched
from nepi_ros.datasets import FrameSet, Sample
from nepi_ros.demo.record import FrameRecord, Result
from nepi_ros.demo.summary import Quality
from nepi_ros.letterbox import Letterbox
from nepi_ros.nodes.results import over_source
from nepi_ros.progress import progress_bar
from nepi_ros.tasks import REGISTRY

JPEG_QUALITY = 90


def evaluate(
    frames: Iterable[FrameRecord], frame_set: FrameSet, bundle: Bundle, tasks: tuple[str, ...], threads: int = 2
) -> Quality:
    """Judge every frame whose place in `frame_set` is known; late results count like the others."""
    judge = _Judge(bundle, tasks, frame_set, threads)
    for frame in progress_bar(frames, desc="comparing", leave=False):
        if frame.index is not None:
            judge.add(frame, frame_set.load(frame.index))
    return judge.quality()


def jpeg_bytes(rgb: np.ndarray, quality: int = JPEG_QUALITY) -> int:
    """Size of an RGB frame, uint8 [H, W, 3], as JPEG with OpenCV's other settings left alone."""
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))
    return data.size


class _Judge:
    def __init__(self, bundle: Bundle, tasks: tuple[str, ...], frame_set: FrameSet, threads: int) -> None:
        self._bundle, self._tasks, self._set = bundle, tasks, frame_set
        self._targets = TargetNetworks(bundle, tasks, threads=threads)
        specs = {task: bundle.tasks[task] for task in tasks}
        self._agreement = {task: REGISTRY[task].agreement(specs[task]) for task in tasks}
        self._accuracy = {task: REGISTRY[task].accuracy(specs[task]) for task in tasks}
        self._target_accuracy = {task: REGISTRY[task].accuracy(specs[task]) for task in tasks}
        self._largest = dict.fromkeys(tasks, -1)
        self._jpeg: list[int] = []
        self._compared = 0

    def add(self, frame: FrameRecord, sample: Sample) -> None:
        self._jpeg.append(jpeg_bytes(sample.rgb))
        if not frame.results:
            return
        self._compared += 1
        source = sample.rgb.shape[1::-1]
        outputs = self._targets.run(untouched(Letterbox(source, self._bundle.input_size).apply(sample.rgb)[None]))
        for task, received in frame.results.items():
            result = self._comparable(task, received)
            target = self._target_result(task, outputs[task][0], source, result)
            self._agreement[task].add(result, target)
            truth = _truth(task, sample, result)
            if truth is not None:
                self._largest[task] = max(self._largest[task], _largest_class(task, truth))
                self._accuracy[task].add(result, truth)
                self._target_accuracy[task].add(target, truth)

    def quality(self) -> Quality:
        reasons = {task: reason for task in self._tasks if (reason := self._no_truth(task))}
        nothing = "no frame came back" if not self._compared else "none of its results came back"
        agreement = {task: _number(self._agreement[task].value()) for task in self._tasks}
        notes = {f"agreement.{task}": nothing for task, value in agreement.items() if value is None}
        accuracy, target = (
            {task: None if task in reasons else _number(meters[task].value()) for task in self._tasks}
            for meters in (self._accuracy, self._target_accuracy)
        )
        for task, value in accuracy.items():
            if value is None:
                notes[f"accuracy.{task}"] = reasons.get(task, nothing)
        jpeg = round(float(np.mean(self._jpeg)), 1) if self._jpeg else None
        return Quality(accuracy, agreement, target, jpeg, self._compared, notes)

    def _comparable(self, task: str, received: Result) -> np.ndarray:
        """A received result in the form in which meters take it."""
        if REGISTRY[task].dense:
            return received
        scores = dict(received)
        return np.array([scores.get(name, 0.0) for name in self._bundle.tasks[task].classes], np.float32)

    def _target_result(self, task: str, output: np.ndarray, source: tuple[int, int], like: np.ndarray) -> np.ndarray:
        if not REGISTRY[task].dense:
            return REGISTRY[task].result(output, (0, 0), self._bundle.tasks[task])
        # As the edge does it: at the network's own resolution, or at the width it was told.
        for width in (0, like.shape[1]):
            result = over_source(task, output, self._bundle, source, width)
            if result.shape == like.shape:
                break
        return result

    def _no_truth(self, task: str) -> str | None:
        """Why this set cannot say how accurate a task is; None when it can."""
        names, classes = _class_names(task, self._set), self._bundle.tasks[task].classes
        if task != "depth" and names and names != classes:
            return f"{self._set.folder} has the classes {', '.join(names)}, the bundle {', '.join(classes)}"
        if self._largest[task] < 0:
            return f"{self._set.folder} has no truth for it" if self._compared else None
        # One class more is what many sets give to places that are nothing; it is not compared.
        void = task == "segmentation" and self._largest[task] == len(classes)
        if task != "depth" and self._largest[task] >= len(classes) and not void:
            return f"{self._set.folder} has class {self._largest[task]}, the bundle only {len(classes)} classes"
        if task == "segmentation" and not names and self._largest[task] + 1 < len(classes):
            return (
                f"{self._set.folder} does not name its classes (0 to {self._largest[task]}), "
                f"and they are not the bundle's {len(classes)}"
            )
        return None


def _truth(task: str, sample: Sample, like: np.ndarray) -> np.ndarray | None:
    """A sample's truth at the result's resolution."""
    if task == "classification":
        return None if sample.place is None else np.array(sample.place)
    truth = sample.segmentation if task == "segmentation" else sample.depth
    if truth is None or truth.shape == like.shape:
        return truth
    # The nearest, not a mixture: between two surfaces there is neither a class nor a depth.
    return cv2.resize(truth, like.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def _class_names(task: str, frame_set: FrameSet) -> tuple[str, ...]:
    if task == "classification":
        return tuple(frame_set.info.get("places", frame_set.class_names))
    return tuple(frame_set.info.get("classes", ()))


def _largest_class(task: str, truth: np.ndarray) -> int:
    if task == "depth":
        return 0
    known = truth[truth != 255] if task == "segmentation" else truth
    return int(known.max()) if known.size else -1


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
