# SPDX-License-Identifier: Apache-2.0
"""Finding room for furniture: along walls, in corners, in the open, always clear of the robot's way."""

from collections.abc import Callable

import numpy as np

from nepi_ros.scenes.labels import CLASS_ID
from nepi_ros.scenes.mesh import Builder, Material

TRIES = 60
Rectangle = tuple[float, float, float, float]


class Planner:
    """Keeps the floor plan of one room in its own frame: 0 <= y <= depth, left <= x <= right.

    Args:
        left, right, depth: The room.
        way: Points [n, 2] of the robot's path near the room.
        openings: Doors as (wall, from, to); walls are 0 front (y = 0), 1 right, 2 back, 3 left, measured along
            the wall as `_wall_frame` runs.
    """

    def __init__(
        self, left: float, right: float, depth: float, way: np.ndarray, openings: list[tuple[int, float, float]]
    ):
        self.left, self.right, self.depth = left, right, depth
        self._way = way
        self._taken: list[Rectangle] = []
        self._on_wall: list[list[tuple[float, float]]] = [[] for _ in range(4)]
        for wall, start, end in openings:
            self._on_wall[wall].append((start - 0.12, end + 0.12))
        self.windows: list[list[tuple[float, float]]] = [[] for _ in range(4)]

    def wall_frame(self, wall: int) -> tuple[float, float, float, float]:
        """x, y, yaw of a frame whose x runs along the wall and whose y points into the wall; and the length."""
        w, d = self.right - self.left, self.depth
        return (
            (self.right, 0.0, np.pi, w),
            (self.right, d, -np.pi / 2, d),
            (self.left, d, 0.0, w),
            (self.left, 0.0, np.pi / 2, d),
        )[wall]

    def reserve(self, rectangle: Rectangle) -> None:
        """Keeps (x0, y0, x1, y1) free of furniture."""
        self._taken.append(rectangle)

    def middle(self, b: Builder, w: float, d: float, build: Callable[[], None]) -> None:
        """Puts a piece of w x d metres, centred on its origin, in the middle of the room."""
        x, y = (self.left + self.right) / 2, self.depth / 2
        self._taken.append((x - w / 2, y - d / 2, x + w / 2, y + d / 2))
        with b.at(x, y):
            build()

    def wall(
        self,
        b: Builder,
        rng: np.random.Generator,
        w: float,
        d: float,
        build: Callable[[], None],
        *,
        low: bool = False,
        keep: float = 0.5,
    ) -> bool:
        """Puts a piece with its back to some wall; `low` pieces may stand below windows. False: no room."""
        for _ in range(TRIES):
            wall = int(rng.integers(4))
            length = self.wall_frame(wall)[3]
            if length < w + 0.1:
                continue
            start = rng.uniform(0.04, length - w - 0.04)
            if self._place_at_wall(b, wall, start, w, d, build, low, keep):
                return True
        return False

    def corner(self, b: Builder, rng: np.random.Generator, size: float, build: Callable[[], None]) -> bool:
        """Puts a piece centred on its origin into a corner."""
        for wall in rng.permutation(4):

            def centred() -> None:
                with b.at(size / 2, size / 2):
                    build()

            if self._place_at_wall(b, int(wall), 0.05, size, size, centred, True, 0.4):
                return True
        return False

    def free(
        self,
        b: Builder,
        rng: np.random.Generator,
        w: float,
        d: float,
        build: Callable[[], None],
        *,
        turn: bool = False,
        keep: float = 0.5,
    ) -> bool:
        """Puts a piece centred on its origin anywhere on the floor."""
        for _ in range(TRIES):
            x = rng.uniform(self.left + w / 2 + 0.1, self.right - w / 2 - 0.1)
            y = rng.uniform(d / 2 + 0.1, self.depth - d / 2 - 0.1)
            if self._is_free((x - w / 2, y - d / 2, x + w / 2, y + d / 2), keep):
                self._taken.append((x - w / 2, y - d / 2, x + w / 2, y + d / 2))
                with b.at(x, y, 0, rng.uniform(-np.pi, np.pi) if turn else 0.0):
                    build()
                return True
        return False

    def hang(self, b: Builder, rng: np.random.Generator, w: float, h: float, z: float, material: Material) -> bool:
        """Hangs a picture or board on a free stretch of wall, its lower edge at z."""
        start = self._free_stretch(rng, w)
        if start is None:
            return False
        wall, s = start
        x, y, yaw, _ = self.wall_frame(wall)
        with b.at(x, y, 0, yaw), b.labelled(CLASS_ID["wall"]):
            b.box((s, -0.025, z), (s + w, 0, z + h), Material("plain", (0.3, 0.3, 0.3)), front=material, bottom=True)
        return True

    def shut_door(self, b: Builder, rng: np.random.Generator, material: Material) -> bool:
        """A door that is shut, on a free stretch of wall."""
        start = self._free_stretch(rng, 1.1)
        if start is None:
            return False
        wall, s = start
        x, y, yaw, _ = self.wall_frame(wall)
        with b.at(x, y, 0, yaw), b.labelled(CLASS_ID["door"]):
            frame = Material("wood", (0.5, 0.4, 0.32), 1.0)
            b.box((s, -0.04, 0), (s + 1.1, 0, 2.14), frame)
            b.quad((s + 0.08, -0.045, 0.01), (0.94, 0, 0), (0, 0, 2.05), material)
        return True

    def _free_stretch(self, rng: np.random.Generator, w: float) -> tuple[int, float] | None:
        for _ in range(TRIES):
            wall = int(rng.integers(4))
            length = self.wall_frame(wall)[3]
            s = rng.uniform(0.1, max(length - w - 0.1, 0.11))
            if s + w <= length and not self._covered(wall, s, s + w, self._on_wall, self.windows):
                self._on_wall[wall].append((s, s + w))
                return wall, s
        return None

    def _place_at_wall(
        self, b: Builder, wall: int, start: float, w: float, d: float, build: Callable[[], None], low: bool, keep: float
    ) -> bool:
        x, y, yaw, length = self.wall_frame(wall)
        if self._covered(wall, start, start + w, self._on_wall, [[]] * 4 if low else self.windows):
            return False
        c, s = np.cos(yaw), np.sin(yaw)
        corners = np.array([[start, 0], [start + w, -d]]) @ np.array([[c, s], [-s, c]]) + (x, y)
        rectangle = (*corners.min(0), *corners.max(0))
        if not self._is_free(rectangle, keep):
            return False
        self._taken.append(rectangle)
        self._on_wall[wall].append((start, min(start + w, length)))
        with b.at(x, y, 0, yaw), b.at(start, -d):
            build()
        return True

    @staticmethod
    def _covered(wall: int, start: float, end: float, *lists: list[list[tuple[float, float]]]) -> bool:
        return any(start < high and low < end for spans in lists for low, high in spans[wall])

    def _is_free(self, r: Rectangle, keep: float) -> bool:
        if any(r[0] < t[2] and t[0] < r[2] and r[1] < t[3] and t[1] < r[3] for t in self._taken):
            return False
        gap = np.maximum(np.maximum(r[:2] - self._way, self._way - r[2:]), 0)
        return bool((gap**2).sum(1).min() > keep**2)
