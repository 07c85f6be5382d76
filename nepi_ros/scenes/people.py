# SPDX-License-Identifier: Apache-2.0
"""People: simple standing or walking figures of tubes and balls, 1.6 to 1.9 m tall."""

import numpy as np

from nepi_ros.scenes.labels import CLASS_ID
from nepi_ros.scenes.mesh import Builder, Material

SKINS = ((0.93, 0.75, 0.64), (0.8, 0.6, 0.47), (0.62, 0.43, 0.32), (0.42, 0.28, 0.2))
SHIRTS = (
    (0.75, 0.15, 0.15),
    (0.15, 0.3, 0.65),
    (0.85, 0.8, 0.75),
    (0.2, 0.45, 0.3),
    (0.85, 0.6, 0.15),
    (0.3, 0.3, 0.33),
)
TROUSERS = ((0.18, 0.22, 0.35), (0.25, 0.25, 0.25), (0.5, 0.42, 0.32), (0.12, 0.12, 0.14))
HAIR = ((0.12, 0.09, 0.07), (0.35, 0.22, 0.12), (0.75, 0.6, 0.35), (0.5, 0.5, 0.5))
COAT = (0.95, 0.95, 0.95)
BLACK = Material("plain", (0.12, 0.1, 0.1))


def person(b: Builder, rng: np.random.Generator, coat: bool = False) -> None:
    """A person at the origin facing -y; `coat` puts on a white laboratory coat."""

    def pick(options: tuple) -> tuple:
        return options[int(rng.integers(len(options)))]

    size = rng.uniform(0.92, 1.05)
    skin, hair = Material("plain", pick(SKINS)), Material("fabric", pick(HAIR), 0.1)
    pattern = "fabric" if coat or rng.random() < 0.65 else "stripes"
    shirt = Material(pattern, COAT if coat else pick(SHIRTS), 0.35)
    trousers = Material("fabric", pick(TROUSERS), 0.3)
    sleeve = shirt if coat or rng.random() < 0.6 else skin
    stride = rng.uniform(-0.2, 0.2)
    with b.labelled(CLASS_ID["person"]):
        for side, step in ((-1, stride), (1, -stride)):
            _leg(b, size, side, step, trousers)
            _arm(b, size, side, -step, rng.uniform(0, 0.35), shirt, sleeve, skin)
        _torso(b, size, 0.55 if coat else 0.88, shirt, skin)
        _head(b, size, skin, hair)


def _leg(b: Builder, s: float, side: int, step: float, cloth: Material) -> None:
    hip, knee = (0.085 * side * s, 0, 0.94 * s), (0.095 * side * s, step * 0.5 - 0.03, 0.5 * s)
    foot = (0.1 * side * s, step, 0.08)
    b.tube(hip, knee, (0.092 * s, 0.085 * s, 0.066 * s), cloth, sides=8)
    b.tube(knee, foot, (0.066 * s, 0.062 * s, 0.052 * s), cloth, sides=8)
    b.ball((foot[0], foot[1] - 0.05, 0.045), (0.05, 0.13, 0.055), BLACK, rows=4, sides=7)


def _arm(
    b: Builder, s: float, side: int, step: float, bend: float, shirt: Material, sleeve: Material, skin: Material
) -> None:
    shoulder = (0.185 * side * s, 0, 1.4 * s)
    elbow = (0.245 * side * s, step * 0.4 + 0.03, 1.13 * s)
    hand = (0.22 * side * s, step * 0.9 - 0.06 - bend * 0.7, (0.88 + 0.5 * bend) * s)
    b.ball(shoulder, (0.065 * s,) * 3, shirt, rows=4, sides=7)
    b.tube(shoulder, elbow, (0.06 * s, 0.052 * s, 0.045 * s), shirt, sides=7)
    b.tube(elbow, hand, (0.044 * s, 0.042 * s, 0.034 * s), sleeve, sides=7)
    b.ball(hand, (0.042, 0.05, 0.062), skin, rows=4, sides=6)


def _torso(b: Builder, s: float, low: float, shirt: Material, skin: Material) -> None:
    heights = np.array([low, 0.95, 1.1, 1.28, 1.4, 1.455, 1.49]) * s
    radii = np.array([0.2 if low < 0.8 else 0.17, 0.172, 0.158, 0.185, 0.192, 0.14, 0.055]) * s
    b.tube((0, 0, heights[0]), (0, 0, heights[-1]), radii, shirt, sides=12, flatten=0.62, along=heights - heights[0])
    b.tube((0, 0, 1.44 * s), (0, -0.015, 1.57 * s), (0.058 * s, 0.052 * s), skin, sides=7)


def _head(b: Builder, s: float, skin: Material, hair: Material) -> None:
    b.ball((0, -0.015, 1.64 * s), (0.078 * s, 0.095 * s, 0.12 * s), skin, rows=8, sides=10)
    b.ball((0, 0.012, 1.675 * s), (0.086 * s, 0.095 * s, 0.1 * s), hair, rows=4, sides=10, low=0.1)
    b.ball((0, 0.035, 1.65 * s), (0.083 * s, 0.08 * s, 0.115 * s), hair, rows=6, sides=10)
    b.ball((0, -0.11 * s, 1.625 * s), (0.014, 0.022, 0.026), skin, rows=3, sides=5)
    for side in (-1, 1):
        b.ball((0.032 * side * s, -0.1 * s, 1.655 * s), (0.014, 0.012, 0.009), BLACK, rows=3, sides=5)
    b.ball((0, -0.1 * s, 1.585 * s), (0.024, 0.012, 0.007), Material("plain", (0.6, 0.25, 0.22)), rows=3, sides=5)
