# SPDX-License-Identifier: Apache-2.0
"""Materials and helpers that pieces of furniture share."""

import numpy as np

from nepi_ros.scenes.labels import CLASS_ID
from nepi_ros.scenes.mesh import Colour, Material

SHELF, TABLE, PERSON, OBJECT, DOOR = (CLASS_ID[name] for name in ("shelf", "table", "person", "object", "door"))

DARK = Material("plain", (0.16, 0.16, 0.18))

STEEL = Material("metal", (0.62, 0.64, 0.67))


def pick(rng: np.random.Generator, options: tuple) -> tuple:
    """One of the options."""
    return options[int(rng.integers(len(options)))]


def jitter(rng: np.random.Generator, colour: Colour, amount: float = 0.06) -> Colour:
    """The colour with each channel varied by up to `amount`."""
    return tuple(float(c) for c in np.clip(np.array(colour) * rng.uniform(1 - amount, 1 + amount, 3), 0.03, 0.97))
