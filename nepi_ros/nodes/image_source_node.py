# SPDX-License-Identifier: Apache-2.0
"""Plays a folder of images, a video file or the built-in scenes as a camera: `image` and `camera_info`.

Frames are decoded ahead of their time and stamped when they are published. Without `loop` the node ends after
the last frame.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image

from nepi_ros.errors import NepiError
from nepi_ros.image import ENCODINGS, from_rgb, scaled_camera_info
from nepi_ros.nodes.framereader import PATROL, Pinhole, open_reader
from nepi_ros.nodes.lifecycle import run
from nepi_ros.nodes.parameters import Parameter, declare
from nepi_ros.nodes.prefetch import Prefetch
from nepi_ros.nodes.problems import Problems
from nepi_ros.nodes.status import ERROR, OK, WARN, DiagnosticsPublisher
from nepi_ros.nodes.topics import newest

PARAMETERS = (
    Parameter("source", PATROL, "Folder of images, video file, or patrol for the built-in scenes.", read_only=True),
    Parameter("rate_hz", 10.0, "Frames per second; a video or the patrol is thinned to it.", "Hz", (0.01, 1000.0)),
    Parameter("loop", False, "Begin again after the last frame, instead of ending."),
    Parameter("frames", 0, "End after so many frames, whatever loop says; 0 plays all.", "frames", (0, 2**31 - 1)),
    Parameter("width", 0, "Width to scale images to; 0 keeps it, or the aspect.", "pixels", (0, 16384)),
    Parameter("height", 0, "Height to scale images to; 0 keeps it, or the aspect.", "pixels", (0, 16384)),
    Parameter("encoding", "rgb8", "Encoding of the images.", choices=tuple(e for e in ENCODINGS if "16" not in e)),
    Parameter("frame_id", "camera_optical_frame", "frame_id of images and camera_info."),
    Parameter(
        "focal_px", 0.0, "Focal length at the images' own size, for camera_info; 0 takes what the source says, "
        "or else publishes an uncalibrated camera.", "pixels", (0.0, 1e6), read_only=True,
    ),
    Parameter("seed", 0, "Which building the patrol walks through.", range=(0, 2**31 - 1), read_only=True),
    Parameter(
        "subscribers", 1, "Wait for so many subscriptions to image before the first frame; 0 does not wait.",
        range=(0, 1000), read_only=True,
    ),
)  # fmt: skip

AHEAD = 8
_MATCHED_S = 0.2
_LINGER_S = 0.5


class ImageSourceNode(Node):
    """A camera that plays what was taken before."""

    def __init__(self) -> None:
        super().__init__("image_source_node")
        self.parameters = declare(self, PARAMETERS)
        self.problems = Problems(self.get_logger().warning)
        self._reader = open_reader(self.parameters.source, self.parameters.seed, self._complain)
        self._images = self._advertise(Image, "image", newest(5))
        self._infos = self._advertise(CameraInfo, "camera_info", newest(5))
        self._diagnostics = DiagnosticsPublisher(self)
        self._state, self._published, self._late = "waiting for subscribers", 0, 0
        self._stop = threading.Event()
        self._frames = Prefetch(self._messages(), AHEAD)
        self._player = threading.Thread(target=self._play, name="player", daemon=True)
        # Wall time on purpose: a node under simulated time must report while the simulation stands still.
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> None:
        """Begin to play once there is a frame. Raises ConfigError when there is none."""
        self._frames.wait()
        self._player.start()

    def close(self) -> None:
        """Stop playing."""
        self._stop.set()
        self._frames.close()
        if self._player.is_alive():
            self._player.join()

    def _advertise(self, kind: type, topic: str, qos: QoSProfile):
        return self.create_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )

    def _complain(self, message: str) -> None:
        # Said once by the reader, so each line is a source of its own and none is held back.
        self.problems.report("undecodable", message, message)

    def _report(self, level: bytes = OK) -> None:
        level = max(level, WARN if self.problems.recent(5.0) else OK)
        values: Mapping[str, object] = {
            "source": self.parameters.source,
            "published": self._published,
            "late": self._late,
            **self.problems.counts(),
        }
        self._diagnostics.publish(level, self._state, values)

    # In the thread that decodes

    def _messages(self) -> Iterator[tuple[Image, CameraInfo]]:
        while True:
            for rgb in self._reader.frames(lambda: self.parameters.rate_hz):
                yield self._message(rgb)
            if not self.parameters.loop:
                return

    def _message(self, rgb: np.ndarray) -> tuple[Image, CameraInfo]:
        native = rgb.shape[1], rgb.shape[0]
        size = scaled_size(native, (self.parameters.width, self.parameters.height))
        if size != native:
            mode = cv2.INTER_AREA if size[0] < native[0] else cv2.INTER_LINEAR
            rgb = cv2.resize(rgb, size, interpolation=mode)
        return from_rgb(rgb, self.parameters.encoding), self._camera_info(native, size)

    def _camera_info(self, native: tuple[int, int], size: tuple[int, int]) -> CameraInfo:
        camera, focal = self._reader.camera, self.parameters.focal_px
        if focal > 0.0:
            camera = Pinhole(native, focal, focal, (native[0] - 1) / 2, (native[1] - 1) / 2)
        info = CameraInfo(width=native[0], height=native[1])
        return scaled_camera_info(info if camera is None else pinhole_info(camera), *size)

    # In the thread that publishes

    def _play(self) -> None:
        self._await_subscribers()
        self._state = "playing"
        try:
            self._play_all()
        except NepiError as error:
            self._end(str(error), ERROR)
        else:
            passed_over = sum(self.problems.counts().values())
            also = f", {passed_over} could not be decoded" if passed_over else ""
            self._end(f"finished: {self._published} frames of {self.parameters.source}{also}", OK)

    def _play_all(self) -> None:
        due = time.monotonic()
        for image, info in self._frames:
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._publish(image, info)
            if 0 < self.parameters.frames <= self._published:
                return
            period = 1.0 / min(self.parameters.rate_hz, self._reader.fps or float("inf"))
            now = time.monotonic()
            self._late += now > due + period
            due = max(due + period, now)

    def _await_subscribers(self) -> None:
        wanted = self.parameters.subscribers
        while self._images.get_subscription_count() < wanted and not self._stop.wait(0.05):
            pass
        if wanted:
            # The subscription may know of this publisher a little later than the publisher of it.
            self._stop.wait(_MATCHED_S)

    def _publish(self, image: Image, info: CameraInfo) -> None:
        image.header.frame_id = info.header.frame_id = self.parameters.frame_id
        image.header.stamp = info.header.stamp = self.get_clock().now().to_msg()
        self._images.publish(image)
        self._infos.publish(info)
        self._published += 1

    def _end(self, state: str, level: bytes) -> None:
        if self._stop.is_set():
            return
        self._state = state
        log = self.get_logger().info if level == OK else self.get_logger().error
        log(state)
        self._report(level)
        # The last messages are still on their way.
        if not self._stop.wait(_LINGER_S):
            rclpy.try_shutdown()


def scaled_size(native: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """Width and height to scale to, where 0 keeps what there is or follows the other.

    >>> scaled_size((640, 480), (320, 0)), scaled_size((640, 480), (0, 0)), scaled_size((640, 480), (64, 64))
    ((320, 240), (640, 480), (64, 64))
    """
    if 0 not in wanted:
        return wanted
    scale = max(wanted[0] / native[0], wanted[1] / native[1]) or 1.0
    return tuple(w or max(1, round(n * scale)) for w, n in zip(wanted, native, strict=True))


def pinhole_info(camera: Pinhole) -> CameraInfo:
    """A calibrated camera without distortion."""
    info = CameraInfo(width=camera.size[0], height=camera.size[1], distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    info.r = np.eye(3).ravel()
    info.p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def enlarge_shared_memory() -> None:
    """Have Fast DDS pass whole images between processes, unless the user has profiles of their own.

    The reason is in config/fastdds_camera.xml. Must come before rclpy.init.
    """
    prefixes = [Path(p) / "share" / "nepi_ros" for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    for folder in (Path(__file__).resolve().parents[2], *prefixes):
        profiles = folder / "config" / "fastdds_camera.xml"
        if profiles.is_file():
            os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(profiles))
            return


def main(args: Sequence[str] | None = None) -> None:
    """Run the node until its source ends or it is told to stop."""
    enlarge_shared_memory()
    run(ImageSourceNode, args)


if __name__ == "__main__":
    main()
