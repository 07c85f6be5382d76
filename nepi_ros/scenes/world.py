# SPDX-License-Identifier: Apache-2.0
"""The building: shells of rooms and corridor with doors, windows and lamps, and the furniture in them."""

from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes.furniture import door_leaf
from nepi_ros.scenes.labels import CLASS_ID, PLACE_ID, PLACES
from nepi_ros.scenes.layout import (
    CORRIDOR_HALF_WIDTH,
    CORRIDOR_HEIGHT,
    CORRIDOR_LENGTH,
    DOOR_HEIGHT,
    DOOR_WIDTH,
    WALL,
    Room,
    make_rooms,
)
from nepi_ros.scenes.lighting import Lamp, Sun
from nepi_ros.scenes.mesh import Builder, Material, Patches
from nepi_ros.scenes.path import Path
from nepi_ros.scenes.planner import Planner
from nepi_ros.scenes.styles import Style, make_styles

FLOOR, WALL_LABEL, CEILING, DOOR = (CLASS_ID[name] for name in ("floor", "wall", "ceiling", "door"))
FRAME = Material("wood", (0.66, 0.48, 0.32), 1.5)
WINDOW_LIGHT = np.array([7.0, 8.0, 9.0])


@dataclass(frozen=True)
class World:
    """Everything that stands still: surfaces, lamps, sun, the rooms and the robot's path through them."""

    patches: Patches
    lamps: list[Lamp]
    sun: Sun
    rooms: list[Room]
    path: Path


def make_world(seed: int) -> World:
    """The building of one seed."""
    rng = np.random.default_rng([seed, 77])
    rooms = make_rooms(rng)
    path = Path(rooms, rng)
    styles = make_styles(rng)
    shell = _Shell(path, rng)
    for room in rooms:
        shell.room(room, styles[PLACES[room.place]])
    shell.corridor(rooms, styles["corridor"])
    azimuth, strength = rng.uniform(0, 2 * np.pi), rng.uniform(1.5, 3.5)
    sun = Sun((np.cos(azimuth), np.sin(azimuth), rng.uniform(0.5, 0.9)), (strength, 0.9 * strength, 0.72 * strength))
    return World(shell.builder.build(), shell.lamps, sun, rooms, path)


class _Shell:
    """Builds rooms one after the other and collects their lamps."""

    def __init__(self, path: Path, rng: np.random.Generator):
        self.builder = Builder()
        self.lamps: list[Lamp] = []
        self._path, self._rng = path, rng

    def room(self, room: Room, style: Style) -> None:
        """One room with its door and everything in it."""
        b, rng = self.builder, self._rng
        half = DOOR_WIDTH / 2
        opening = (0, room.right - half, room.right + half)
        plan = Planner(room.left, room.right, room.depth, room.to_local(self._path.ground), [opening])
        with b.at(*room.origin, 0, room.yaw), b.labelled(place=room.place):
            self._doorway()
            self._leaf(plan)
            if style.windows:
                self._windows(plan, room)
            self._surfaces(plan, style, room.height, [opening], room)
            style.furnish(b, plan, rng)

    def corridor(self, rooms: list[Room], style: Style) -> None:
        """The corridor with openings where the rooms' doors are."""
        b, half = self.builder, DOOR_WIDTH / 2
        origin = np.array([0.0, -CORRIDOR_HALF_WIDTH])
        frame = Room(
            PLACE_ID["corridor"], tuple(origin), 0.0, 0.0, CORRIDOR_LENGTH, 2 * CORRIDOR_HALF_WIDTH, CORRIDOR_HEIGHT
        )
        openings = []
        plan = Planner(0.0, CORRIDOR_LENGTH, frame.depth, frame.to_local(self._path.ground), [])
        for room in rooms:
            door = np.array(room.door) - origin
            distances = [door[1], CORRIDOR_LENGTH - door[0], frame.depth - door[1], door[0]]
            wall = int(np.argmin(np.abs(distances)))
            x, y, yaw, _ = plan.wall_frame(wall)
            along = float((door - (x, y)) @ (np.cos(yaw), np.sin(yaw)))
            openings.append((wall, along - half, along + half))
        plan = Planner(0.0, CORRIDOR_LENGTH, frame.depth, frame.to_local(self._path.ground), openings)
        with b.at(*origin), b.labelled(place=frame.place):
            for wall, start, end in openings:
                self._trim(plan, wall, start, end)
            self._surfaces(plan, style, CORRIDOR_HEIGHT, openings, frame)
            style.furnish(b, plan, self._rng)

    def _surfaces(self, plan: Planner, style: Style, height: float, openings: list, room: Room) -> None:
        b = self.builder
        w, d = plan.right - plan.left, plan.depth
        with b.labelled(FLOOR):
            b.quad((plan.left, 0, 0), (w, 0, 0), (0, d, 0), style.floor)
        with b.labelled(CEILING):
            b.quad((plan.left, d, height), (w, 0, 0), (0, -d, 0), style.ceiling)
            self._lamps(plan, style, height, room)
        bands = [(0.0, 0.09, Material("plain", tuple(0.6 * c for c in style.wall.tint))), (0.09, height, style.wall)]
        if style.dado:
            bands[1:] = [(0.09, style.dado[1], style.dado[0]), (style.dado[1], height, style.wall)]
        with b.labelled(WALL_LABEL):
            for wall in range(4):
                doors = sorted((s, e) for index, s, e in openings if index == wall)
                self._wall(plan, wall, bands, doors, height)

    def _wall(self, plan: Planner, wall: int, bands: list, doors: list, height: float) -> None:
        b = self.builder
        x, y, yaw, length = plan.wall_frame(wall)
        edges = [0.0, *(edge for door in doors for edge in door), length]
        with b.at(x, y, 0, yaw):
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                for low, high, material in bands:
                    b.quad((start, 0, low), (end - start, 0, 0), (0, 0, high - low), material)
            for start, end in doors:
                b.quad((start, 0, DOOR_HEIGHT), (end - start, 0, 0), (0, 0, height - DOOR_HEIGHT), bands[-1][2])

    def _doorway(self) -> None:
        """The passage through the wall, and the frame around it on the room's side."""
        b, half = self.builder, DOOR_WIDTH / 2
        with b.labelled(FLOOR):
            b.quad((-half, -WALL, 0.0), (DOOR_WIDTH, 0, 0), (0, WALL, 0), Material("metal", (0.5, 0.48, 0.45)))
        with b.labelled(DOOR):
            b.quad((-half, -WALL, 0), (0, WALL, 0), (0, 0, DOOR_HEIGHT), FRAME)
            b.quad((half, 0, 0), (0, -WALL, 0), (0, 0, DOOR_HEIGHT), FRAME)
            b.quad((-half, -WALL, DOOR_HEIGHT), (0, WALL, 0), (DOOR_WIDTH, 0, 0), FRAME)
        with b.at(yaw=np.pi):
            self._frame(-half, half)

    def _trim(self, plan: Planner, wall: int, start: float, end: float) -> None:
        x, y, yaw, _ = plan.wall_frame(wall)
        with self.builder.at(x, y, 0, yaw):
            self._frame(start, end)

    def _frame(self, start: float, end: float) -> None:
        """Boards around an opening; y points into the wall."""
        b, wide, thick = self.builder, 0.09, 0.03
        with b.labelled(DOOR):
            b.box((start - wide, -thick, 0), (start, 0, DOOR_HEIGHT + wide), FRAME)
            b.box((end, -thick, 0), (end + wide, 0, DOOR_HEIGHT + wide), FRAME)
            b.box((start, -thick, DOOR_HEIGHT), (end, 0, DOOR_HEIGHT + wide), FRAME, bottom=True)

    def _leaf(self, plan: Planner) -> None:
        """The open leaf, hinged on the side that has more room, nearly flat against the wall."""
        right = plan.right > -plan.left
        half, tint = DOOR_WIDTH / 2, tuple(self._rng.uniform(0.9, 1.1) * np.array((0.72, 0.5, 0.32)))
        angle = np.deg2rad(self._rng.uniform(8, 16))
        x, yaw = (half + 0.02, angle) if right else (-half - 0.02, np.pi - angle)
        with self.builder.at(x, 0.06, 0, yaw):
            door_leaf(self.builder, DOOR_WIDTH - 0.1, DOOR_HEIGHT - 0.04, tint)
        low, high = (half, half + DOOR_WIDTH) if right else (-half - DOOR_WIDTH, -half)
        plan.reserve((low, 0.0, high, 0.45))

    def _windows(self, plan: Planner, room: Room) -> None:
        b, rng = self.builder, self._rng
        count, w, h, z = int(rng.integers(1, 3)), rng.uniform(1.1, 1.5), 1.15, 1.0
        x, y, yaw, length = plan.wall_frame(2)
        for index in range(count):
            start = length * (index + 0.5) / count - w / 2
            plan.windows[2].append((start - 0.1, start + w + 0.1))
            with b.at(x, y, 0, yaw), b.labelled(WALL_LABEL):
                b.box(
                    (start - 0.07, -0.04, z - 0.07),
                    (start + w + 0.07, -0.005, z + h + 0.07),
                    Material("plain", (0.9, 0.9, 0.9)),
                    bottom=True,
                )
                b.quad(
                    (start, -0.045, z), (w, 0, 0), (0, 0, h), Material(f"window{rng.integers(4)}", (1, 1, 1), 0, 2.2)
                )
            local = np.array([[x + start + w * s, y - 0.08] for s in (0.2, 0.5, 0.8)])
            points = np.column_stack([room.to_world(local), np.full(3, z + h * 0.6)])
            inward = room.to_world(np.array([[0.0, -1.0]]))[0] - room.origin
            self.lamps.append(Lamp(points, WINDOW_LIGHT * rng.uniform(0.6, 1.1), (*inward, -0.25)))

    def _lamps(self, plan: Planner, style: Style, height: float, room: Room) -> None:
        b, rng = self.builder, self._rng
        long, wide = (1.2, 0.3) if style.lamps[0] * style.lamps[1] > 1 else (0.5, 0.5)
        dim = rng.uniform(0.85, 1.15)
        for i in range(style.lamps[0]):
            for j in range(style.lamps[1]):
                x = plan.left + (plan.right - plan.left) * (i + 0.5) / style.lamps[0]
                y = plan.depth * (j + 0.5) / style.lamps[1]
                power = np.array(style.lamp) * style.power * dim * rng.uniform(0.85, 1.1)
                low = height - 0.06
                b.box(
                    (x - long / 2, y - wide / 2, low),
                    (x + long / 2, y + wide / 2, height - 0.001),
                    Material("plain", (0.9, 0.9, 0.9)),
                )
                b.quad(
                    (x - long / 2, y + wide / 2, low),
                    (long, 0, 0),
                    (0, -wide, 0),
                    Material("plain", style.lamp, 1.0, 2.6),
                )
                local = np.array([[x + long * s, y] for s in (-0.4, 0.0, 0.4)])
                points = np.column_stack([room.to_world(local), np.full(3, low - 0.03)])
                self.lamps.append(Lamp(points, power))
