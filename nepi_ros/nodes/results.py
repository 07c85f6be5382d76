# SPDX-License-Identifier: Apache-2.0
"""Network outputs over the letterboxed input to results over the source image, and those to messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from nepi_ros.bundle import Bundle
from nepi_ros.image import Letterbox, depth_image, label_image
from nepi_ros.letterbox import result_size
from nepi_ros.link.returns import ALIGNMENT, DENSE, Step, fitting, grouped, ladder, named, named_bytes
from nepi_ros.link.wire import single_packet, wire_bytes
from nepi_ros.msg import Classification, LinkReport, Results
from nepi_ros.result_code import NEAREST_M, depth_levels, pack_depth, pack_labels
from nepi_ros.tasks import REGISTRY, task_mask
from nepi_ros.tasks.classification import ranked

_SLIVER = 4  # times as many pixels as the result has, at most, before the bars are cut off


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
    """These tasks, most important first, given Epitome.yields.

    >>> in_order(("depth", "segmentation"), yields=1)
    ('depth', 'segmentation')
    """
    wanted = [task for task in REGISTRY if task in tasks]
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
    # Of a source that is a sliver they would be far too many.
    whole = tuple(
        min(max(1, round(s * i / c)), _SLIVER * s) for s, i, c in zip(size, bundle.input_size, content, strict=True)
    )
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
        self, granted: int, outputs: Mapping[str, np.ndarray], yields: int, source: tuple[int, int], header: Header
    ) -> list[Results]:
        """A frame's messages, with results as large as `granted` bytes on the wire allow (0: as configured).

        `yields` as in Epitome. The last message, maybe the only one, has a report to be filled in.
        """
        packed = cache(lambda task, scale: self._packed(task, outputs[task], source, scale))

        def made(step: Step) -> list[Results]:
            return _in_messages({task: packed(task, scale) for task, scale in step.items()}, header)

        steps = ladder(in_order(tuple(outputs), yields))
        return made(fitting(steps, granted, lambda step: sum(map(_wire_bytes, made(step)))))

    def _packed(self, task: str, output: np.ndarray, source: tuple[int, int], scale: float) -> dict[str, Any]:
        """A result as the fields of a Results."""
        if task == "classification":
            best = self._best(output, named(self._sizes.top_k, scale))
            return {"names": [name for name, _ in best], "scores": [score for _, score in best]}
        result = self.dense(task, output, source, scale)
        if task == "segmentation":
            return {task: pack_labels(result)}
        spec = self._bundle.tasks[task]
        return {task: pack_depth(result, max(spec.min_m, NEAREST_M), spec.max_m, depth_levels(scale))}

    @staticmethod
    def raw(task: str, result: np.ndarray, header: Header) -> Image:
        """A dense result as an image."""
        make: Callable[[np.ndarray, Header], Image] = label_image if task == "segmentation" else depth_image
        return make(result, header)

    def classification(self, output: np.ndarray, header: Header) -> Classification:
        """The most probable classes, best first."""
        best = self._best(output, self._sizes.top_k)
        return Classification(
            header=header, names=[name for name, _ in best], scores=[score for _, score in best]
        )

    def _best(self, output: np.ndarray, count: int) -> list[tuple[str, float]]:
        spec = self._bundle.tasks["classification"]
        return ranked(REGISTRY["classification"].result(output, (0, 0), spec), spec.classes, count)


def _in_messages(parts: Mapping[str, Mapping[str, Any]], header: Header) -> list[Results]:
    """Packed results in as few messages as hold them in a packet each."""
    groups = grouped({task: _size(fields) for task, fields in parts.items()}, _room(header.frame_id))
    messages = [
        Results(header=header, **{name: value for task in group for name, value in parts[task].items()})
        for group in groups
    ]
    messages[-1].report = [LinkReport()]
    return messages


def _size(fields: Mapping[str, Any]) -> int:
    return named_bytes(fields["names"]) if "names" in fields else sum(map(len, fields.values()))


@lru_cache(maxsize=16)
def _room(frame_id: str) -> int:
    """Bytes of results in a Results that fits one packet; it depends on the length of frame_id alone."""
    empty = Results(header=Header(frame_id=frame_id), report=[LinkReport()])
    return single_packet() - len(serialize_message(empty)) - ALIGNMENT


def _wire_bytes(message: Results) -> int:
    return wire_bytes(len(serialize_message(message)))
