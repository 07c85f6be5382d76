# SPDX-License-Identifier: Apache-2.0
"""Tables, seats and other single pieces. Each piece is built at the origin of the
builder's frame, on the floor, its front towards -y. Sizes are metres; `w` runs along x, `d` along y from the front
at 0 to the back at d unless said otherwise.
"""

import numpy as np

from nepi_ros.scenes.mesh import Builder, Colour, Material
from nepi_ros.scenes.paints import DARK, DOOR, OBJECT, SHELF, STEEL, TABLE, jitter, pick


def table(b: Builder, rng: np.random.Generator, w: float, d: float, h: float, top: Material) -> None:
    """A table with four legs, centred on the origin."""
    with b.labelled(TABLE):
        b.box((-w / 2, -d / 2, h - 0.05), (w / 2, d / 2, h), top, bottom=True)
        for x in (-w / 2 + 0.06, w / 2 - 0.12):
            for y in (-d / 2 + 0.06, d / 2 - 0.12):
                b.box((x, y, 0), (x + 0.06, y + 0.06, h - 0.05), DARK)


def desk(b: Builder, rng: np.random.Generator, w: float, top: Material) -> None:
    """A desk against a wall with a screen, keyboard and drawers."""
    with b.labelled(TABLE):
        b.box((0, 0, 0.70), (w, 0.7, 0.74), top, bottom=True)
        b.box((0.04, 0.06, 0), (0.44, 0.68, 0.70), Material("cabinet", (0.78, 0.78, 0.8), 0))
        b.box((w - 0.08, 0.06, 0), (w - 0.04, 0.68, 0.70), DARK)
    with b.labelled(OBJECT):
        for x in np.arange(w / 2 - 0.1, w - 0.3, 0.62):
            with b.at(x, 0.45, 0.74, rng.uniform(-0.25, 0.25)):
                monitor(b, rng)
            b.box((x - 0.2, 0.14, 0.74), (x + 0.22, 0.27, 0.76), DARK)
        if rng.random() < 0.7:
            mug(b, rng, 0.2, 0.3, 0.74)


def monitor(b: Builder, rng: np.random.Generator) -> None:
    picture = Material(f"screen{rng.integers(4)}", (1, 1, 1), 0, 0.55)
    b.box((-0.28, 0.0, 0.12), (0.28, 0.04, 0.46), DARK, front=picture, bottom=True)
    b.box((-0.04, 0.04, 0.0), (0.04, 0.07, 0.3), DARK)
    b.box((-0.12, -0.02, 0.0), (0.12, 0.14, 0.015), DARK)


def mug(b: Builder, rng: np.random.Generator, x: float, y: float, z: float) -> None:
    colour = Material("plain", tuple(rng.uniform(0.2, 0.95, 3)))
    b.tube((x, y, z), (x, y, z + 0.1), (0.042, 0.042), colour, sides=6)


def office_chair(b: Builder, rng: np.random.Generator) -> None:
    cloth = Material("fabric", pick(rng, ((0.2, 0.22, 0.28), (0.15, 0.3, 0.5), (0.25, 0.25, 0.25))), 0.4)
    with b.labelled(OBJECT):
        b.box((-0.24, -0.24, 0.42), (0.24, 0.24, 0.5), cloth, bottom=True)
        b.box((-0.22, 0.2, 0.56), (0.22, 0.27, 1.02), cloth, bottom=True)
        b.box((-0.04, 0.22, 0.45), (0.04, 0.26, 0.6), DARK)
        b.tube((0, 0, 0.06), (0, 0, 0.42), (0.03, 0.03), STEEL, sides=6)
        for angle in np.arange(5) * 2 * np.pi / 5:
            with b.at(yaw=angle):
                b.box((0, -0.025, 0.05), (0.3, 0.025, 0.09), DARK)


def chair(b: Builder, rng: np.random.Generator, tint: Colour) -> None:
    seat = Material("wood", tint, 0.6)
    with b.labelled(OBJECT):
        b.box((-0.21, -0.21, 0.43), (0.21, 0.21, 0.47), seat, bottom=True)
        for x in (-0.21, 0.17):
            b.box((x, -0.21, 0), (x + 0.04, -0.17, 0.43), seat)
            b.box((x, 0.17, 0), (x + 0.04, 0.21, 0.95), seat)
        for z in (0.6, 0.78):
            b.box((-0.17, 0.18, z), (0.17, 0.2, z + 0.1), seat, bottom=True)


def stool(b: Builder, rng: np.random.Generator) -> None:
    with b.labelled(OBJECT):
        seat = Material("plain", pick(rng, ((0.15, 0.5, 0.55), (0.2, 0.2, 0.22), (0.7, 0.7, 0.72))))
        b.tube((0, 0, 0.58), (0, 0, 0.66), (0.0, 0.19, 0.19, 0.0), seat, sides=10)
        b.tube((0, 0, 0.03), (0, 0, 0.58), (0.03, 0.03), STEEL, sides=6)
        b.tube((0, 0, 0), (0, 0, 0.05), (0.2, 0.18, 0.03), STEEL, sides=10)


def sofa(b: Builder, rng: np.random.Generator, w: float, tint: Colour) -> None:
    cloth = Material("fabric", tint, 0.5)
    with b.labelled(OBJECT):
        b.box((0, 0.05, 0.08), (w, 0.85, 0.42), cloth)
        b.box((0, 0.62, 0.42), (w, 0.85, 0.85), cloth)
        for x in (0, w - 0.18):
            b.box((x, 0.02, 0.08), (x + 0.18, 0.86, 0.62), cloth)
        seats = max(1, round((w - 0.36) / 0.7))
        for index in range(seats):
            low = 0.18 + index * (w - 0.36) / seats
            high = low + (w - 0.36) / seats
            b.box((low + 0.01, 0.03, 0.42), (high - 0.01, 0.64, 0.5), cloth)
            if rng.random() < 0.6:
                cushion = Material("fabric", jitter(rng, (0.85, 0.72, 0.45), 0.25), 0.3)
                b.ball(((low + high) / 2, 0.55, 0.64), (0.21, 0.08, 0.17), cushion, sides=10)


def plant(b: Builder, rng: np.random.Generator, h: float) -> None:
    with b.labelled(OBJECT):
        pot = Material("plain", pick(rng, ((0.65, 0.35, 0.22), (0.85, 0.85, 0.82), (0.3, 0.3, 0.34))))
        b.tube((0, 0, 0), (0, 0, 0.35), (0.14, 0.2, 0.2, 0.0), pot, sides=8)
        b.tube((0, 0, 0.3), (0, 0, h * 0.6), (0.025, 0.02), Material("wood", (0.4, 0.3, 0.2)), sides=5)
        for _ in range(7):
            x, y = rng.uniform(-0.2, 0.2, 2)
            z = rng.uniform(0.5, 1.0) * h
            b.ball(
                (x, y, z),
                tuple(rng.uniform(0.12, 0.26, 3)),
                Material("leaves", jitter(rng, (0.8, 0.9, 0.75)), 0.4),
                rows=4,
                sides=6,
            )


def floor_lamp(b: Builder, glow: float = 1.6) -> None:
    with b.labelled(OBJECT):
        b.tube((0, 0, 0), (0, 0, 0.04), (0.16, 0.16, 0.0), DARK, sides=8)
        b.tube((0, 0, 0.02), (0, 0, 1.5), (0.018, 0.018), DARK, sides=5)
        b.tube((0, 0, 1.4), (0, 0, 1.72), (0.24, 0.15), Material("fabric", (1.0, 0.86, 0.6), 0.3, glow), sides=10)


def television(b: Builder, rng: np.random.Generator) -> None:
    with b.labelled(SHELF):
        b.box(
            (0, 0.0, 0),
            (1.7, 0.42, 0.45),
            Material("wood", (0.4, 0.28, 0.2)),
            front=Material("cabinet", (0.45, 0.3, 0.22), 0),
        )
    with b.labelled(OBJECT):
        b.box(
            (0.2, 0.2, 0.5),
            (1.5, 0.25, 1.25),
            DARK,
            front=Material(f"poster{rng.integers(4)}", (1, 1, 1), 0, 0.5),
            bottom=True,
        )
        b.box((0.75, 0.2, 0.45), (0.95, 0.3, 0.5), DARK)


def bin_(b: Builder, rng: np.random.Generator) -> None:
    with b.labelled(OBJECT):
        tint = pick(rng, ((0.2, 0.4, 0.7), (0.25, 0.5, 0.3), (0.3, 0.3, 0.32), (0.8, 0.7, 0.2)))
        b.tube((0, 0, 0), (0, 0, 0.62), (0.16, 0.2, 0.2, 0.19), Material("plain", tint), sides=8)
        b.tube((0, 0, 0.6), (0, 0, 0.66), (0.2, 0.0), DARK, sides=8)


def door_leaf(b: Builder, w: float, h: float, tint: Colour) -> None:
    """An open door leaf hinged at the origin, lying along +x."""
    wood = Material("door", tint, 0)
    with b.labelled(DOOR):
        b.box((0, -0.02, 0.01), (w, 0.02, h), wood, bottom=True)
