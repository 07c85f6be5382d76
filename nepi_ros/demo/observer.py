# SPDX-License-Identifier: Apache-2.0
"""Watches the robot's topics from the demo's own process and keeps what it sees for later."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from nepi_ros.demo.record import FrameRecord, Result, Status
from nepi_ros.msg import Classification, EncoderStatus, Epitome

# Deep enough that nothing is lost while this process is busy elsewhere: this is a recorder, not a robot.
_WATCHING = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=64, reliability=ReliabilityPolicy.BEST_EFFORT)

# As the robot's users get them; result_node keeps what is late apart.
RESULT_TYPES = {"segmentation": Image, "depth": Image, "classification": Classification}


@dataclass
class Log:
    """What was seen, as it came: serialised messages with their arrival in nanoseconds of the system clock.

    images: fingerprint of each image's content by stamp.
    """

    images: dict[int, int] = field(default_factory=dict)
    epitomes: list[tuple[int, bytes]] = field(default_factory=list)
    statuses: list[tuple[int, bytes]] = field(default_factory=list)
    results: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)

    def results_of(self, tasks: Iterable[str]) -> dict[int, set[str]]:
        """Which tasks' results have come, by stamp."""
        seen: dict[int, set[str]] = {}
        for task in tasks:
            for _, data in self.results.get(task, ()):
                seen.setdefault(stamp_of(data), set()).add(task)
        return seen


class Observer(Node):
    """Subscribes to images, epitomes, status and results of one robot; all times are of its clock, which is ours."""

    def __init__(self, robot: str, tasks: tuple[str, ...], context: Context) -> None:
        super().__init__("observer", namespace="nepi_demo", context=context, enable_rosout=False)
        self.log = Log(results={task: [] for task in tasks})
        self._lock = threading.Lock()
        self._robot = robot
        self._watch(Epitome, f"{robot}/epitome", self._recorder(self.log.epitomes))
        self._watch(EncoderStatus, f"{robot}/encoder_node/status", self._recorder(self.log.statuses))
        for task in tasks:
            for topic in (task, f"result_node/late/{task}"):
                self._watch(RESULT_TYPES[task], f"{robot}/{topic}", self._recorder(self.log.results[task]))
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self)
        self._thread = threading.Thread(target=self._spin, name="observer", daemon=True)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join(5.0)
        self.destroy_node()

    def watch_images(self) -> None:
        """Subscribe to the camera's images, which is what a camera that waits for subscriptions waits for."""
        self._watch(Image, f"{self._robot}/image", self._on_image)

    def counts(self) -> tuple[int, int]:
        """Images seen, and frames all of whose tasks' results have come."""
        with self._lock:
            tasks = set(self.log.results)
            complete = sum(seen == tasks for seen in self.log.results_of(tasks).values())
            return len(self.log.images), complete

    def _watch(self, kind: type, topic: str, callback: Callable[..., None]) -> None:
        # Serialised messages: their size is what is measured, and reading them can wait until after the run.
        self.create_subscription(kind, topic, callback, _WATCHING, raw=True)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_image(self, data: bytes, _info: Mapping) -> None:
        with self._lock:
            self.log.images[stamp_of(data)] = fingerprint(deserialize_message(data, Image).data)

    def _recorder(self, arrivals: list[tuple[int, bytes]]) -> Callable[[bytes, Mapping], None]:
        def record(data: bytes, info: Mapping) -> None:
            with self._lock:
                arrivals.append((info["received_timestamp"], data))

        return record


def stamp_of(data: bytes) -> int:
    """Nanoseconds of the header stamp with which a serialised message begins.

    >>> stamp_of(bytes([0, 1, 0, 0]) + struct.pack("<iI", 2, 5))
    2000000005
    """
    order = "<" if data[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def fingerprint(content: object) -> int:
    """Tells one image's content from another's: CRC-32 of its bytes."""
    return zlib.crc32(content)  # type: ignore[arg-type]


def assemble(log: Log, indices: Mapping[int, int], wire_bytes: Callable[[int], int]) -> list[FrameRecord]:
    """One record per camera frame, in the order of their stamps.

    `indices`: place in the frame set by fingerprint. `wire_bytes`: bytes on the wire of a message of so many
    serialised bytes. Images and epitomes both make a frame known, so one missed by the recorder is not lost.
    """
    frames = {stamp: FrameRecord(stamp, indices.get(mark)) for stamp, mark in log.images.items()}
    for received_ns, data in log.epitomes:
        frame = frames.setdefault(stamp_of(data), FrameRecord(stamp_of(data)))
        frame.sent_ns = frame.sent_ns or received_ns
        frame.epitome_bytes += len(data)
        frame.wire_bytes += wire_bytes(len(data))
        frame.layers = deserialize_message(data, Epitome).frame_layers
    for task, arrivals in log.results.items():
        for received_ns, data in arrivals:
            frame = frames.get(stamp_of(data))
            if frame is not None and task not in frame.results:
                frame.latency_ms[task] = (received_ns - frame.stamp_ns) / 1e6
                frame.results[task] = _content(task, data)
    ordered = [frames[stamp] for stamp in sorted(frames)]
    _fill_gaps(ordered)
    return ordered


def statuses(log: Log) -> list[Status]:
    """What encoder_node said of itself, in the order in which it came."""
    found = []
    for received_ns, data in log.statuses:
        said = deserialize_message(data, EncoderStatus)
        rates = said.capacity_kbps, said.capacity_low_kbps, said.capacity_high_kbps
        found.append(Status(received_ns, *rates, said.budget_bytes))
    return found


def _content(task: str, data: bytes) -> Result:
    message = deserialize_message(data, RESULT_TYPES[task])
    if isinstance(message, Classification):
        return list(zip(message.names, map(float, message.scores), strict=True))
    kind = np.dtype(np.float32 if message.encoding == "32FC1" else np.uint8)
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return np.ascontiguousarray(rows[:, : message.width * kind.itemsize]).view(kind)


def _fill_gaps(frames: list[FrameRecord]) -> None:
    """Number a frame whose image the recorder missed, if its neighbours leave but one possibility."""
    for before, frame, after in zip(frames, frames[1:], frames[2:], strict=False):
        known = before.index is not None and after.index is not None
        if frame.index is None and known and after.index - before.index == 2:
            frame.index = before.index + 1
