# SPDX-License-Identifier: Apache-2.0
"""The robot's walk: a closed, smooth tour through all rooms, and the camera's pose for every frame of it."""

from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes.layout import WALL, Room

RATE = 30.0  # frames/s
SPEED = 0.7  # metres/s on straight stretches
CAMERA_HEIGHT = 1.05
STEP = 0.01  # metres between points of the dense path
STRIDE = 0.42  # metres per step of the gait


@dataclass(frozen=True)
class Pose:
    """Camera position [3] in the world (metres, z up) and rotation [3, 3] from the optical frame (x right, y down,
    z forward) to the world."""

    position: np.ndarray
    rotation: np.ndarray


def room_waypoints(room: Room, clockwise: bool) -> np.ndarray:
    """In through the door, once around the middle of the room, out again; world coordinates [n, 2]."""
    centre = np.array([(room.left + room.right) / 2, room.depth / 2])
    half = np.array([(room.right - room.left) / 2 - 1.38, room.depth / 2 - 1.32])
    start = np.arctan2(*((np.array([0.0, 0.9]) - centre) / half)[::-1])
    turn = -1 if clockwise else 1
    angles = start + turn * np.deg2rad(np.linspace(50, 310, 16))
    unit = np.stack([np.cos(angles), np.sin(angles)], 1)
    ring = centre + half * np.sign(unit) * np.abs(unit) ** 0.75
    door = np.array([[0.0, -WALL - 1.0], [0.0, 0.1], [0.0, 0.75]])
    return room.to_world(np.concatenate([door, ring, door[::-1]]))


def smooth_loop(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian smoothing of periodic `values` [n, k]; `sigma` in samples."""
    frequency = np.fft.rfftfreq(len(values))
    weight = np.exp(-2 * (np.pi * frequency * sigma) ** 2)[:, None]
    return np.fft.irfft(np.fft.rfft(values, axis=0) * weight, n=len(values), axis=0)


def dense_loop(points: np.ndarray) -> np.ndarray:
    """The closed polygon through `points` [n, 2] at even steps of STEP metres."""
    closed = np.concatenate([points, points[:1]])
    length = np.append(0, np.linalg.norm(np.diff(closed, axis=0), axis=1).cumsum())
    at = np.linspace(0, length[-1], int(length[-1] / STEP), endpoint=False)
    return np.stack([np.interp(at, length, closed[:, axis]) for axis in range(2)], 1)


class Path:
    """Camera poses along the tour; `length` frames until it closes."""

    def __init__(self, rooms: list[Room], rng: np.random.Generator):
        waypoints = [room_waypoints(room, room.left + room.right > 0) for room in rooms]
        points = smooth_loop(dense_loop(np.concatenate(waypoints)), 0.32 / STEP)
        self.ground = dense_loop(points)
        tangent = np.roll(self.ground, -1, axis=0) - np.roll(self.ground, 1, axis=0)
        heading = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
        curvature = np.abs(np.roll(np.unwrap(heading), -5) - np.roll(heading, 5)) / (10 * STEP)
        curvature[[*range(5), *range(-5, 0)]] = 0  # the heading jumps by whole turns where the tour closes
        speed = SPEED / (1 + 0.35 * smooth_loop(np.minimum(curvature, 3.0)[:, None], 0.3 / STEP)[:, 0])
        time = np.append(0, (STEP / speed).cumsum())
        self.length = int(round(time[-1] * RATE))
        self._fill(time / time[-1] * self.length, rng)

    def _fill(self, frame_of_point: np.ndarray, rng: np.random.Generator) -> None:
        frames = np.arange(self.length)
        at = np.interp(frames, frame_of_point, np.arange(len(frame_of_point)))
        ground = np.concatenate([self.ground, self.ground[:1]])
        index = np.arange(len(ground))
        xy = np.stack([np.interp(at, index, ground[:, axis]) for axis in range(2)], 1)
        # The robot looks where it will be in about a metre, and turns its head slowly left and right.
        ahead = self.ground[(at + 0.9 / STEP).astype(int) % len(self.ground)]
        toward = smooth_loop((ahead - xy) / np.linalg.norm(ahead - xy, axis=1, keepdims=True), 0.3 * RATE)
        phase = 2 * np.pi * frames / self.length
        sway = sum(
            np.deg2rad(a) * np.sin(phase * round(self.length / RATE / period) + rng.uniform(0, 2 * np.pi))
            for a, period in ((11.0, 9.1), (6.0, 5.3))
        )
        yaw = np.arctan2(toward[:, 1], toward[:, 0]) + sway
        steps = round(len(self.ground) * STEP / STRIDE)
        gait = 2 * np.pi * steps * at / len(self.ground)
        z = CAMERA_HEIGHT + 0.012 * np.sin(gait) + 0.02 * np.sin(phase * 3)
        pitch = np.deg2rad(-3.0 + 0.5 * np.sin(gait + 0.7) + 3.0 * np.sin(phase * 17))
        roll = np.deg2rad(0.9 * np.sin(gait / 2 if steps % 2 == 0 else gait))
        side = 0.012 * np.sin(gait / 2 if steps % 2 == 0 else gait)
        self._positions = np.stack([xy[:, 0] - side * np.sin(yaw), xy[:, 1] + side * np.cos(yaw), z], 1)
        self._angles = np.stack([yaw, pitch, roll], 1)

    def pose(self, index: int) -> Pose:
        """The pose of frame `index` (any integer: the tour repeats)."""
        index %= self.length
        return Pose(self._positions[index], _rotation(*self._angles[index]))


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Optical frame to world for a camera turned by yaw about z, looking up by pitch, rolled about its axis."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    forward = np.array([cy * cp, sy * cp, sp])
    right = np.array([sy, -cy, 0.0])
    down = np.cross(forward, right)
    return np.stack([cr * right + sr * down, cr * down - sr * right, forward], axis=1)
