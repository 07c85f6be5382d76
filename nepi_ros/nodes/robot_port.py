# SPDX-License-Identifier: Apache-2.0
"""The edge's topics to and from one robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.bundle import Bundle
from nepi_ros.codec import EpitomeHeader, Segment
from nepi_ros.link.returns import SMALLEST, UNLIMITED
from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import Classification, Epitome, LinkReport
from nepi_ros.nodes.assembler import Frame, Part
from nepi_ros.nodes.lifecycle import ManagedNode
from nepi_ros.nodes.results import ResultMessages, in_order
from nepi_ros.nodes.topics import FRAME_MESSAGES, newest

_COMPRESSED = {"segmentation": "segmentation/compressed", "depth": "depth/compressedDepth"}
_UINT32_MAX = 2**32 - 1
_REPORT_BYTES = wire_bytes(len(serialize_message(LinkReport())))


@dataclass(frozen=True)
class FrameHeader:
    """What a frame's results need to know of it; `granted` and `yields` as Epitome's result_bytes and yields."""

    header: Header
    task_mask: int
    source_size: tuple[int, int]
    granted: int = UNLIMITED
    yields: int = 0


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
        header=FrameHeader(
            message.header, fields.task_mask, (fields.width, fields.height), fields.result_bytes, fields.yields
        ),
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

    def publish(self, header: FrameHeader, outputs: Mapping[str, np.ndarray], messages: ResultMessages) -> int:
        """Publish a frame's results, from its networks' outputs; images only to those who listen.

        Returns the bytes on the wire that go to the robot, the report's own included.
        """
        spent = _REPORT_BYTES
        if "classification" in outputs:
            data = serialize_message(messages.classification(outputs["classification"], header.header))
            self._classification.publish(data)
            spent += wire_bytes(len(data))
        wanted = [task for task in self._compressed if task in outputs and self._is_heard(self._compressed[task])]
        granted = UNLIMITED if header.granted == UNLIMITED else max(SMALLEST, header.granted - spent)
        order = in_order(wanted, header.yields)
        for task, data in messages.within(granted, outputs, order, header.source_size, header.header).items():
            self._compressed[task].publish(data)
            spent += wire_bytes(len(data))
        for task, raw in self._raw.items():
            if task in outputs and self._is_heard(raw):
                raw.publish(messages.raw(task, messages.dense(task, outputs[task], header.source_size), header.header))
        return spent

    @staticmethod
    def _is_heard(publisher: Publisher) -> bool:
        return publisher.get_subscription_count() > 0

    def report(self, frame: Frame[FrameHeader], layers: int, result_bytes: int = _REPORT_BYTES) -> None:
        """Tell the robot what arrived of a frame. To be called after its results are out.

        `result_bytes`: on the wire, of these and of the report.
        """
        message = LinkReport(
            sequence=frame.sequence,
            handover_ns=frame.handover_ns,
            bytes=min(frame.size, _UINT32_MAX),
            layers=layers,
            arrival_spread_us=_microseconds(frame.last_arrival - frame.first_arrival),
            processing_us=_microseconds(time.monotonic() - frame.last_arrival),
            missed=frame.missed,
            result_bytes=min(result_bytes, _UINT32_MAX),
        )
        self._report.publish(message)
        self.frames += layers > 0


def _microseconds(seconds: float) -> int:
    return min(max(round(seconds * 1e6), 0), _UINT32_MAX)
