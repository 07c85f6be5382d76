# SPDX-License-Identifier: Apache-2.0
"""All textures of a building by name. A texture's number seeds it, so new ones go to the end of the lists."""

from collections.abc import Callable

import numpy as np

from nepi_ros.scenes import pictures, surfaces

Texture = Callable[[np.random.Generator], np.ndarray]

PLAIN: dict[str, Texture] = {
    f.__name__: f
    for f in (
        surfaces.plain,
        surfaces.plaster,
        surfaces.concrete,
        surfaces.linoleum,
        surfaces.epoxy,
        surfaces.brick,
        surfaces.tiles,
        surfaces.checker,
        surfaces.planks,
        surfaces.wood,
        surfaces.carpet,
        surfaces.fabric,
        surfaces.stripes,
        pictures.rug,
        pictures.cardboard,
        surfaces.metal,
        surfaces.ceiling_panel,
        pictures.whiteboard,
        pictures.cabinet,
        pictures.locker,
        pictures.door,
        pictures.leaves,
    )
}
VARIED: dict[str, Texture] = {
    f.__name__: f
    for f in (pictures.poster, pictures.screen, pictures.books, pictures.binders, pictures.window, pictures.instrument)
}
VARIANTS = 4


def make_textures(seed: int) -> dict[str, np.ndarray]:
    """All textures of one seed, by name; those in VARIED come as name0 .. name3."""
    jobs = dict(PLAIN)
    for name, function in VARIED.items():
        jobs.update({f"{name}{index}": function for index in range(VARIANTS)})
    return {name: function(np.random.default_rng([seed, index])) for index, (name, function) in enumerate(jobs.items())}
