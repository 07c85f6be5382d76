# SPDX-License-Identifier: Apache-2.0
"""The edge's topics to and from one robot."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.bundle import Bundle
from nepi_ros.codec import EpitomeHeader, Segment
from nepi_ros.msg import Classification, Epitome, LinkReport
from nepi_ros.nodes.assembler import Frame, Part
from nepi_ros.nodes.lifecycle import ManagedNode
from nepi_ros.nodes.results import ResultMessages
from nepi_ros.nodes.topics import FRAME_MESSAGES, newest

_COMPRESSED = {"segmentation": "segmentation/compressed", "depth": "depth/compressedDepth"}
_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class FrameHeader:
    """What a frame's results need to know of it."""

    header: Header
    task_mask: int
    source_size: tuple[int, int]


def part_of(message: Epitome, size: int, bundle: Bundle, arrival: float) -> Part[FrameHeader]:
    """A checked message as a part of its frame; `size` in serialised bytes, `arrival` in monotonic seconds.

    Raises:
        CodecError: the message is damaged, claims absurd sizes, or is not for this bundle.
    """
    fields, data = EpitomeHeader.from_message(message), bytes(message.data)
    fields.validate_against(bundle, data, message.checksum)
    return Part(
        sequence=fields.sequence,
        handover_ns=fields.handover_ns,
        frame_layers=fields.frame_layers,
        segment=Segment(fields.first_layer, fields.layer_count, data),
        size=size,
        arrival=arrival,
        header=FrameHeader(message.header, fields.task_mask, (fields.width, fields.height)),
    )


class RobotPort:
    """Topics of one robot: `robot` is its namespace, relative to the edge's unless it begins with a slash."""

    def __init__(self, node: ManagedNode, robot: str) -> None:
        self.robot = robot
        self.messages = 0
        self.frames = 0
        self._node = node
        self._space = f"{robot.rstrip('/')}/" if robot else ""
        private = f"~/{robot.strip('/')}".rstrip("/")
        self._compressed = {
            task: node.advertise(CompressedImage, self._space + name, newest()) for task, name in _COMPRESSED.items()
        }
        self._raw = {task: node.advertise(Image, f"{private}/{task}", newest()) for task in _COMPRESSED}
        self._classification = node.advertise(Classification, self._space + "classification", newest())
        self._report = node.advertise(LinkReport, self._space + "link_report", newest())
        self._subscription: Subscription | None = None

    def listen(self, callback: Callable[[RobotPort, bytes], None]) -> None:
        """Pass on every epitome of the robot, serialised."""
        self._subscription = self._node.listen(
            Epitome, self.epitome_topic, lambda data: callback(self, data), newest(FRAME_MESSAGES)
        )

    def close(self) -> None:
        """Remove the robot's topics."""
        self._node.retire(*self._compressed.values(), *self._raw.values(), self._classification, self._report)
        if self._subscription is not None:
            self._node.retire(self._subscription)

    @property
    def epitome_topic(self) -> str:
        return self._space + "epitome"

    def publish(self, header: FrameHeader, task: str, output: np.ndarray, messages: ResultMessages) -> None:
        """Publish one task's result of a frame, from its network's output; images only to those who listen."""
        if task == "classification":
            self._classification.publish(messages.classification(output, header.header))
            return
        compressed, raw = self._compressed[task], self._raw[task]
        if not compressed.get_subscription_count() and not raw.get_subscription_count():
            return
        result = messages.dense(task, output, header.source_size)
        if compressed.get_subscription_count():
            compressed.publish(messages.compressed(task, result, header.header))
        if raw.get_subscription_count():
            raw.publish(messages.raw(task, result, header.header))

    def report(self, frame: Frame[FrameHeader], layers: int) -> None:
        """Tell the robot what arrived of a frame. To be called after its results are out."""
        message = LinkReport(
            sequence=frame.sequence,
            handover_ns=frame.handover_ns,
            bytes=min(frame.size, _UINT32_MAX),
            layers=layers,
            arrival_spread_us=_microseconds(frame.last_arrival - frame.first_arrival),
            processing_us=_microseconds(time.monotonic() - frame.last_arrival),
            missed=frame.missed,
        )
        self._report.publish(message)
        self.frames += layers > 0


def _microseconds(seconds: float) -> int:
    return min(max(round(seconds * 1e6), 0), _UINT32_MAX)
