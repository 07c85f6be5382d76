# SPDX-License-Identifier: Apache-2.0
"""What measuring on labelled frames has in common, wherever it is done: results and truths that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nepi_ros.datasets import Sample
from nepi_ros.letterbox import Letterbox
from nepi_ros.tasks import REGISTRY, Task, TaskSpec


def truth_of(sample: Sample, task: str) -> np.ndarray | None:
    """What the labels say of a task: uint8 [h, w], metres [h, w] or class index []; None without labels."""
    known = {"segmentation": sample.segmentation, "depth": sample.depth, "classification": sample.place}[task]
    return None if known is None else np.asarray(known)


def result_size(truth: np.ndarray | None, box: Letterbox) -> tuple[int, int]:
    """At which size (width, height) results are compared: the truth's, or the content's without a dense truth."""
    return truth.shape[::-1] if truth is not None and truth.ndim else box.content[2:]


def result_over_source(
    task: Task, output: np.ndarray, size: tuple[int, int], spec: TaskSpec, box: Letterbox
) -> np.ndarray:
    """A network's output as a result at `size` over the source image, without the letterbox's bars."""
    if task.dense:
        output = np.stack([box.crop(plane) for plane in output])
    return task.result(output, size, spec)


def results_over_source(
    outputs: Mapping[str, np.ndarray | Sequence[np.ndarray]],
    specs: Mapping[str, TaskSpec],
    sample: Sample,
    box: Letterbox,
) -> dict[str, np.ndarray]:
    """Each task's result over a frame's source, where its truth can be laid beside it: of outputs that are the first of
    a batch."""
    sizes = {task: result_size(truth_of(sample, task), box) for task in specs}
    return {
        task: result_over_source(REGISTRY[task], outputs[task][0], sizes[task], spec, box)
        for task, spec in specs.items()
    }
