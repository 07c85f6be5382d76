# SPDX-License-Identifier: Apache-2.0
"""A robot's patrol through a small building, frame by frame."""

from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes.camera import Sensor, motion_blur
from nepi_ros.scenes.labels import PLACES
from nepi_ros.scenes.path import RATE, Pose
from nepi_ros.scenes.render import Camera, Renderer
from nepi_ros.scenes.tracer import Hits
from nepi_ros.scenes.world import make_world

FOCAL = 0.78  # focal length over picture width: 65 degrees
SHUTTER = 0.4  # share of the frame time that the shutter is open
MIDDLE_GREY = 0.2
METERING = 15  # frames between exposure measurements


@dataclass(frozen=True)
class SceneFrame:
    """One frame with its truth.

    Attributes:
        rgb: uint8 [height, width, 3].
        depth: float32 [height, width], metres along the optical axis; infinite where nothing is.
        segmentation: uint8 [height, width], indices into CLASSES.
        place: Index into PLACES: the place that most of the picture shows.
    """

    rgb: np.ndarray
    depth: np.ndarray
    segmentation: np.ndarray
    place: int


class Patrol:
    """A walk at 30 frames/s through the building that `seed` makes. Frames can be asked for in any order; the same
    seed, size and index give the same frame. After `length` frames the walk closes and repeats.

    Example:
        >>> patrol = Patrol(width=64, height=48)
        >>> frame = patrol.frame(10)
        >>> frame.rgb.shape, frame.depth.shape, frame.segmentation.shape
        ((48, 64, 3), (48, 64), (48, 64))
    """

    rate = RATE

    def __init__(self, width: int = 320, height: int = 240, seed: int = 0):
        self.width, self.height, self.seed = width, height, seed
        self.fx = self.fy = FOCAL * width
        self.cx, self.cy = (width - 1) / 2, (height - 1) / 2
        self._camera = Camera(width, height, self.fx, self.fy, self.cx, self.cy)
        self.world = make_world(seed)
        self._renderer = Renderer(self.world, seed)
        self._sensor = Sensor(width, height, seed)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        self._x, self._y = x.ravel(), y.ravel()
        self._exposure = self._meter()

    @property
    def length(self) -> int:
        """Frames until the walk closes."""
        return self.world.path.length

    def pose(self, index: int) -> Pose:
        """The camera's pose in frame `index`."""
        return self.world.path.pose(index)

    def frame(self, index: int) -> SceneFrame:
        """Frame `index` (any integer) of the walk."""
        index %= self.length
        pose = self.pose(index)
        shape = (self.height, self.width)
        origins, directions = self._renderer.rays(self._camera, pose, self._x, self._y)
        hits = self._renderer.tracer.trace(origins, directions)
        light = self._renderer.shade(hits, origins, directions, 1 / self.fx).reshape(*shape, 3)
        light = self._antialias(light, hits, pose)
        depth = np.where(hits.triangle >= 0, hits.distance, np.inf).astype(np.float32)
        light = motion_blur(light, self._flow(pose, index, directions, depth).reshape(*shape, 2))
        rgb = self._sensor.picture(light, self._exposure[index], index)
        label = self._renderer.label[hits.triangle]
        place = np.bincount(self._renderer.place[hits.triangle], minlength=len(PLACES)).argmax()
        return SceneFrame(rgb, depth.reshape(shape), label.reshape(shape), int(place))

    def _antialias(self, light: np.ndarray, hits: Hits, pose: Pose) -> np.ndarray:
        """Smooths the edges between surfaces with four more rays for each pixel next to one."""
        renderer = self._renderer
        patch = (hits.triangle >> 1).reshape(self.height, self.width)
        edge = np.zeros_like(patch, bool)
        across, down = patch[:, 1:] != patch[:, :-1], patch[1:] != patch[:-1]
        edge[:, 1:] |= across
        edge[:, :-1] |= across
        edge[1:] |= down
        edge[:-1] |= down
        where = np.flatnonzero(edge)
        x, y = self._x[where], self._y[where]
        shifts = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
        xs, ys = (np.concatenate([a + s[axis] for s in shifts]).astype(np.float32) for axis, a in enumerate((x, y)))
        origins, directions = renderer.rays(self._camera, pose, xs, ys)
        extra = renderer.shade(renderer.tracer.trace(origins, directions), origins, directions, 1 / self.fx)
        light.reshape(-1, 3)[where] = extra.reshape(4, -1, 3).mean(0)
        return light

    def _flow(self, pose: Pose, index: int, directions: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Motion of every pixel [n, 2] while the shutter is open."""
        after = self.pose(index + 1)
        points = directions * np.minimum(depth, 50.0)[:, None] + (pose.position - after.position).astype(np.float32)
        seen = points @ after.rotation.astype(np.float32)
        z = np.maximum(seen[:, 2], 0.1)
        flow = np.stack([seen[:, 0] / z * self.fx + self.cx - self._x, seen[:, 1] / z * self.fy + self.cy - self._y], 1)
        return (flow * np.float32(SHUTTER)).astype(np.float32)

    def _meter(self) -> np.ndarray:
        """Exposure of every frame: automatic exposure that follows the light within about a second."""
        width, height = 32, 24
        camera = Camera(width, height, FOCAL * width, FOCAL * width, (width - 1) / 2, (height - 1) / 2)
        y, x = (a.ravel().astype(np.float32) for a in np.mgrid[0:height, 0:width])
        count = max(1, self.length // METERING)
        at = np.arange(count) * self.length // count
        brightness = np.empty(count)
        for slot, index in enumerate(at):
            origins, directions = self._renderer.rays(camera, self.pose(int(index)), x, y)
            light = self._renderer.shade(
                self._renderer.tracer.trace(origins, directions), origins, directions, 1 / camera.fx
            )
            brightness[slot] = np.log(np.minimum(light, 1.2).mean() + 1e-3)
        spectrum = np.fft.rfft(brightness) * np.exp(-2 * (np.pi * np.fft.rfftfreq(count) * 1.5) ** 2)
        smooth = np.fft.irfft(spectrum, n=count)
        # Exposure makes up for most, not all, of the difference between bright and dark rooms.
        mean = smooth.mean()
        exposure = MIDDLE_GREY / np.exp(mean + 0.8 * (smooth - mean))
        return np.interp(np.arange(self.length), np.append(at, self.length), np.append(exposure, exposure[0]))
