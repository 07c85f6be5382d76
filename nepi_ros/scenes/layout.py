# SPDX-License-Identifier: Apache-2.0
"""The floor plan: a corridor along x with six rooms around it, which place lies where, and the doors.

A room's own frame has its origin in the middle of its door on the inner face of the wall, y into the room.
"""

from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes.labels import PLACE_ID, PLACES

CORRIDOR_LENGTH, CORRIDOR_HALF_WIDTH, CORRIDOR_HEIGHT = 13.2, 1.4, 2.6
WALL = 0.16
DOOR_WIDTH, DOOR_HEIGHT = 1.2, 2.1
ROOM_DEPTH = 5.7
HEIGHTS = {"storage": 3.2, "library": 2.9}


@dataclass(frozen=True)
class Room:
    """One room. In its own frame it spans left <= x <= right and 0 <= y <= depth.

    Attributes:
        place: Number of the place.
        origin: Middle of the door on the room's side of the wall, world coordinates (x, y) in metres.
        yaw: Turn of the room's frame against the world's, radians.
        left, right, depth, height: The room's size in its own frame, metres.
    """

    place: int
    origin: tuple[float, float]
    yaw: float
    left: float
    right: float
    depth: float
    height: float

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Points [n, 2] of the room's frame in the world's."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.asarray(points) @ np.array([[c, s], [-s, c]]) + self.origin

    def to_local(self, points: np.ndarray) -> np.ndarray:
        """Points [n, 2] of the world in the room's frame."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return (np.asarray(points) - self.origin) @ np.array([[c, -s], [s, c]])

    @property
    def door(self) -> tuple[float, float]:
        """Middle of the door on the corridor's side of the wall, world coordinates."""
        return tuple(self.to_world(np.array([[0.0, -WALL]]))[0])


def make_rooms(rng: np.random.Generator) -> list[Room]:
    """The six rooms in the order of the patrol, each place at a random spot."""
    length, edge = CORRIDOR_LENGTH, CORRIDOR_HALF_WIDTH + WALL
    middle = length / 2
    near, far = rng.uniform(1.8, 2.6, 2), length - rng.uniform(1.8, 2.6, 2)
    side = rng.uniform(0.35, 0.6, 2)
    # origin, yaw, left, right
    slots = (
        ((-WALL, -side[0]), np.pi / 2, -3.0 + side[0], 3.1 + side[0]),
        ((near[0], edge), 0.0, -near[0], middle - WALL / 2 - near[0]),
        ((far[0], edge), 0.0, middle + WALL / 2 - far[0], length - far[0]),
        ((length + WALL, side[1]), -np.pi / 2, -3.0 + side[1], 3.1 + side[1]),
        ((far[1], -edge), np.pi, far[1] - length, far[1] - middle - WALL / 2),
        ((near[1], -edge), np.pi, near[1] - middle + WALL / 2, near[1]),
    )
    places = rng.permutation([PLACE_ID[name] for name in PLACES if name != "corridor"])
    return [
        Room(int(place), origin, yaw, left, right, ROOM_DEPTH, HEIGHTS.get(PLACES[place], 2.75))
        for place, (origin, yaw, left, right) in zip(places, slots, strict=True)
    ]
