# SPDX-License-Identifier: Apache-2.0
"""How places look: surfaces and lamps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes import rooms
from nepi_ros.scenes.mesh import Builder, Colour, Material
from nepi_ros.scenes.planner import Planner


@dataclass(frozen=True)
class Style:
    """Surfaces and light of a place.

    Attributes:
        floor, wall, ceiling: Materials.
        dado: Material of the wall's lower band and its height in metres, or None.
        lamp: Colour of the lamps.
        power: Strength of one lamp.
        lamps: Lamps along the room's x and y.
        windows: Whether its outer wall has windows.
        furnish: Puts the furniture in.
    """

    floor: Material
    wall: Material
    ceiling: Material
    dado: tuple[Material, float] | None
    lamp: Colour
    power: float
    lamps: tuple[int, int]
    windows: bool
    furnish: Callable[[Builder, Planner, np.random.Generator], None]


def make_styles(rng: np.random.Generator) -> dict[str, Style]:
    """The style of every place, colours varied a little by `rng`."""

    def tint(*colour: float, amount: float = 0.05) -> Colour:
        return tuple(float(c) for c in np.clip(np.array(colour) * rng.uniform(1 - amount, 1 + amount, 3), 0.05, 0.97))

    white = Material("plaster", (0.93, 0.93, 0.92), 1.5)
    panels = Material("ceiling_panel", (0.92, 0.92, 0.92), 1.2)
    return {
        "corridor": Style(
            floor=Material("linoleum", tint(0.62, 0.66, 0.7), 1.2, gloss=0.7),
            wall=Material("plaster", tint(0.88, 0.88, 0.86), 1.5),
            ceiling=panels,
            dado=(Material("plaster", tint(0.38, 0.5, 0.68), 1.5), 1.0),
            lamp=(0.97, 1.0, 1.0),
            power=5.0,
            lamps=(5, 1),
            windows=False,
            furnish=rooms.corridor,
        ),
        "office": Style(
            floor=Material("carpet", tint(0.42, 0.46, 0.55), 1.0),
            wall=Material("plaster", tint(0.9, 0.9, 0.88), 1.5),
            ceiling=panels,
            dado=None,
            lamp=(1.0, 0.98, 0.95),
            power=6.0,
            lamps=(2, 2),
            windows=True,
            furnish=rooms.office,
        ),
        "kitchen": Style(
            floor=Material("checker", tint(0.92, 0.86, 0.76), 1.0, gloss=0.7),
            wall=Material("plaster", tint(0.92, 0.84, 0.56), 1.5),
            ceiling=white,
            dado=(Material("tiles", tint(0.92, 0.92, 0.94), 1.0), 1.4),
            lamp=(1.0, 0.9, 0.74),
            power=7.0,
            lamps=(2, 1),
            windows=True,
            furnish=rooms.kitchen,
        ),
        "storage": Style(
            floor=Material("concrete", tint(0.62, 0.61, 0.59), 2.5, gloss=0.25),
            wall=Material("brick", tint(0.72, 0.68, 0.66), 1.2),
            ceiling=Material("concrete", (0.62, 0.62, 0.62), 2.0),
            dado=None,
            lamp=(1.0, 0.93, 0.82),
            power=6.5,
            lamps=(2, 1),
            windows=False,
            furnish=rooms.storage,
        ),
        "lounge": Style(
            floor=Material("planks", tint(0.8, 0.58, 0.38), 1.3, gloss=0.5),
            wall=Material("plaster", tint(0.82, 0.52, 0.4), 1.5),
            ceiling=white,
            dado=None,
            lamp=(1.0, 0.82, 0.6),
            power=5.0,
            lamps=(1, 1),
            windows=True,
            furnish=rooms.lounge,
        ),
        "laboratory": Style(
            floor=Material("epoxy", tint(0.78, 0.84, 0.86), 1.5, gloss=0.8),
            wall=Material("plaster", tint(0.72, 0.88, 0.88), 1.5),
            ceiling=panels,
            dado=(Material("plaster", tint(0.93, 0.95, 0.96), 1.5), 1.2),
            lamp=(0.92, 0.98, 1.0),
            power=8.5,
            lamps=(3, 2),
            windows=False,
            furnish=rooms.laboratory,
        ),
        "library": Style(
            floor=Material("planks", tint(0.52, 0.34, 0.24), 1.3, gloss=0.5),
            wall=Material("plaster", tint(0.3, 0.45, 0.34), 1.5),
            ceiling=Material("wood", (0.6, 0.45, 0.33), 1.5),
            dado=(Material("wood", tint(0.45, 0.3, 0.2), 1.0), 0.9),
            lamp=(1.0, 0.84, 0.62),
            power=6.0,
            lamps=(2, 2),
            windows=True,
            furnish=rooms.library,
        ),
    }
