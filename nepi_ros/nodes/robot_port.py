# SPDX-License-Identifier: Apache-2.0
"""The edge's topics to and from one robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rclpy.serialization import serialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from nepi_ros.bundle import Bundle
from nepi_ros.codec import EpitomeHeader, ReceivedFrames, Segment
from nepi_ros.link.budget import PICTURE_PATIENCE
from nepi_ros.link.returns import DENSE, UNLIMITED
from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import Classification, Epitome, LinkReport, Results
from nepi_ros.nodes.assembler import Frame, Part
from nepi_ros.nodes.lifecycle import ManagedNode
from nepi_ros.nodes.results import ResultMessages
from nepi_ros.nodes.topics import FRAME_MESSAGES, newest

_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class FrameHeader:
    """What a frame's results need to know of it; `granted`, `yields` and `back` as Epitome's result_bytes, yields and
    back."""

    header: Header
    task_mask: int
    source_size: tuple[int, int]
    granted: int = UNLIMITED
    yields: int = 0
    back: int = 0


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
            header=message.header,
            task_mask=fields.task_mask,
            source_size=(fields.width, fields.height),
            granted=fields.result_bytes,
            yields=fields.yields,
            back=fields.back,
        ),
        patience=PICTURE_PATIENCE if fields.frame_layers > len(bundle.layers) else 1.0,
    )


class RobotPort:
    """Topics of one robot: `robot` is its namespace, relative to the edge's unless it begins with a slash."""

    def __init__(self, node: ManagedNode, robot: str) -> None:
        self.robot = robot
        self.messages = 0
        self.frames = 0
        self.received = ReceivedFrames()
        self._node = node
        self._space = f"{robot.rstrip('/')}/" if robot else ""
        private = f"~/{robot.strip('/')}".rstrip("/")
        self._results = node.advertise(Results, self._space + "results", newest(FRAME_MESSAGES))
        self._shown = {task: node.advertise(Image, f"{private}/{task}", newest()) for task in DENSE}
        self._shown["classification"] = node.advertise(Classification, f"{private}/classification", newest())
        self._subscription: Subscription | None = None

    def listen(self, callback: Callable[[RobotPort, bytes], None]) -> None:
        """Pass on every epitome of the robot, serialised."""
        self._subscription = self._node.listen(
            Epitome, self.epitome_topic, lambda data: callback(self, data), newest(FRAME_MESSAGES)
        )

    def close(self) -> None:
        """Remove the robot's topics."""
        self._node.retire(self._results, *self._shown.values())
        if self._subscription is not None:
            self._node.retire(self._subscription)

    @property
    def epitome_topic(self) -> str:
        return self._space + "epitome"

    def answer(self, frame: Frame[FrameHeader], layers: int, results: Sequence[Results]) -> None:
        """Send the robot a frame's results, with a report of what arrived of the frame."""
        sizes = [wire_bytes(len(serialize_message(message))) for message in results]
        results[-1].report = [_report(frame, layers, sum(sizes))]
        for message in results:
            self._results.publish(message)
        self.frames += layers > 0

    def show(self, header: FrameHeader, outputs: Mapping[str, np.ndarray], messages: ResultMessages) -> None:
        """Publish a frame's results to those who listen on the edge, in full size."""
        for task in outputs.keys() & self._shown.keys():
            publisher, output = self._shown[task], outputs[task]
            if not publisher.get_subscription_count():
                continue
            if task == "classification":
                publisher.publish(messages.classification(output, header.header))
            else:
                result = messages.dense(task, output, header.source_size)
                publisher.publish(messages.raw(task, result, header.header))


def _report(frame: Frame[FrameHeader], layers: int, result_bytes: int) -> LinkReport:
    return LinkReport(
        sequence=frame.sequence,
        handover_ns=frame.handover_ns,
        bytes=min(frame.size, _UINT32_MAX),
        layers=layers,
        arrival_spread_us=_microseconds(frame.last_arrival - frame.first_arrival),
        processing_us=_microseconds(time.monotonic() - frame.last_arrival),
        missed=frame.missed,
        result_bytes=min(result_bytes, _UINT32_MAX),
    )


def _microseconds(seconds: float) -> int:
    return min(max(round(seconds * 1e6), 0), _UINT32_MAX)
