# SPDX-License-Identifier: Apache-2.0
"""Pieces of furniture. Each is built at the origin of the builder's frame, on the floor, its front towards -y.

Sizes are metres; `w` runs along x, `d` along y from the front at 0 to the back at d unless said otherwise.
"""

import numpy as np

from nepi_ros.scenes.labels import CLASS_ID
from nepi_ros.scenes.mesh import Builder, Colour, Material

SHELF, TABLE, PERSON, OBJECT, DOOR = (CLASS_ID[name] for name in ("shelf", "table", "person", "object", "door"))
DARK = Material("plain", (0.16, 0.16, 0.18))
STEEL = Material("metal", (0.62, 0.64, 0.67))
CARDBOARD = (0.76, 0.6, 0.42)


def _pick(rng: np.random.Generator, options: tuple) -> tuple:
    return options[int(rng.integers(len(options)))]


def _jitter(rng: np.random.Generator, colour: Colour, amount: float = 0.06) -> Colour:
    return tuple(float(c) for c in np.clip(np.array(colour) * rng.uniform(1 - amount, 1 + amount, 3), 0.03, 0.97))


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
    cloth = Material("fabric", _pick(rng, ((0.2, 0.22, 0.28), (0.15, 0.3, 0.5), (0.25, 0.25, 0.25))), 0.4)
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
        seat = Material("plain", _pick(rng, ((0.15, 0.5, 0.55), (0.2, 0.2, 0.22), (0.7, 0.7, 0.72))))
        b.tube((0, 0, 0.58), (0, 0, 0.66), (0.0, 0.19, 0.19, 0.0), seat, sides=10)
        b.tube((0, 0, 0.03), (0, 0, 0.58), (0.03, 0.03), STEEL, sides=6)
        b.tube((0, 0, 0), (0, 0, 0.05), (0.2, 0.18, 0.03), STEEL, sides=10)


def bookcase(b: Builder, rng: np.random.Generator, w: float, h: float, tint: Colour, filling: str) -> None:
    """Open shelves 0.32 m deep, full of `filling` ("books" or "binders")."""
    board = Material("wood", tint, 1.0)
    with b.labelled(SHELF):
        b.box((0, 0.06, 0), (w, 0.32, h), board)
        for x in (0.0, w - 0.03):
            b.box((x, 0, 0), (x + 0.03, 0.06, h), board)
        rows = max(2, round((h - 0.08) / 0.72))
        pitch = (h - 0.08) / rows
        for row in range(rows):
            z = 0.08 + row * pitch
            for part in range(2):
                x = 0.03 + part * (w - 0.06) / 2
                b.quad(
                    (x, 0.055, z),
                    ((w - 0.06) / 2, 0, 0),
                    (0, 0, pitch),
                    Material(f"{filling}{rng.integers(4)}", _jitter(rng, (0.95, 0.95, 0.95)), 0),
                )
            for level in (z - 0.03, z + pitch / 2 - 0.02):
                b.box((0.03, 0, level), (w - 0.03, 0.06, level + 0.03), board, bottom=True)
        b.box((0, 0, h - 0.03), (w, 0.06, h), board, bottom=True)


def rack(b: Builder, rng: np.random.Generator, w: float, h: float) -> None:
    """A steel rack 0.6 m deep with boxes on its boards."""
    paint = Material("metal", _pick(rng, ((0.85, 0.4, 0.1), (0.2, 0.35, 0.65))), 0.5)
    levels = np.linspace(0.12, h - 0.35, 4 if h > 1.9 else 3)
    with b.labelled(SHELF):
        for x in (0, w - 0.06):
            for y in (0, 0.54):
                b.box((x, y, 0), (x + 0.06, y + 0.06, h), paint)
        for z in levels:
            b.box((0, 0.02, z), (w, 0.58, z + 0.05), paint, top=Material("wood", (0.7, 0.58, 0.42)), bottom=True)
    gap = levels[1] - levels[0]
    for z in levels:
        x = 0.08
        while x < w - 0.3:
            size = rng.uniform(0.25, 0.5)
            if x + size > w - 0.08:
                break
            if rng.random() < 0.8:
                with b.at(x, rng.uniform(0.05, 0.12), z + 0.05):
                    parcel(b, rng, size, rng.uniform(0.3, 0.42), rng.uniform(0.4, 0.85) * gap)
            x += size + rng.uniform(0.03, 0.15)


def parcel(b: Builder, rng: np.random.Generator, w: float, d: float, h: float) -> None:
    """A cardboard box, sometimes a coloured plastic crate; its corner is at the origin."""
    with b.labelled(OBJECT):
        if rng.random() < 0.75:
            b.box((0, 0, 0), (w, d, h), Material("cardboard", _jitter(rng, CARDBOARD, 0.1), 0))
        else:
            tint = _pick(rng, ((0.15, 0.35, 0.7), (0.7, 0.15, 0.15), (0.2, 0.5, 0.3), (0.85, 0.7, 0.15)))
            b.box((0, 0, 0), (w, d, h * 0.8), Material("locker", tint, 0))


def stack(b: Builder, rng: np.random.Generator) -> None:
    """A pallet with two layers of boxes, centred on the origin."""
    with b.labelled(OBJECT):
        for y in (-0.4, -0.05, 0.3):
            b.box((-0.5, y, 0), (0.5, y + 0.1, 0.14), Material("wood", (0.72, 0.56, 0.38)))
    z = 0.14
    for height in rng.uniform(0.3, 0.5, int(rng.integers(1, 4))):
        for x in (-0.47, 0.02):
            with b.at(x, -0.38, z):
                parcel(b, rng, 0.45, 0.76, height * rng.uniform(0.93, 1.0))
        z += height


def counter(b: Builder, rng: np.random.Generator, w: float, front: Colour, top: Material, items: bool = True) -> None:
    """A kitchen or laboratory counter 0.6 m deep, 0.9 m high."""
    with b.labelled(TABLE):
        parts = max(1, round(w / 0.8))
        face = Material("cabinet", front, 0)
        b.box((0, 0.03, 0.1), (w, 0.6, 0.86), Material("plain", front))
        for index in range(parts):
            b.quad((index * w / parts, 0.025, 0.1), (w / parts, 0, 0), (0, 0, 0.76), face)
        b.box((0, 0, 0.86), (w, 0.6, 0.9), top, bottom=True)
        b.box((0, 0.08, 0), (w, 0.6, 0.1), DARK)
    if items:
        for x in np.arange(0.2, w - 0.2, 0.38):
            if rng.random() < 0.6:
                crockery(b, rng, x, rng.uniform(0.2, 0.45), 0.9)


def crockery(b: Builder, rng: np.random.Generator, x: float, y: float, z: float) -> None:
    """A pot, bottle, jar or small machine."""
    with b.labelled(OBJECT):
        kind, tint = rng.integers(4), Material("plain", tuple(rng.uniform(0.15, 0.9, 3)))
        if kind == 0:
            b.tube((x, y, z), (x, y, z + 0.16), (0.13, 0.13, 0.13, 0.0), STEEL, sides=10)
        elif kind == 1:
            b.tube((x, y, z), (x, y, z + 0.3), (0.045, 0.045, 0.045, 0.015, 0.015), tint, sides=7)
        elif kind == 2:
            b.tube((x, y, z), (x, y, z + 0.17), (0.06, 0.075, 0.075, 0.03), tint, sides=8)
        else:
            b.box(
                (x - 0.13, y - 0.1, z),
                (x + 0.13, y + 0.12, z + 0.28),
                tint,
                front=Material(f"instrument{rng.integers(4)}", (0.6, 0.6, 0.62), 0),
            )


def wall_cupboard(b: Builder, w: float, front: Colour) -> None:
    """A hanging cupboard 0.35 m deep."""
    with b.labelled(SHELF):
        b.box((0, 0.0, 1.45), (w, 0.35, 2.1), Material("plain", front), bottom=True)
        for index in range(parts := max(1, round(w / 0.8))):
            b.quad((index * w / parts, -0.005, 1.45), (w / parts, 0, 0), (0, 0, 0.65), Material("cabinet", front, 0))


def fridge(b: Builder, rng: np.random.Generator) -> None:
    with b.labelled(OBJECT):
        body = Material("metal", (0.82, 0.83, 0.85))
        b.box((0, 0, 0.03), (0.7, 0.68, 1.85), body)
        b.box((0.02, -0.02, 0.65), (0.68, 0.0, 1.84), body, bottom=True)
        b.box((0.02, -0.02, 0.05), (0.68, 0.0, 0.63), body, bottom=True)
        for low, high in ((0.8, 1.3), (0.3, 0.58)):
            b.box((0.08, -0.06, low), (0.11, -0.02, high), DARK, bottom=True)


def lockers(b: Builder, rng: np.random.Generator, count: int, tint: Colour) -> None:
    with b.labelled(SHELF):
        for index in range(count):
            b.box(
                (index * 0.4, 0, 0),
                (index * 0.4 + 0.4, 0.45, 1.8),
                Material("plain", tint),
                front=Material("locker", tint, 0),
            )


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
                cushion = Material("fabric", _jitter(rng, (0.85, 0.72, 0.45), 0.25), 0.3)
                b.ball(((low + high) / 2, 0.55, 0.64), (0.21, 0.08, 0.17), cushion, sides=10)


def plant(b: Builder, rng: np.random.Generator, h: float) -> None:
    with b.labelled(OBJECT):
        pot = Material("plain", _pick(rng, ((0.65, 0.35, 0.22), (0.85, 0.85, 0.82), (0.3, 0.3, 0.34))))
        b.tube((0, 0, 0), (0, 0, 0.35), (0.14, 0.2, 0.2, 0.0), pot, sides=8)
        b.tube((0, 0, 0.3), (0, 0, h * 0.6), (0.025, 0.02), Material("wood", (0.4, 0.3, 0.2)), sides=5)
        for _ in range(7):
            x, y = rng.uniform(-0.2, 0.2, 2)
            z = rng.uniform(0.5, 1.0) * h
            b.ball(
                (x, y, z),
                tuple(rng.uniform(0.12, 0.26, 3)),
                Material("leaves", _jitter(rng, (0.8, 0.9, 0.75)), 0.4),
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


def instrument_bench(b: Builder, rng: np.random.Generator, w: float) -> None:
    """A laboratory bench with instruments."""
    counter(b, rng, w, (0.72, 0.8, 0.82), Material("plain", (0.25, 0.28, 0.3)), items=False)
    x = 0.1
    with b.labelled(OBJECT):
        while x < w - 0.5:
            size = rng.uniform(0.3, 0.5)
            tint = _pick(rng, ((0.9, 0.9, 0.88), (0.6, 0.72, 0.78), (0.35, 0.38, 0.42)))
            if rng.random() < 0.75:
                b.box(
                    (x, 0.12, 0.9),
                    (x + size, 0.5, 0.9 + rng.uniform(0.2, 0.5)),
                    Material("plain", tint),
                    front=Material(f"instrument{rng.integers(4)}", tint, 0),
                )
            else:
                for step in range(3):
                    glass = Material("plain", tuple(rng.uniform(0.3, 0.95, 3)))
                    b.tube(
                        (x + 0.1 + 0.12 * step, 0.3, 0.9),
                        (x + 0.1 + 0.12 * step, 0.3, 1.12),
                        (0.06, 0.05, 0.02, 0.02),
                        glass,
                        sides=7,
                    )
            x += size + rng.uniform(0.08, 0.3)


def bin_(b: Builder, rng: np.random.Generator) -> None:
    with b.labelled(OBJECT):
        tint = _pick(rng, ((0.2, 0.4, 0.7), (0.25, 0.5, 0.3), (0.3, 0.3, 0.32), (0.8, 0.7, 0.2)))
        b.tube((0, 0, 0), (0, 0, 0.62), (0.16, 0.2, 0.2, 0.19), Material("plain", tint), sides=8)
        b.tube((0, 0, 0.6), (0, 0, 0.66), (0.2, 0.0), DARK, sides=8)


def door_leaf(b: Builder, w: float, h: float, tint: Colour) -> None:
    """An open door leaf hinged at the origin, lying along +x."""
    wood = Material("door", tint, 0)
    with b.labelled(DOOR):
        b.box((0, -0.02, 0.01), (w, 0.02, h), wood, bottom=True)
