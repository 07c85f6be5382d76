# SPDX-License-Identifier: Apache-2.0
"""A task's network on the robot itself, for as long as the edge cannot be reached.

Its results go out under `local/` (`local/segmentation`, `local/depth`, `local/classification`), never on the topics of
the edge's results: who subscribes to both knows which is which.
"""

from __future__ import annotations

import traceback

from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image

from nepi_ros.bundle import Bundle
from nepi_ros.codec import TargetNetworks, untouched
from nepi_ros.errors import NepiError
from nepi_ros.image import Letterbox, compressed_to_rgb, to_rgb
from nepi_ros.msg import Classification
from nepi_ros.nodes.lifecycle import ManagedNode
from nepi_ros.nodes.mailbox import Worker
from nepi_ros.nodes.results import ResultMessages, ResultSizes
from nepi_ros.nodes.topics import newest

SPACE = "local"
_TOP_K = 5


class Fallback:
    """Runs one task of a bundle on the untouched image, in a thread of its own; the newest image wins.

    Results have the network's own size. A network is loaded by `prepare`, or with its first image.
    """

    def __init__(self, node: ManagedNode, bundle: Bundle, threads: int) -> None:
        self.frames = 0
        self._node, self._bundle, self._threads = node, bundle, threads
        self._messages = ResultMessages(bundle, ResultSizes(0, 0, _TOP_K))
        self._publishers: dict[str, Publisher] = {}
        self._networks: TargetNetworks | None = None
        self._worker: Worker[tuple[str, Image | CompressedImage]] | None = None

    def prepare(self, task: str) -> None:
        """Advertise a task's topic and load its network; nothing without a task.

        Raises BundleError when the network cannot be used.
        """
        self.advertise(task)
        if task:
            self._load(task)

    def advertise(self, task: str) -> None:
        """Advertise a task's topic, if there is a task and its topic is not there yet."""
        if task and task not in self._publishers:
            kind = Classification if task == "classification" else Image
            self._publishers[task] = self._node.advertise(kind, f"{SPACE}/{task}", newest())

    def start(self) -> None:
        """Take images from now on."""
        self._worker = Worker("fallback", self._answer, self._failed)

    def stop(self) -> None:
        """Finish the image in hand, if any."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def put(self, task: str, message: Image | CompressedImage) -> None:
        """Leave an image in place of one that still waits."""
        if self._worker is not None:
            self._worker.put((task, message))

    def _load(self, task: str) -> TargetNetworks:
        if self._networks is None or self._networks.tasks != (task,):
            self._networks = TargetNetworks(self._bundle, [task], threads=self._threads)
        return self._networks

    def _answer(self, item: tuple[str, Image | CompressedImage]) -> None:
        task, message = item
        networks = self._load(task)
        rgb = to_rgb(message) if isinstance(message, Image) else compressed_to_rgb(message)
        source = (rgb.shape[1], rgb.shape[0])
        frame = Letterbox(source, self._bundle.input_size).apply(rgb)
        output = networks.run(untouched(frame[None]))[task][0]
        if task == "classification":
            result = self._messages.classification(output, message.header)
        else:
            result = self._messages.raw(task, self._messages.dense(task, output, source), message.header)
        self._publishers[task].publish(result)
        self.frames += 1

    def _failed(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, NepiError) else f"{type(error).__name__}: {error}"
        self._node.problems.report("fallback_failed", f"fallback: no result on this computer ({reason})")
        self._node.get_logger().debug("".join(traceback.format_exception(error)))
