# SPDX-License-Identifier: Apache-2.0
"""Network outputs over the letterboxed input to results over the source image, and those to messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.bundle import Bundle
from nepi_ros.image import Letterbox, compressed_depth, compressed_labels, depth_image, label_image
from nepi_ros.letterbox import result_size
from nepi_ros.link.returns import DENSE, fitting, ladder
from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import Classification
from nepi_ros.tasks import REGISTRY, task_mask
from nepi_ros.tasks.classification import ranked

NEAREST_M = 0.05
"""Inverse depth needs a nearest distance above zero."""


@dataclass(frozen=True)
class ResultSizes:
    """Widths in pixels of segmentation and depth, 0 for the network's own; how many classes to name."""

    segmentation: int
    depth: int
    top_k: int

    def of(self, task: str) -> int:
        return self.segmentation if task == "segmentation" else self.depth


def giving_way(tasks: Sequence[str]) -> int:
    """Epitome.yields of tasks in order of priority: the mask of the last dense one; 0 without any.

    >>> giving_way(("depth", "segmentation", "classification"))
    1
    """
    dense = [task for task in tasks if task in DENSE]
    return task_mask(dense[-1:]) if dense else 0


def in_order(tasks: Sequence[str], yields: int) -> tuple[str, ...]:
    """The dense ones of these tasks, most important first, given Epitome.yields.

    >>> in_order(("depth", "segmentation"), yields=1)
    ('depth', 'segmentation')
    """
    wanted = [task for task in DENSE if task in tasks]
    return tuple(sorted(wanted, key=lambda task: bool(task_mask([task]) & yields)))


def over_source(
    task: str, output: np.ndarray, bundle: Bundle, source: tuple[int, int], width: int
) -> np.ndarray:
    """A dense task's result over the source image of (width, height) pixels, bars removed.

    `output` is the network's, without batch dimension. The result is `width` pixels wide with the source's
    aspect (0: as many pixels as the network gives), so that its point (u, v) lies over the source at the
    same relative place.
    """
    letterbox = Letterbox(source, bundle.input_size)
    own = (output.shape[-1], output.shape[-2])
    if width == 0:
        return letterbox.crop(REGISTRY[task].result(output, own, bundle.tasks[task]))
    size = result_size(source, width)
    _, _, *content = letterbox.content
    # Sampled where the result's pixels are, so that the bars cut off are (nearly) whole pixels.
    whole = tuple(max(1, round(s * i / c)) for s, i, c in zip(size, bundle.input_size, content, strict=True))
    return letterbox.crop(REGISTRY[task].result(output, whole, bundle.tasks[task]), size)


class ResultMessages:
    """Makes a frame's result messages from its outputs."""

    def __init__(self, bundle: Bundle, sizes: ResultSizes) -> None:
        self._bundle = bundle
        self._sizes = sizes

    def dense(self, task: str, output: np.ndarray, source: tuple[int, int], scale: float = 1.0) -> np.ndarray:
        """Segmentation (uint8 class ids) or depth (float32 metres) over a source image of (width, height).

        `scale`: of the configured width.
        """
        width = self._sizes.of(task)
        if scale != 1.0:
            width = max(1, round(scale * (width or self._own_width(output, source))))
        return over_source(task, output, self._bundle, source, width)

    def _own_width(self, output: np.ndarray, source: tuple[int, int]) -> float:
        """Pixels of a network's output that lie over the source, across."""
        content = Letterbox(source, self._bundle.input_size).content
        return output.shape[-1] * content[2] / self._bundle.input_size[0]

    def within(
        self, granted: int, outputs: Mapping[str, np.ndarray], order: Sequence[str], source: tuple[int, int],
        header: Header,
    ) -> dict[str, bytes]:  # fmt: skip
        """Compressed dense results, serialised, as wide as `granted` bytes on the wire allow (0: as configured).

        `order`: the tasks, most important first; the last gives way first.
        """
        made: dict[tuple[str, float], bytes] = {}

        def message(task: str, scale: float) -> bytes:
            if (task, scale) not in made:
                result = self.dense(task, outputs[task], source, scale)
                made[task, scale] = serialize_message(self.compressed(task, result, header))
            return made[task, scale]

        def cost(step: Mapping[str, float]) -> int:
            return sum(wire_bytes(len(message(task, scale))) for task, scale in step.items())

        chosen = fitting(ladder(order), granted, cost)
        return {task: message(task, scale) for task, scale in chosen.items()}

    def compressed(self, task: str, result: np.ndarray, header: Header) -> CompressedImage:
        """A dense result as it goes over the radio."""
        if task == "segmentation":
            return compressed_labels(result, header)
        spec = self._bundle.tasks[task]
        return compressed_depth(result, header, max(spec.min_m, NEAREST_M), spec.max_m)

    @staticmethod
    def raw(task: str, result: np.ndarray, header: Header) -> Image:
        """A dense result as an image."""
        make: Callable[[np.ndarray, Header], Image] = label_image if task == "segmentation" else depth_image
        return make(result, header)

    def classification(self, output: np.ndarray, header: Header) -> Classification:
        """The most probable classes, best first."""
        spec = self._bundle.tasks["classification"]
        best = ranked(REGISTRY["classification"].result(output, (0, 0), spec), spec.classes, self._sizes.top_k)
        return Classification(
            header=header, names=[name for name, _ in best], scores=[score for _, score in best]
        )
