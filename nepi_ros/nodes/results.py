# SPDX-License-Identifier: Apache-2.0
"""Network outputs over the letterboxed input to results over the source image, and those to messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.bundle import Bundle
from nepi_ros.image import Letterbox, compressed_depth, compressed_labels, depth_image, label_image
from nepi_ros.msg import Classification
from nepi_ros.tasks import REGISTRY
from nepi_ros.tasks.classification import ranked

TALLEST = 4
"""A result is at most so many times as high as wide, whatever the shape of the source."""
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
    size = (width, int(np.clip(round(width * source[1] / source[0]), 1, TALLEST * width)))
    _, _, *content = letterbox.content
    # Sampled where the result's pixels are, so that the bars cut off are (nearly) whole pixels.
    whole = tuple(max(1, round(s * i / c)) for s, i, c in zip(size, bundle.input_size, content, strict=True))
    return letterbox.crop(REGISTRY[task].result(output, whole, bundle.tasks[task]), size)


class ResultMessages:
    """Makes a frame's result messages from its outputs."""

    def __init__(self, bundle: Bundle, sizes: ResultSizes) -> None:
        self._bundle = bundle
        self._sizes = sizes

    def dense(self, task: str, output: np.ndarray, source: tuple[int, int]) -> np.ndarray:
        """Segmentation (uint8 class ids) or depth (float32 metres) over a source image of (width, height)."""
        return over_source(task, output, self._bundle, source, self._sizes.of(task))

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
