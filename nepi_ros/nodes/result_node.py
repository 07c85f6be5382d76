# SPDX-License-Identifier: Apache-2.0
"""The robot's receiving node: what the edge sends back becomes topics for users, and how late it is.

Subscribes `results`, `camera_info` and, to know which frames were sent and which held, the robot's own `epitome` and
`held`. Publishes `segmentation` (mono8 class ids) and `depth` (32FC1 metres), each with its `camera_info`,
`classification`, `link_report` for encoder_node, and `~/latency_ms` and `~/hit_rate` for plots. All results of a frame
cross the radio once, whoever subscribes here.

Latency is from an image's header stamp to the arrival of its results, on this computer's ROS clock. A result that
comes after the deadline is late. It is never published where fresh ones are: with `late_results` "drop" it goes
nowhere, with "publish" it appears on `~/late/segmentation`, `~/late/depth` or `~/late/classification`.

A held frame was not sent: results of the one that was, moved as the picture moved, are published under its own stamp.

Over a thin link results come smaller than the edge is configured to make them; maps are enlarged again, each pixel to
the nearest, so that no class and no depth appears that was not there, and users see one size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32, Header

from nepi_ros.errors import ImageError
from nepi_ros.image import depth_image, label_image, scaled_camera_info
from nepi_ros.letterbox import result_size
from nepi_ros.motion import Motion
from nepi_ros.msg import Classification, Epitome, Held, LinkReport, Results
from nepi_ros.nodes.holds import HeldFrame, Holds
from nepi_ros.nodes.latency import LatencySummary, LatencyWindow, nanoseconds
from nepi_ros.nodes.lifecycle import AUTOSTART, ManagedNode, run
from nepi_ros.nodes.parameters import Parameter
from nepi_ros.nodes.topics import FRAME_MESSAGES, newest
from nepi_ros.nodes.way_back import WayBack
from nepi_ros.result_code import MAX_PIXELS, unpack_depth, unpack_labels
from nepi_ros.tasks import TASKS, task_mask

_WIDTH = "Results narrower than this are enlarged to it; 0: to the width of the source image."

PARAMETERS = (
    Parameter(
        "deadline_ms", 150.0, "From an image's stamp to its results; the same as the encoder's.", "ms", (1.0, 60000.0)
    ),
    Parameter("window_s", 10.0, "Time over which the hit rate and the latencies are taken.", "s", (1.0, 3600.0)),
    Parameter(
        "late_results", "drop", "What becomes of results after the deadline: dropped, or published under ~/late.",
        choices=("drop", "publish"),
    ),
    Parameter("segmentation_width", 160, _WIDTH, "pixels", (0, 4096)),
    Parameter("depth_width", 80, _WIDTH, "pixels", (0, 4096)),
    AUTOSTART,
)  # fmt: skip


@dataclass(frozen=True)
class _Dense:
    """How a task with pixels leaves, given what came."""

    unpack: Callable[[bytes], np.ndarray]
    make: Callable[[np.ndarray, Header], Image]


_DENSE = {"segmentation": _Dense(unpack_labels, label_image), "depth": _Dense(unpack_depth, depth_image)}


class ResultNode(ManagedNode):
    """Restores results and measures how late they are."""

    def __init__(self) -> None:
        self._window = LatencyWindow()
        self._camera: CameraInfo | None = None
        self._fresh: dict[str, Publisher] = {}
        self._late: dict[str, Publisher] = {}
        self._infos: dict[str, Publisher] = {}
        self._way_back, self._holds = WayBack(), Holds()
        self._restored = 0
        self._source: tuple[int, int] | None = None
        super().__init__("result_node", PARAMETERS)

    def configure(self) -> None:
        self._window = LatencyWindow(self.parameters.window_s)
        for task in TASKS:
            kind = Image if task in _DENSE else Classification
            self._fresh[task] = self.advertise(kind, task, newest())
            self._late[task] = self.advertise(kind, f"~/late/{task}", newest())
        self._infos = {task: self.advertise(CameraInfo, f"{task}/camera_info", newest()) for task in _DENSE}
        self._report = self.advertise(LinkReport, "link_report", newest(FRAME_MESSAGES))
        self._latency = self.advertise(Float32, "~/latency_ms", newest())
        self._hit_rate = self.advertise(Float32, "~/hit_rate", newest())

    def activate(self) -> None:
        # Results that come in a burst after a pause of the link are all timed, so that none is taken for lost.
        self.listen(Results, "results", self._on_results, newest(FRAME_MESSAGES))
        self.listen(CameraInfo, "camera_info", self._on_camera_info, newest())
        self.listen(Epitome, "epitome", self._on_epitome, newest(FRAME_MESSAGES))
        self.listen(Held, "held", self._on_held, newest(FRAME_MESSAGES))

    def release(self) -> None:
        self._holds = Holds()
        self._camera = None
        self._source = None

    def changed(self, names: frozenset[str]) -> None:
        self._window.window_s = self.parameters.window_s

    def tick(self) -> None:
        summary = self._summary()
        if summary.frames:
            self._hit_rate.publish(Float32(data=summary.hit_rate))

    def values(self) -> Mapping[str, object]:
        summary = self._summary()
        return {
            "deadline_ms": self.parameters.deadline_ms,
            "frames_in_window": summary.frames,
            "hit_rate": summary.hit_rate,
            "latency_p50_ms": summary.p50_ms,
            "latency_p95_ms": summary.p95_ms,
            "latency_p99_ms": summary.p99_ms,
            "images_restored": self._restored,
        }

    def _summary(self) -> LatencySummary:
        return self._window.summary(self.get_clock().now().nanoseconds, self.parameters.deadline_ms / 1e3)

    def _on_camera_info(self, data: bytes) -> None:
        self._camera = self.read(data, CameraInfo, "camera_info") or self._camera

    def _on_epitome(self, data: bytes) -> None:
        message = self.read(data, Epitome, "epitome")
        if message is not None and message.first_layer == 0:
            stamp = nanoseconds(message.header.stamp)
            self._window.sent(stamp, message.task_mask, self.get_clock().now().nanoseconds)
            self._source = (message.width, message.height) if message.width and message.height else None

    def _on_held(self, data: bytes) -> None:
        message = self.read(data, Held, "held")
        if message is None:
            return
        try:
            held = HeldFrame.of(message)
        except ImageError as error:
            self.problems.report("damaged", f"{self.resolve_topic_name('held')}: {error}; dropped", "held")
            return
        self._window.sent(nanoseconds(held.header.stamp), held.task_mask, self.get_clock().now().nanoseconds)
        for task, results in self._holds.asked(held):
            self._pass_on(task, results, held)

    def _on_results(self, data: bytes, info: Mapping[str, int]) -> None:
        message = self.read(data, Results, "results")
        if message is None:
            return
        self._way_back.arrived(message, len(data), info["received_timestamp"])
        for report in message.report:
            self._report.publish(report)
        for task in TASKS:
            if message.names if task == "classification" else getattr(message, task):
                self._pass_on(task, message)
                for held in self._holds.came(task, message):
                    self._pass_on(task, message, held)

    def _pass_on(self, task: str, message: Results, held: HeldFrame | None = None) -> None:
        """Publish a task's result where it belongs, for its own frame or a held one, unless it is late and nobody wants
        it then."""
        header = held.header if held else message.header
        late = self._time(task, header)
        if late and self.parameters.late_results == "drop":
            return
        publisher = (self._late if late else self._fresh)[task]
        try:
            if task == "classification":
                publisher.publish(_classification(message, header))
            else:
                motion, infos = held.motion if held else None, None if late else self._infos[task]
                self._restore(task, message, header, motion, publisher, infos)
        except ImageError as error:
            topic = self.resolve_topic_name("results")
            self.problems.report("damaged", f"{topic}: {task}: {error}; dropped", task)

    def _time(self, task: str, header: Header) -> bool:
        """Take the time of a result; whether it is late. One whose stamp tells nothing is not called late."""
        stamp, now = nanoseconds(header.stamp), self.get_clock().now().nanoseconds
        latency = self._window.arrived(stamp, task_mask([task]), now)
        if latency is None and self._window.is_ancient(stamp, now):
            latency = (now - stamp) / 1e9
        if latency is None:
            self._report_clock(task, (now - stamp) / 1e9)
            return False
        frame = self._window.latency_of(stamp)
        if frame is not None:
            self._latency.publish(Float32(data=1e3 * frame))
        late = 1e3 * latency > self.parameters.deadline_ms
        if late:
            self.problems.count(f"late_{task}")
        return late

    def _report_clock(self, task: str, age_s: float) -> None:
        self.problems.report(
            "foreign_clock",
            f"{self.resolve_topic_name(task)}: stamp is {age_s:.3f} s old, so it is not of this node's clock and is "
            "not timed; set use_sim_time alike everywhere, and have the camera driver stamp with the ROS clock",
            task,
        )

    def _enlarged(self, task: str, result: np.ndarray) -> np.ndarray:
        """A result in the size that users are to see; one that is wide enough stays as it is."""
        own = result.shape[1::-1]
        source = self._source or own
        size = result_size(source, self.parameters[f"{task}_width"] or source[0])
        if own[0] >= size[0] or size[0] * size[1] > MAX_PIXELS:
            return result
        return cv2.resize(result, size, interpolation=cv2.INTER_NEAREST_EXACT)

    def _restore(
        self,
        task: str,
        message: Results,
        header: Header,
        motion: Motion | None,
        images: Publisher,
        infos: Publisher | None,
    ) -> None:
        """Publish the plain image, and the camera as that image sees it. Costs nothing when nobody listens."""
        if not images.get_subscription_count() and not (infos and infos.get_subscription_count()):
            return
        dense = _DENSE[task]
        result = self._enlarged(task, dense.unpack(bytes(getattr(message, task))))
        images.publish(dense.make(motion.moved(result) if motion else result, header))
        self._restored += 1
        if infos is not None and self._camera is not None:
            info = scaled_camera_info(self._camera, result.shape[1], result.shape[0])
            info.header = header
            infos.publish(info)


def _classification(message: Results, header: Header) -> Classification:
    """Raises ImageError when names and scores do not belong together."""
    if len(message.names) != len(message.scores):
        raise ImageError(f"{len(message.names)} classes have {len(message.scores)} scores")
    return Classification(header=header, names=message.names, scores=message.scores)


def main(args: Sequence[str] | None = None) -> None:
    """Run the node until it is told to stop."""
    run(ResultNode, args)


if __name__ == "__main__":
    main()
