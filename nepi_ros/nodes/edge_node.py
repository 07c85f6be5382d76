# SPDX-License-Identifier: Apache-2.0
"""The edge's node: epitomes of any number of robots in, results out.

Subscribes per robot `epitome` and publishes `results`, which the robot's result_node makes into topics for users; to
who listens on the edge itself it publishes `~/ROBOT/segmentation`, `~/ROBOT/depth` and `~/ROBOT/classification`.
Frames of several robots that are waiting go through the networks as one batch.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from rclpy.exceptions import InvalidNamespaceException
from rclpy.validate_namespace import validate_namespace

from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.codec import Content, ForeignBundleError, UnavailableTaskError
from nepi_ros.errors import CodecError, ConfigError
from nepi_ros.msg import Epitome, Results
from nepi_ros.nodes.assembler import Frame
from nepi_ros.nodes.framequeue import FrameQueue
from nepi_ros.nodes.inference import Inference, Job
from nepi_ros.nodes.lifecycle import AUTOSTART, ManagedNode, run
from nepi_ros.nodes.parameters import Parameter
from nepi_ros.nodes.results import ResultMessages, ResultSizes
from nepi_ros.nodes.robot_port import FrameHeader, RobotPort, part_of

_LONGEST_NAME = 128  # of the 248 that DDS has for a topic; the node's own namespace and names come to it


def check_robots(robots: Sequence[str]) -> None:
    """Raise ConfigError unless these are distinct namespaces."""
    for robot in robots:
        try:
            validate_namespace("/" + robot.lstrip("/"))
        except InvalidNamespaceException as error:
            raise ConfigError(f"{robot!r} is no namespace of a robot ({error})") from error
        if len(robot) > _LONGEST_NAME:
            raise ConfigError(f"{robot[:20]}... has {len(robot)} characters; at most {_LONGEST_NAME} are possible")
    if len({robot.strip("/") for robot in robots}) < len(robots):
        raise ConfigError(f"names a robot twice: {', '.join(robots)}")


PARAMETERS = (
    Parameter("bundle", "patrol", "Folder or name of the bundle; the robots must use the same.", at_configure=True),
    Parameter(
        "robots", ("",), "Namespaces of the robots to serve, relative to the node's; empty is its own.",
        check=check_robots,
    ),
    Parameter(
        "providers", ("CUDAExecutionProvider", "CPUExecutionProvider"),
        "Execution providers of ONNX Runtime in order of preference; those that are not there are passed over.",
        at_configure=True,
    ),
    Parameter("threads", 2, "Threads that a network computes with on the CPU.", range=(1, 256), at_configure=True),
    Parameter("batch_size", 8, "Most frames that go through the networks together.", "frames", (1, 256)),
    Parameter(
        "assembly_ms", 20.0, "Longest wait for the other messages of a frame; five times as long for a picture.", "ms",
        (0.0, 1000.0),
    ),
    Parameter("segmentation_width", 160, "Width of the segmentation; 0 is the network's own.", "pixels", (0, 4096)),
    Parameter("depth_width", 80, "Width of the depth map; 0 is the network's own.", "pixels", (0, 4096)),
    Parameter("top_k", 5, "Most classes named in a classification.", "classes", (1, 255)),
    AUTOSTART,
)  # fmt: skip

_KINDS = {ForeignBundleError: "foreign_bundle", UnavailableTaskError: "unavailable_task"}


class EdgeNode(ManagedNode):
    """Runs the target networks for robots."""

    def __init__(self) -> None:
        super().__init__("edge_node", PARAMETERS)
        self._ports: dict[str, RobotPort] = {}
        self._ports_lock = threading.RLock()  # topics of a robot come and go while the worker publishes
        self._inference: Inference | None = None
        self._worker: threading.Thread | None = None
        self._batch_ms = 0.0

    def configure(self) -> None:
        parameters = self.parameters
        self._bundle = Bundle.load(resolve_bundle(parameters.bundle))
        self._inference = Inference(self._bundle, parameters.providers, parameters.threads)
        self._messages = self._result_messages()
        self._open_ports()
        self.get_logger().info(f"bundle {self._bundle.name} ({self._bundle.id:016x}) on {self._inference.provider}")

    def activate(self) -> None:
        self._queue = FrameQueue(self.parameters.assembly_ms / 1e3)
        self._queue.set_robots(tuple(self._ports))
        self._worker = threading.Thread(target=self._work, args=(self._queue,), name="networks", daemon=True)
        self._worker.start()
        for port in self._ports.values():
            port.listen(self._on_epitome)

    def deactivate(self) -> None:
        if self._worker is not None:
            self._queue.close()
            self._worker.join()
            self._worker = None

    def release(self) -> None:
        self._ports.clear()
        self._inference = None

    def changed(self, names: frozenset[str]) -> None:
        if self._inference is None:
            return
        self._messages = self._result_messages()
        if self._worker is not None:
            self._queue.wait_s = self.parameters.assembly_ms / 1e3
        if "robots" in names:
            self._open_ports()

    def values(self) -> Mapping[str, object]:
        ports = list(self._ports.values())
        messages = {f"messages {port.robot}".rstrip(): port.messages for port in ports}
        frames = {f"frames {port.robot}".rstrip(): port.frames for port in ports}
        bundle = {"bundle": f"{self._bundle.name} ({self._bundle.id:016x})"} if self._inference else {}
        return {**bundle, "batch_ms": self._batch_ms, **messages, **frames}

    def _result_messages(self) -> ResultMessages:
        p = self.parameters
        return ResultMessages(self._bundle, ResultSizes(p.segmentation_width, p.depth_width, p.top_k))

    def _open_ports(self) -> None:
        """Open topics of robots that are new and close those of robots that are gone."""
        robots = self.parameters.robots
        with self._ports_lock:
            for robot in self._ports.keys() - set(robots):
                self._ports.pop(robot).close()
            new = [robot for robot in robots if robot not in self._ports]
            self._ports.update((robot, RobotPort(self, robot)) for robot in new)
        if self._worker is not None:
            self._queue.set_robots(robots)
            for robot in new:
                self._ports[robot].listen(self._on_epitome)

    def _on_epitome(self, port: RobotPort, data: bytes) -> None:
        arrival = time.monotonic()
        port.messages += 1
        message = self.read(data, Epitome, port.epitome_topic)
        if message is None:
            return
        try:
            part = part_of(message, len(data), self._bundle, arrival)
        except CodecError as error:
            self._refuse(port.robot, _KINDS.get(type(error), "damaged"), error)
            return
        ignored = self._queue.add(port.robot, part)
        if ignored:
            self.problems.count(ignored)

    def _refuse(self, robot: str, kind: str, error: Exception) -> None:
        topic = self.resolve_topic_name(f"{robot}/epitome" if robot else "epitome")
        self.problems.report(kind, f"{topic}: {error}", topic)

    # In the worker

    def _work(self, queue: FrameQueue) -> None:
        while frames := queue.take(self.parameters.batch_size):
            try:
                self._answer(frames)
            except Exception as error:  # noqa: BLE001 - one batch must not end the service of all robots
                self._failed(error)

    def _answer(self, frames: Sequence[tuple[str, Frame[FrameHeader]]]) -> None:
        begun = time.monotonic()
        jobs = [Job(self._content(robot, frame), frame.header.task_mask) for robot, frame in frames]
        # All of a frame's results share one grant of bytes, so they are sized together.
        outputs: list[dict[str, np.ndarray]] = [{} for _ in frames]
        for index, task, output in self._inference.run(jobs):
            outputs[index][task] = output
        for (robot, frame), job, found in zip(frames, jobs, outputs, strict=True):
            self._publish(robot, frame, found, decoded=job.content is not None)
        self._batch_ms = 1e3 * (time.monotonic() - begun)

    def _content(self, robot: str, frame: Frame[FrameHeader]) -> Content | None:
        if not frame.complete:
            self.problems.count("incomplete")
        with self._ports_lock:
            port = self._ports.get(robot)
        if port is None:
            return None
        try:
            back = frame.header.back if self._bundle.latent_layers(frame.layers) else 0
            earlier = port.received.before(frame.sequence, back)
            content = self._inference.content(frame.prefix(), frame.header.task_mask, earlier)
            if content is not None and content.received is not None:
                port.received.keep(frame.sequence, frame.handover_ns, content.received)
            return content
        except Exception as error:  # noqa: BLE001 - one robot's frame must not cost the others of a batch theirs
            self._refuse(robot, "undecodable", error)
            return None

    def _publish(
        self, robot: str, frame: Frame[FrameHeader], outputs: Mapping[str, np.ndarray], decoded: bool
    ) -> None:
        """A frame's results go to its robot first, then to who listens here."""
        header = frame.header
        with self._ports_lock:
            port = self._ports.get(robot)
            if port is None:
                return
            port.answer(frame, frame.layers if decoded else 0, self._results(header, outputs))
            try:
                port.show(header, outputs, self._messages)
            except Exception as error:  # noqa: BLE001 - nor what is shown here the robots
                self._failed(error)

    def _results(self, header: FrameHeader, outputs: Mapping[str, np.ndarray]) -> list[Results]:
        """A frame's messages; without results when they cannot be made, for the robot waits for the report too."""
        within = partial(self._messages.within, header.granted)
        try:
            return within(outputs, header.yields, header.source_size, header.header)
        except Exception as error:  # noqa: BLE001 - nor one frame the others
            self._failed(error)
            return within({}, header.yields, header.source_size, header.header)

    def _failed(self, error: Exception) -> None:
        self.problems.report("failed", f"a frame failed ({type(error).__name__}: {error}); going on with the next")
        self.get_logger().debug("".join(traceback.format_exception(error)))


def main(args: Sequence[str] | None = None) -> None:
    """Run the node until it is told to stop."""
    run(EdgeNode, args)


if __name__ == "__main__":
    main()
