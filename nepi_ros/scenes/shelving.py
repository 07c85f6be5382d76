# SPDX-License-Identifier: Apache-2.0
"""Shelves, racks, cupboards, and the boxes that go with them. Each piece is built at the origin of the
builder's frame, on the floor, its front towards -y. Sizes are metres; `w` runs along x, `d` along y from the front
at 0 to the back at d unless said otherwise.
"""

import numpy as np

from nepi_ros.scenes.mesh import Builder, Colour, Material
from nepi_ros.scenes.paints import OBJECT, SHELF, jitter, pick

CARDBOARD = (0.76, 0.6, 0.42)


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
                    Material(f"{filling}{rng.integers(4)}", jitter(rng, (0.95, 0.95, 0.95)), 0),
                )
            for level in (z - 0.03, z + pitch / 2 - 0.02):
                b.box((0.03, 0, level), (w - 0.03, 0.06, level + 0.03), board, bottom=True)
        b.box((0, 0, h - 0.03), (w, 0.06, h), board, bottom=True)


def rack(b: Builder, rng: np.random.Generator, w: float, h: float) -> None:
    """A steel rack 0.6 m deep with boxes on its boards."""
    paint = Material("metal", pick(rng, ((0.85, 0.4, 0.1), (0.2, 0.35, 0.65))), 0.5)
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
            b.box((0, 0, 0), (w, d, h), Material("cardboard", jitter(rng, CARDBOARD, 0.1), 0))
        else:
            tint = pick(rng, ((0.15, 0.35, 0.7), (0.7, 0.15, 0.15), (0.2, 0.5, 0.3), (0.85, 0.7, 0.15)))
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


def wall_cupboard(b: Builder, w: float, front: Colour) -> None:
    """A hanging cupboard 0.35 m deep."""
    with b.labelled(SHELF):
        b.box((0, 0.0, 1.45), (w, 0.35, 2.1), Material("plain", front), bottom=True)
        for index in range(parts := max(1, round(w / 0.8))):
            b.quad((index * w / parts, -0.005, 1.45), (w / parts, 0, 0), (0, 0, 0.65), Material("cabinet", front, 0))


def lockers(b: Builder, rng: np.random.Generator, count: int, tint: Colour) -> None:
    with b.labelled(SHELF):
        for index in range(count):
            b.box(
                (index * 0.4, 0, 0),
                (index * 0.4 + 0.4, 0.45, 1.8),
                Material("plain", tint),
                front=Material("locker", tint, 0),
            )
