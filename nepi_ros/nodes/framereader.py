# SPDX-License-Identifier: Apache-2.0
"""What an image source can play: a folder of images, a video file, or the built-in patrol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from nepi_ros.datasets import FrameSet
from nepi_ros.errors import ConfigError

PATROL = "patrol"

Rate = Callable[[], float]
Complain = Callable[[str], object]


@dataclass(frozen=True)
class Pinhole:
    """A camera's focal lengths and principal point, in pixels of an image of `size` (width, height)."""

    size: tuple[int, int]
    fx: float
    fy: float
    cx: float
    cy: float


class FrameReader(Protocol):
    """Frames in order.

    `fps`: how fast they were taken, in frames per second; None for single images. `camera`: None when not known.
    """

    fps: float | None
    camera: Pinhole | None

    def frames(self, rate_hz: Rate) -> Iterator[np.ndarray]:
        """One pass: uint8 [H, W, 3] RGB. What was taken faster than `rate_hz` is thinned to it."""
        ...


def open_reader(source: str, seed: int, complain: Complain) -> FrameReader:
    """The reader for `source`: "patrol", a folder or a video file.

    What cannot be decoded on the way is passed over after `complain` was called with a line that names it.

    Raises:
        ConfigError: there is no such source, or nothing in it.
    """
    if source == PATROL:
        return PatrolReader(seed)
    path = Path(source).expanduser()
    if source and path.is_dir():
        return FolderReader(path, complain)
    if path.is_file():
        return VideoReader(path, complain)
    raise ConfigError(f"source {source!r} is neither a folder of images nor a video file nor {PATROL!r}")


class FolderReader:
    """The images of a folder in any layout that FrameSet knows, in order."""

    fps = None

    def __init__(self, folder: Path, complain: Complain) -> None:
        frame_set = FrameSet.open(folder)
        self._paths = frame_set.paths
        self._complain = complain
        self._bad: set[Path] = set()
        self.camera = _described(frame_set.info)

    def frames(self, rate_hz: Rate) -> Iterator[np.ndarray]:
        for path in self._paths:
            image = _read(path)
            if image is not None:
                yield image
            elif path not in self._bad:
                self._bad.add(path)
                self._complain(f"{path} is not an image that can be decoded; passed over")
        if len(self._bad) == len(self._paths):
            raise ConfigError(f"none of the {len(self._paths)} images in {self._paths[0].parent} can be decoded")


class VideoReader:
    """A video file, by its first video stream."""

    camera = None

    def __init__(self, path: Path, complain: Complain) -> None:
        import av  # PyAV takes a while to load, and only videos need it

        self._av, self._path, self._complain = av, path, complain
        with self._open() as container:
            rate = container.streams.video[0].average_rate
            self.fps = float(rate) if rate else None

    def frames(self, rate_hz: Rate) -> Iterator[np.ndarray]:
        due, count = 0.0, 0
        with self._open() as container:
            container.streams.video[0].thread_type = "AUTO"
            for packet in container.demux(video=0):
                for frame in self._decode(packet):
                    spacing = 1 / (self.fps or rate_hz())
                    time = frame.time if frame.time is not None else count * spacing
                    count += 1
                    if time >= due - spacing / 2:
                        due = max(due + 1 / rate_hz(), time)
                        yield frame.to_ndarray(format="rgb24")
        if count == 0:
            raise ConfigError(f"{self._path}: no frame of the video can be decoded")

    def _open(self):
        try:
            container = self._av.open(str(self._path))
        except (self._av.error.FFmpegError, OSError) as error:
            raise ConfigError(f"{self._path}: not a video that can be played ({error})") from error
        if not container.streams.video:
            container.close()
            raise ConfigError(f"{self._path}: has no video stream")
        return container

    def _decode(self, packet) -> list:
        try:
            return packet.decode()
        except self._av.error.FFmpegError as error:
            self._complain(f"{self._path}: damaged at {float(packet.pts or 0):g} ({error}); going on behind it")
            return []


class PatrolReader:
    """The built-in scenes, for ever."""

    def __init__(self, seed: int) -> None:
        from nepi_ros.scenes import Patrol  # builds a house; nothing else needs it

        self._patrol = patrol = Patrol(seed=seed)
        self.fps = float(patrol.rate)
        size = patrol.width, patrol.height
        self.camera = Pinhole(size, patrol.fx, patrol.fy, patrol.cx, patrol.cy)

    def frames(self, rate_hz: Rate) -> Iterator[np.ndarray]:
        index = 0
        while True:
            yield self._patrol.frame(index).rgb
            index += max(1, round(self.fps / rate_hz()))


def _read(path: Path) -> np.ndarray | None:
    """RGB uint8 [H, W, 3] of an image file; None when it cannot be decoded."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _described(info: dict) -> Pinhole | None:
    """The camera that a set.json describes; None when it does not."""
    try:
        numbers = {name: float(info["intrinsics"][name]) for name in ("fx", "fy", "cx", "cy")}
        return Pinhole((int(info["width"]), int(info["height"])), **numbers)
    except (KeyError, TypeError, ValueError):
        return None
