# SPDX-License-Identifier: Apache-2.0
"""A robot's patrol through a small building, frame by frame."""

from dataclasses import dataclass

import numpy as np

from nepi_ros.errors import ConfigError
from nepi_ros.scenes.camera import Sensor, motion_blur
from nepi_ros.scenes.exposure import meter
from nepi_ros.scenes.labels import PLACES
from nepi_ros.scenes.path import RATE, Pose
from nepi_ros.scenes.render import Camera, Renderer
from nepi_ros.scenes.tracer import Hits
from nepi_ros.scenes.world import make_world

SHUTTER = 0.4  # share of the frame time that the shutter is open


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
        if min(width, height) < 16 or seed < 0:
            raise ConfigError(f"scenes of {width}x{height} with seed {seed}: at least 16x16 and a seed of 0 or more")
        self.width, self.height, self.seed = width, height, seed
        self._camera = camera = Camera.of_size(width, height)
        self.fx, self.fy, self.cx, self.cy = camera.fx, camera.fy, camera.cx, camera.cy
        self.world = make_world(seed)
        self._renderer = Renderer(self.world, seed)
        self._sensor = Sensor(width, height, seed)
        self._x, self._y = camera.pixels()
        self._exposure = meter(self._renderer, self.world.path)

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
        if not len(where):
            return light
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
