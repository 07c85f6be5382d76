# SPDX-License-Identifier: Apache-2.0
"""People: simple standing or walking figures of tubes and balls, 1.6 to 1.9 m tall."""

import numpy as np

from nepi_ros.scenes.labels import CLASS_ID
from nepi_ros.scenes.mesh import Builder, Material

SKINS = ((0.93, 0.75, 0.64), (0.8, 0.6, 0.47), (0.62, 0.43, 0.32), (0.42, 0.28, 0.2))
SHIRTS = ((0.75, 0.15, 0.15), (0.15, 0.3, 0.65), (0.85, 0.8, 0.75), (0.2, 0.45, 0.3), (0.85, 0.6, 0.15), (0.3, 0.3, 0.33))
TROUSERS = ((0.18, 0.22, 0.35), (0.25, 0.25, 0.25), (0.5, 0.42, 0.32), (0.12, 0.12, 0.14))
HAIR = ((0.12, 0.09, 0.07), (0.35, 0.22, 0.12), (0.75, 0.6, 0.35), (0.5, 0.5, 0.5))


def person(b: Builder, rng: np.random.Generator, coat: bool = False) -> None:
    """A person at the origin facing -y; `coat` puts on a white laboratory coat."""
    def pick(options: tuple) -> tuple:
        return options[int(rng.integers(len(options)))]

    s = rng.uniform(0.92, 1.06)
    skin, hair = Material("plain", pick(SKINS)), Material("fabric", pick(HAIR), 0.1)
    shirt = Material("fabric" if rng.random() < 0.6 else "stripes", (0.95, 0.95, 0.95) if coat else pick(SHIRTS), 0.35)
    trousers = Material("fabric", pick(TROUSERS), 0.3)
    stride, swing = rng.uniform(-0.18, 0.18), rng.uniform(-0.25, 0.25)
    with b.labelled(CLASS_ID["person"]):
        for side, step in ((-1, stride), (1, -stride)):
            hip, knee, foot = (0.09 * side * s, 0, 0.92 * s), (0.1 * side * s, step * 0.5 - 0.03, 0.5 * s), (0.11 * side * s, step, 0.07)
            b.tube(hip, knee, (0.09 * s, 0.088 * s, 0.065 * s), trousers, sides=7)
            b.tube(knee, foot, (0.066 * s, 0.06 * s, 0.045 * s), trousers, sides=7)
            b.ball((foot[0], foot[1] - 0.05, 0.05), (0.05, 0.13, 0.05), Material("plain", (0.12, 0.1, 0.1)), rows=4, sides=6)
            shoulder = (0.2 * side * s, 0, 1.42 * s)
            elbow = (0.25 * side * s, -step * 0.6 + 0.03, 1.14 * s)
            hand = (0.22 * side * s, -step * 1.1 - 0.1 + swing * (side > 0) * 0.8, (0.9 + 0.25 * abs(swing) * (side > 0)) * s)
            b.tube(shoulder, elbow, (0.0, 0.055 * s, 0.05 * s, 0.045 * s), shirt, sides=6)
            b.tube(elbow, hand, (0.046 * s, 0.042 * s, 0.035 * s), shirt if coat or stride > 0 else skin, sides=6)
            b.ball(hand, (0.04, 0.045, 0.06), skin, rows=3, sides=5)
        low = 0.62 if coat else 0.86
        b.tube((0, 0, low * s), (0, 0, 1.5 * s), (0.17 * s, 0.16 * s, 0.15 * s, 0.175 * s, 0.19 * s, 0.15 * s, 0.0), shirt,
               sides=10, flatten=0.62)
        b.tube((0, 0, 1.45 * s), (0, -0.01, 1.56 * s), (0.055 * s, 0.05 * s), skin, sides=6)
        b.ball((0, -0.01, 1.64 * s), (0.078 * s, 0.095 * s, 0.115 * s), skin, rows=7, sides=9)
        b.ball((0, 0.015, 1.67 * s), (0.085 * s, 0.095 * s, 0.105 * s), hair, rows=5, sides=9, low=-0.1)
        b.ball((0, 0.05, 1.62 * s), (0.075 * s, 0.07 * s, 0.1 * s), hair, rows=4, sides=8)
