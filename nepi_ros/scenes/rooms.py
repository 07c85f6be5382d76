# SPDX-License-Identifier: Apache-2.0
"""What makes a place that place: surfaces, lamps, and how it is furnished."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nepi_ros.scenes import furniture as f
from nepi_ros.scenes.mesh import Builder, Colour, Material
from nepi_ros.scenes.people import person
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


def _choose(rng: np.random.Generator, *options: Colour) -> Colour:
    return options[int(rng.integers(len(options)))]


def _people(b: Builder, plan: Planner, rng: np.random.Generator, count: int, coat: bool = False) -> None:
    for _ in range(count):
        plan.free(b, rng, 0.56, 0.5, lambda: person(b, rng, coat), turn=True, keep=0.42)


def office(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    top = Material("wood", _choose(rng, (0.85, 0.75, 0.6), (0.8, 0.8, 0.78)), 1.2)
    plan.middle(b, 2.2, 2.1, lambda: _island_of_desks(b, rng, top))
    for _ in range(4):

        def workplace() -> None:
            with b.at(0, 0.4):
                f.desk(b, rng, 1.5, top)
            with b.at(0.9, 0.32, 0, np.pi + rng.uniform(-0.5, 0.5)):
                f.office_chair(b, rng)

        plan.wall(b, rng, 1.5, 1.1, workplace, low=True, keep=0.45)
    for _ in range(3):
        plan.wall(b, rng, 0.9, 0.33, lambda: f.bookcase(b, rng, 0.9, 1.8, (0.8, 0.8, 0.8), "binders"))
    plan.hang(b, rng, 1.8, 1.1, 0.95, Material("whiteboard", (1, 1, 1), 0))
    plan.corner(b, rng, 0.5, lambda: f.plant(b, rng, rng.uniform(1.1, 1.7)))
    plan.free(b, rng, 0.4, 0.4, lambda: f.bin_(b, rng))
    _people(b, plan, rng, 3)


def _island_of_desks(b: Builder, rng: np.random.Generator, top: Material) -> None:
    f.table(b, rng, 1.8, 1.2, 0.74, top)
    with b.labelled(f.OBJECT):
        for x, y, yaw in ((-0.45, 0.12, 0), (0.45, 0.12, 0), (-0.45, -0.12, np.pi), (0.45, -0.12, np.pi)):
            with b.at(x, y, 0.74, yaw + rng.uniform(-0.2, 0.2)):
                f.monitor(b, rng)
    for x, y, yaw in ((-0.4, -0.75, np.pi), (0.45, 0.75, 0)):
        with b.at(x, y, 0, yaw + rng.uniform(-0.6, 0.6)):
            f.office_chair(b, rng)


def kitchen(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    front = _choose(rng, (0.85, 0.85, 0.8), (0.55, 0.68, 0.6), (0.8, 0.62, 0.42))
    worktop = Material("linoleum", _choose(rng, (0.3, 0.3, 0.32), (0.75, 0.7, 0.62)), 0.7)
    plan.middle(b, 1.6, 1.6, lambda: _dining(b, rng))
    for width in (2.4, 1.6, 2.4, 1.6):

        def block(w: float = width) -> None:
            f.counter(b, rng, w, front, worktop)
            with b.at(0, 0.25):
                f.wall_cupboard(b, w, front)

        plan.wall(b, rng, width, 0.6, block)
    plan.wall(b, rng, 0.75, 0.74, lambda: f.fridge(b, rng))
    plan.free(b, rng, 0.42, 0.42, lambda: f.bin_(b, rng))
    _people(b, plan, rng, 2)


def _dining(b: Builder, rng: np.random.Generator) -> None:
    wood = _choose(rng, (0.75, 0.55, 0.35), (0.85, 0.72, 0.52), (0.9, 0.9, 0.88))
    f.table(b, rng, 1.4, 0.9, 0.75, Material("wood", wood, 1.0))
    for x, y, yaw in ((-0.35, -0.5, np.pi), (0.35, -0.55, np.pi), (-0.35, 0.5, 0), (0.38, 0.55, 0)):
        with b.at(x + rng.uniform(-0.08, 0.08), y, 0, yaw + rng.uniform(-0.3, 0.3)):
            f.chair(b, rng, wood)
    for _ in range(4):
        f.crockery(b, rng, rng.uniform(-0.55, 0.55), rng.uniform(-0.3, 0.3), 0.75)


def storage(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    plan.middle(b, 1.9, 1.2, lambda: _pallets(b, rng))
    for _ in range(7):
        plan.wall(b, rng, 1.8, 0.6, lambda: f.rack(b, rng, 1.8, rng.uniform(1.9, 2.5)))
    for _ in range(2):
        plan.wall(b, rng, 1.0, 0.6, lambda: f.rack(b, rng, 1.0, rng.uniform(1.6, 2.2)))
    for _ in range(3):
        plan.free(b, rng, 0.5, 0.5, lambda: _floor_parcel(b, rng), turn=True)
    _people(b, plan, rng, 2)


def _pallets(b: Builder, rng: np.random.Generator) -> None:
    for x in (-0.56, 0.56):
        with b.at(x, 0, 0, rng.uniform(-0.08, 0.08)):
            f.stack(b, rng)


def _floor_parcel(b: Builder, rng: np.random.Generator) -> None:
    with b.at(-0.22, -0.2):
        f.parcel(b, rng, 0.44, 0.4, rng.uniform(0.25, 0.5))


def lounge(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    cloth = _choose(rng, (0.3, 0.42, 0.5), (0.6, 0.3, 0.22), (0.45, 0.5, 0.3), (0.7, 0.62, 0.5))

    def centre() -> None:
        b.quad((-1.5, -1.0, 0.012), (3.0, 0, 0), (0, 2.0, 0), Material("rug", (0.85, 0.75, 0.7), 0))
        f.table(b, rng, 1.2, 0.7, 0.42, Material("wood", (0.5, 0.34, 0.22), 1.0))
        f.crockery(b, rng, rng.uniform(-0.4, 0.4), rng.uniform(-0.2, 0.2), 0.42)

    plan.middle(b, 1.5, 1.0, centre)
    plan.wall(b, rng, 1.7, 0.45, lambda: f.television(b, rng))
    for width in (2.1, 2.1, 1.1):
        plan.wall(b, rng, width, 0.88, lambda w=width: f.sofa(b, rng, w, cloth), low=True, keep=0.4)
    plan.wall(b, rng, 1.2, 0.33, lambda: f.bookcase(b, rng, 1.2, 1.3, (0.5, 0.34, 0.22), "books"))
    for _ in range(2):
        plan.corner(b, rng, 0.5, lambda: f.plant(b, rng, rng.uniform(1.2, 1.8)))
    plan.corner(b, rng, 0.4, lambda: f.floor_lamp(b))
    for index in rng.permutation(4)[:3]:
        plan.hang(b, rng, 0.9, 0.7, 1.35, Material(f"poster{index}", (1, 1, 1), 0))
    _people(b, plan, rng, 3)


def laboratory(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    plan.middle(b, 2.2, 1.3, lambda: _lab_island(b, rng))
    for width in (2.2, 2.2, 1.6, 1.6):
        plan.wall(b, rng, width, 0.6, lambda w=width: f.instrument_bench(b, rng, w), low=True)
    for _ in range(2):
        plan.wall(b, rng, 1.2, 0.45, lambda: f.lockers(b, rng, 3, (0.75, 0.85, 0.88)))
    for _ in range(3):
        plan.free(b, rng, 0.45, 0.45, lambda: f.stool(b, rng))
    plan.hang(b, rng, 1.4, 1.0, 1.0, Material("whiteboard", (1, 1, 1), 0))
    _people(b, plan, rng, 3, coat=True)


def _lab_island(b: Builder, rng: np.random.Generator) -> None:
    for yaw in (0, np.pi):
        with b.at(0, 0, 0, yaw), b.at(-0.95, -0.6):
            f.instrument_bench(b, rng, 1.9)


def library(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    wood = _choose(rng, (0.45, 0.28, 0.17), (0.38, 0.25, 0.18))
    if rng.random() < 0.5:
        plan.middle(b, 1.8, 1.6, lambda: _reading_table(b, rng, wood))
    else:
        plan.middle(b, 1.9, 0.7, lambda: _double_bookcase(b, rng, wood))
    for _ in range(9):
        plan.wall(b, rng, 1.2, 0.33, lambda: f.bookcase(b, rng, 1.2, rng.uniform(2.0, 2.3), wood, "books"))
    for _ in range(3):
        plan.wall(b, rng, 0.8, 0.33, lambda: f.bookcase(b, rng, 0.8, 1.5, wood, "books"))
    plan.corner(b, rng, 0.4, lambda: f.floor_lamp(b))
    _people(b, plan, rng, 2)


def _reading_table(b: Builder, rng: np.random.Generator, wood: Colour) -> None:
    f.table(b, rng, 1.6, 0.9, 0.75, Material("wood", wood, 1.0))
    for x, y, yaw in ((-0.4, -0.5, np.pi), (0.4, -0.5, np.pi), (-0.4, 0.5, 0), (0.4, 0.55, 0)):
        with b.at(x, y, 0, yaw + rng.uniform(-0.3, 0.3)):
            f.chair(b, rng, wood)
    with b.labelled(f.OBJECT):
        for _ in range(4):
            with b.at(rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 0.3), 0.75, rng.uniform(0, 3)):
                b.box(
                    (-0.1, -0.14, 0),
                    (0.1, 0.14, rng.uniform(0.03, 0.12)),
                    Material("plain", tuple(rng.uniform(0.15, 0.7, 3))),
                )


def _double_bookcase(b: Builder, rng: np.random.Generator, wood: Colour) -> None:
    for yaw in (0, np.pi):
        with b.at(0, 0, 0, yaw), b.at(-0.9, -0.32):
            f.bookcase(b, rng, 1.8, 1.5, wood, "books")


def corridor(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    plan.wall(b, rng, 1.6, 0.45, lambda: f.lockers(b, rng, 4, _choose(rng, (0.35, 0.5, 0.7), (0.6, 0.62, 0.65))))
    for _ in range(2):
        plan.corner(b, rng, 0.5, lambda: f.plant(b, rng, rng.uniform(1.2, 1.6)))
    for index in rng.permutation(4):
        plan.hang(b, rng, 0.8, 1.0, 1.1, Material(f"poster{index}", (1, 1, 1), 0))
    for _ in range(2):
        plan.shut_door(b, rng, Material("door", (0.62, 0.45, 0.3), 0))
    _people(b, plan, rng, 3)


def make_styles(rng: np.random.Generator) -> dict[str, Style]:
    """The style of every place, colours varied a little by `rng`."""

    def tint(*colour: float, amount: float = 0.05) -> Colour:
        return tuple(float(c) for c in np.clip(np.array(colour) * rng.uniform(1 - amount, 1 + amount, 3), 0.05, 0.97))

    white = Material("plaster", (0.93, 0.93, 0.92), 1.5)
    panels = Material("ceiling_panel", (0.92, 0.92, 0.92), 1.2)
    return {
        "corridor": Style(
            Material("linoleum", tint(0.62, 0.66, 0.7), 1.2, gloss=0.7),
            Material("plaster", tint(0.88, 0.88, 0.86), 1.5),
            panels,
            (Material("plaster", tint(0.38, 0.5, 0.68), 1.5), 1.0),
            (0.97, 1.0, 1.0),
            5.0,
            (5, 1),
            False,
            corridor,
        ),
        "office": Style(
            Material("carpet", tint(0.42, 0.46, 0.55), 1.0),
            Material("plaster", tint(0.9, 0.9, 0.88), 1.5),
            panels,
            None,
            (1.0, 0.98, 0.95),
            6.0,
            (2, 2),
            True,
            office,
        ),
        "kitchen": Style(
            Material("checker", tint(0.92, 0.86, 0.76), 1.0, gloss=0.7),
            Material("plaster", tint(0.92, 0.84, 0.56), 1.5),
            white,
            (Material("tiles", tint(0.92, 0.92, 0.94), 1.0), 1.4),
            (1.0, 0.9, 0.74),
            7.0,
            (2, 1),
            True,
            kitchen,
        ),
        "storage": Style(
            Material("concrete", tint(0.62, 0.61, 0.59), 2.5, gloss=0.25),
            Material("brick", tint(0.72, 0.68, 0.66), 1.2),
            Material("concrete", (0.62, 0.62, 0.62), 2.0),
            None,
            (1.0, 0.93, 0.82),
            6.5,
            (2, 1),
            False,
            storage,
        ),
        "lounge": Style(
            Material("planks", tint(0.8, 0.58, 0.38), 1.3, gloss=0.5),
            Material("plaster", tint(0.82, 0.52, 0.4), 1.5),
            white,
            None,
            (1.0, 0.82, 0.6),
            5.0,
            (1, 1),
            True,
            lounge,
        ),
        "laboratory": Style(
            Material("epoxy", tint(0.78, 0.84, 0.86), 1.5, gloss=0.8),
            Material("plaster", tint(0.72, 0.88, 0.88), 1.5),
            panels,
            (Material("plaster", tint(0.93, 0.95, 0.96), 1.5), 1.2),
            (0.92, 0.98, 1.0),
            8.5,
            (3, 2),
            False,
            laboratory,
        ),
        "library": Style(
            Material("planks", tint(0.52, 0.34, 0.24), 1.3, gloss=0.5),
            Material("plaster", tint(0.3, 0.45, 0.34), 1.5),
            Material("wood", (0.6, 0.45, 0.33), 1.5),
            (Material("wood", tint(0.45, 0.3, 0.2), 1.0), 0.9),
            (1.0, 0.84, 0.62),
            6.0,
            (2, 2),
            True,
            library,
        ),
    }
