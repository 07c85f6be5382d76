# SPDX-License-Identifier: Apache-2.0
"""Kitchen and laboratory counters, and what stands on them. Each piece is built at the origin of the
builder's frame, on the floor, its front towards -y. Sizes are metres; `w` runs along x, `d` along y from the front
at 0 to the back at d unless said otherwise.
"""

import numpy as np

from nepi_ros.scenes.mesh import Builder, Colour, Material
from nepi_ros.scenes.paints import DARK, OBJECT, STEEL, TABLE, pick


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


def fridge(b: Builder, rng: np.random.Generator) -> None:
    with b.labelled(OBJECT):
        body = Material("metal", (0.82, 0.83, 0.85))
        b.box((0, 0, 0.03), (0.7, 0.68, 1.85), body)
        b.box((0.02, -0.02, 0.65), (0.68, 0.0, 1.84), body, bottom=True)
        b.box((0.02, -0.02, 0.05), (0.68, 0.0, 0.63), body, bottom=True)
        for low, high in ((0.8, 1.3), (0.3, 0.58)):
            b.box((0.08, -0.06, low), (0.11, -0.02, high), DARK, bottom=True)


def instrument_bench(b: Builder, rng: np.random.Generator, w: float) -> None:
    """A laboratory bench with instruments."""
    counter(b, rng, w, (0.72, 0.8, 0.82), Material("plain", (0.25, 0.28, 0.3)), items=False)
    x = 0.1
    with b.labelled(OBJECT):
        while x < w - 0.5:
            size = rng.uniform(0.3, 0.5)
            tint = pick(rng, ((0.9, 0.9, 0.88), (0.6, 0.72, 0.78), (0.35, 0.38, 0.42)))
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
