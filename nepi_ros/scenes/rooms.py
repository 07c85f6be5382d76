# SPDX-License-Identifier: Apache-2.0
"""What stands in a place: one function per place furnishes a room."""

import numpy as np

from nepi_ros.scenes import counters, furniture, shelving
from nepi_ros.scenes.mesh import Builder, Colour, Material
from nepi_ros.scenes.paints import OBJECT
from nepi_ros.scenes.people import person
from nepi_ros.scenes.planner import Planner


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
                furniture.desk(b, rng, 1.5, top)
            with b.at(0.9, 0.32, 0, np.pi + rng.uniform(-0.5, 0.5)):
                furniture.office_chair(b, rng)

        plan.wall(b, rng, 1.5, 1.1, workplace, low=True, keep=0.45)
    for _ in range(3):
        plan.wall(b, rng, 0.9, 0.33, lambda: shelving.bookcase(b, rng, 0.9, 1.8, (0.8, 0.8, 0.8), "binders"))
    plan.hang(b, rng, 1.8, 1.1, 0.95, Material("whiteboard", (1, 1, 1), 0))
    plan.corner(b, rng, 0.5, lambda: furniture.plant(b, rng, rng.uniform(1.1, 1.7)))
    plan.free(b, rng, 0.4, 0.4, lambda: furniture.bin_(b, rng))
    _people(b, plan, rng, 3)


def _island_of_desks(b: Builder, rng: np.random.Generator, top: Material) -> None:
    furniture.table(b, rng, 1.8, 1.2, 0.74, top)
    with b.labelled(OBJECT):
        for x, y, yaw in ((-0.45, 0.12, 0), (0.45, 0.12, 0), (-0.45, -0.12, np.pi), (0.45, -0.12, np.pi)):
            with b.at(x, y, 0.74, yaw + rng.uniform(-0.2, 0.2)):
                furniture.monitor(b, rng)
    for x, y, yaw in ((-0.4, -0.75, np.pi), (0.45, 0.75, 0)):
        with b.at(x, y, 0, yaw + rng.uniform(-0.6, 0.6)):
            furniture.office_chair(b, rng)


def kitchen(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    front = _choose(rng, (0.85, 0.85, 0.8), (0.55, 0.68, 0.6), (0.8, 0.62, 0.42))
    worktop = Material("linoleum", _choose(rng, (0.3, 0.3, 0.32), (0.75, 0.7, 0.62)), 0.7)
    plan.middle(b, 1.6, 1.6, lambda: _dining(b, rng))
    for width in (2.4, 1.6, 2.4, 1.6):

        def block(w: float = width) -> None:
            counters.counter(b, rng, w, front, worktop)
            with b.at(0, 0.25):
                shelving.wall_cupboard(b, w, front)

        plan.wall(b, rng, width, 0.6, block)
    plan.wall(b, rng, 0.75, 0.74, lambda: counters.fridge(b, rng))
    plan.free(b, rng, 0.42, 0.42, lambda: furniture.bin_(b, rng))
    _people(b, plan, rng, 2)


def _dining(b: Builder, rng: np.random.Generator) -> None:
    wood = _choose(rng, (0.75, 0.55, 0.35), (0.85, 0.72, 0.52), (0.9, 0.9, 0.88))
    furniture.table(b, rng, 1.4, 0.9, 0.75, Material("wood", wood, 1.0))
    for x, y, yaw in ((-0.35, -0.5, np.pi), (0.35, -0.55, np.pi), (-0.35, 0.5, 0), (0.38, 0.55, 0)):
        with b.at(x + rng.uniform(-0.08, 0.08), y, 0, yaw + rng.uniform(-0.3, 0.3)):
            furniture.chair(b, rng, wood)
    for _ in range(4):
        counters.crockery(b, rng, rng.uniform(-0.55, 0.55), rng.uniform(-0.3, 0.3), 0.75)


def storage(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    plan.middle(b, 1.9, 1.2, lambda: _pallets(b, rng))
    for _ in range(7):
        plan.wall(b, rng, 1.8, 0.6, lambda: shelving.rack(b, rng, 1.8, rng.uniform(1.9, 2.5)))
    for _ in range(2):
        plan.wall(b, rng, 1.0, 0.6, lambda: shelving.rack(b, rng, 1.0, rng.uniform(1.6, 2.2)))
    for _ in range(3):
        plan.free(b, rng, 0.5, 0.5, lambda: _floor_parcel(b, rng), turn=True)
    _people(b, plan, rng, 2)


def _pallets(b: Builder, rng: np.random.Generator) -> None:
    for x in (-0.56, 0.56):
        with b.at(x, 0, 0, rng.uniform(-0.08, 0.08)):
            shelving.stack(b, rng)


def _floor_parcel(b: Builder, rng: np.random.Generator) -> None:
    with b.at(-0.22, -0.2):
        shelving.parcel(b, rng, 0.44, 0.4, rng.uniform(0.25, 0.5))


def lounge(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    cloth = _choose(rng, (0.3, 0.42, 0.5), (0.6, 0.3, 0.22), (0.45, 0.5, 0.3), (0.7, 0.62, 0.5))

    def centre() -> None:
        b.quad((-1.5, -1.0, 0.012), (3.0, 0, 0), (0, 2.0, 0), Material("rug", (0.85, 0.75, 0.7), 0))
        furniture.table(b, rng, 1.2, 0.7, 0.42, Material("wood", (0.5, 0.34, 0.22), 1.0))
        counters.crockery(b, rng, rng.uniform(-0.4, 0.4), rng.uniform(-0.2, 0.2), 0.42)

    plan.middle(b, 1.5, 1.0, centre)
    plan.wall(b, rng, 1.7, 0.45, lambda: furniture.television(b, rng))
    for width in (2.1, 2.1, 1.1):
        plan.wall(b, rng, width, 0.88, lambda w=width: furniture.sofa(b, rng, w, cloth), low=True, keep=0.4)
    plan.wall(b, rng, 1.2, 0.33, lambda: shelving.bookcase(b, rng, 1.2, 1.3, (0.5, 0.34, 0.22), "books"))
    for _ in range(2):
        plan.corner(b, rng, 0.5, lambda: furniture.plant(b, rng, rng.uniform(1.2, 1.8)))
    plan.corner(b, rng, 0.4, lambda: furniture.floor_lamp(b))
    for index in rng.permutation(4)[:3]:
        plan.hang(b, rng, 0.9, 0.7, 1.35, Material(f"poster{index}", (1, 1, 1), 0))
    _people(b, plan, rng, 3)


def laboratory(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    plan.middle(b, 2.2, 1.3, lambda: _lab_island(b, rng))
    for width in (2.2, 2.2, 1.6, 1.6):
        plan.wall(b, rng, width, 0.6, lambda w=width: counters.instrument_bench(b, rng, w), low=True)
    for _ in range(2):
        plan.wall(b, rng, 1.2, 0.45, lambda: shelving.lockers(b, rng, 3, (0.75, 0.85, 0.88)))
    for _ in range(3):
        plan.free(b, rng, 0.45, 0.45, lambda: furniture.stool(b, rng))
    plan.hang(b, rng, 1.4, 1.0, 1.0, Material("whiteboard", (1, 1, 1), 0))
    _people(b, plan, rng, 3, coat=True)


def _lab_island(b: Builder, rng: np.random.Generator) -> None:
    for yaw in (0, np.pi):
        with b.at(0, 0, 0, yaw), b.at(-0.95, -0.6):
            counters.instrument_bench(b, rng, 1.9)


def library(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    wood = _choose(rng, (0.45, 0.28, 0.17), (0.38, 0.25, 0.18))
    if rng.random() < 0.5:
        plan.middle(b, 1.8, 1.6, lambda: _reading_table(b, rng, wood))
    else:
        plan.middle(b, 1.9, 0.7, lambda: _double_bookcase(b, rng, wood))
    for _ in range(9):
        plan.wall(b, rng, 1.2, 0.33, lambda: shelving.bookcase(b, rng, 1.2, rng.uniform(2.0, 2.3), wood, "books"))
    for _ in range(3):
        plan.wall(b, rng, 0.8, 0.33, lambda: shelving.bookcase(b, rng, 0.8, 1.5, wood, "books"))
    plan.corner(b, rng, 0.4, lambda: furniture.floor_lamp(b))
    _people(b, plan, rng, 2)


def _reading_table(b: Builder, rng: np.random.Generator, wood: Colour) -> None:
    furniture.table(b, rng, 1.6, 0.9, 0.75, Material("wood", wood, 1.0))
    for x, y, yaw in ((-0.4, -0.5, np.pi), (0.4, -0.5, np.pi), (-0.4, 0.5, 0), (0.4, 0.55, 0)):
        with b.at(x, y, 0, yaw + rng.uniform(-0.3, 0.3)):
            furniture.chair(b, rng, wood)
    with b.labelled(OBJECT):
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
            shelving.bookcase(b, rng, 1.8, 1.5, wood, "books")


def corridor(b: Builder, plan: Planner, rng: np.random.Generator) -> None:
    plan.wall(b, rng, 1.6, 0.45, lambda: shelving.lockers(b, rng, 4, _choose(rng, (0.35, 0.5, 0.7), (0.6, 0.62, 0.65))))
    for _ in range(2):
        plan.corner(b, rng, 0.5, lambda: furniture.plant(b, rng, rng.uniform(1.2, 1.6)))
    for index in rng.permutation(4):
        plan.hang(b, rng, 0.8, 1.0, 1.1, Material(f"poster{index}", (1, 1, 1), 0))
    for _ in range(2):
        plan.shut_door(b, rng, Material("door", (0.62, 0.45, 0.3), 0))
    _people(b, plan, rng, 3)
