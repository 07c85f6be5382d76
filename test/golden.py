# SPDX-License-Identifier: Apache-2.0
"""The golden bitstreams: entropy tables, epitomes made with them, and the latents they stand for.

An epitome recorded today must decode tomorrow, on every processor. `python test/golden.py` makes the files anew;
that is right only together with a new format number of bundles, since it declares all former epitomes unreadable.
"""

import sys
from pathlib import Path

import numpy as np

from nepi_ros.codec import EntropyTables, LayeredCoder, LayerShape, Segment, fit_tables

FOLDER = Path(__file__).parent / "data" / "golden"
# A vector, coarse layers, fine ones of one and of several channels, and coarse ones again.
GRIDS = ((4, 1, 1), (1, 3, 4), (2, 3, 4), (1, 9, 12), (2, 9, 12), (3, 9, 12), (1, 3, 4))
LAYERS = tuple(LayerShape(*grid) for grid in GRIDS)
CUTS = ((7,), (2, 5, 7))  # every frame in one segment, and in three
FRAMES = 4


def load() -> tuple[LayeredCoder, np.ndarray, list[list[list[Segment]]]]:
    """A coder with the committed tables, flat latents int8 [FRAMES, T], and of each the segments for each of CUTS."""
    coder = LayeredCoder(EntropyTables.from_npz(FOLDER / "entropy.npz"), LAYERS)
    epitomes = [[_segments(frame, cuts) for cuts in CUTS] for frame in range(FRAMES)]
    return coder, np.load(FOLDER / "latents.npy"), epitomes


def latents(count: int, seed: int) -> np.ndarray:
    """Latents int8 [count, T] that look like real ones: smooth strong layers first, then weak and sparse ones."""
    random = np.random.default_rng(seed)
    walks = [random.normal(size=(count, *grid)).cumsum(axis=2).cumsum(axis=3) for grid in GRIDS]
    strengths = (9, 4, 2, 1, 0.3, 0.08, 1)
    layers = [np.rint(walk * strength).reshape(count, -1) for walk, strength in zip(walks, strengths, strict=True)]
    return np.concatenate(layers, axis=1).clip(-127, 127).astype(np.int8)


def _segments(frame: int, cuts: tuple[int, ...]) -> list[Segment]:
    bounds = zip((0, *cuts), cuts, strict=False)
    return [Segment(a, b - a, (FOLDER / f"{frame}.layers-{a}-{b - 1}").read_bytes()) for a, b in bounds]


def _make() -> None:
    tables = fit_tables(latents(40, seed=1), LAYERS)
    frames = latents(FRAMES, seed=2)
    frames[1] = 0
    frames[2, ::41] = np.resize([127, -128, 99, -77, 55, -33], len(frames[2, ::41]))  # values unknown to the tables
    coder = LayeredCoder(tables, LAYERS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "entropy.npz").write_bytes(tables.to_npz())
    np.save(FOLDER / "latents.npy", frames)
    for frame, latent in enumerate(frames):
        coded = coder.code(latent)
        for a, b in {bounds for cuts in CUTS for bounds in zip((0, *cuts), cuts, strict=False)}:
            (FOLDER / f"{frame}.layers-{a}-{b - 1}").write_bytes(coded.segment(a, b - a).stream)


if __name__ == "__main__":
    sys.exit(_make())
