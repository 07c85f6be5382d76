# SPDX-License-Identifier: Apache-2.0
"""The golden bitstreams: entropy tables, epitomes made with them, and the latents they stand for.

An epitome recorded today must decode tomorrow, on every processor. `python test/golden.py` makes the files anew;
that is right only together with a new format number of bundles, since it declares all former epitomes unreadable.
"""

from pathlib import Path

import numpy as np

from nepi_ros.codec import (
    ClassTables,
    EntropyTables,
    LayeredCoder,
    LayerShape,
    Segment,
    class_layers,
    fit_class_tables,
    fit_tables,
)

FOLDER = Path(__file__).parent / "data" / "golden"
# A vector, coarse layers, fine ones of one and of several channels, and coarse ones again.
GRIDS = ((4, 1, 1), (1, 3, 4), (2, 3, 4), (1, 9, 12), (2, 9, 12), (3, 9, 12), (1, 3, 4))
LAYERS = tuple(LayerShape(*grid) for grid in GRIDS)
CUTS = ((7,), (2, 5, 7))  # every frame in one segment, and in three
FRAMES = 4
# A map of classes, with numbers before it and between its parts.
CLASSES, MAP_HEIGHT, MAP_WIDTH = 5, 18, 23
_PARTS = class_layers(MAP_HEIGHT, MAP_WIDTH, CLASSES)
MAPPED = (LayerShape(4, 1, 1), *_PARTS[:5], LayerShape(1, 3, 4), *_PARTS[5:])
MAPPED_CUTS = ((len(MAPPED),), (1, 6, len(MAPPED)))


def load() -> tuple[LayeredCoder, np.ndarray, list[list[list[Segment]]]]:
    """A coder with the committed tables, flat latents int8 [FRAMES, T], and of each the segments for each of CUTS."""
    coder = LayeredCoder(EntropyTables.from_npz(FOLDER / "entropy.npz"), LAYERS)
    epitomes = [[_segments(frame, cuts) for cuts in CUTS] for frame in range(FRAMES)]
    return coder, np.load(FOLDER / "latents.npy"), epitomes


def load_mapped() -> tuple[LayeredCoder, np.ndarray, list[list[list[Segment]]]]:
    """The same with a map of classes."""
    folder = FOLDER / "mapped"
    tables, classes = EntropyTables.from_npz(folder / "entropy.npz"), ClassTables.from_npz(folder / "classes.npz")
    epitomes = [[_segments(frame, cuts, folder) for cuts in MAPPED_CUTS] for frame in range(FRAMES)]
    return LayeredCoder(tables, MAPPED, classes), np.load(folder / "latents.npy"), epitomes


def maps(count: int, seed: int, height: int, width: int, classes: int) -> np.ndarray:
    """Maps int8 [count, height, width] of a few large blobs, as segmentations are."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    found = np.empty((count, height, width), np.int8)
    for one in found:
        centres = random.uniform(0, 1, (8, 2)) * (height, width)
        nearest = np.argmin([(y - a) ** 2 + 0.3 * (x - b) ** 2 for a, b in centres], axis=0)
        one[:] = random.integers(0, classes, 8)[nearest]
    return found


def latents(count: int, seed: int) -> np.ndarray:
    """Latents int8 [count, T] that look like real ones: smooth strong layers first, then weak and sparse ones."""
    random = np.random.default_rng(seed)
    walks = [random.normal(size=(count, *grid)).cumsum(axis=2).cumsum(axis=3) for grid in GRIDS]
    strengths = (9, 4, 2, 1, 0.3, 0.08, 1)
    layers = [np.rint(walk * strength).reshape(count, -1) for walk, strength in zip(walks, strengths, strict=True)]
    return np.concatenate(layers, axis=1).clip(-127, 127).astype(np.int8)


def _segments(frame: int, cuts: tuple[int, ...], folder: Path = FOLDER) -> list[Segment]:
    bounds = zip((0, *cuts), cuts, strict=False)
    return [Segment(a, b - a, (folder / f"{frame}.layers-{a}-{b - 1}").read_bytes()) for a, b in bounds]


def _make() -> None:
    tables = fit_tables(latents(40, seed=1), LAYERS)
    frames = latents(FRAMES, seed=2)
    frames[1] = 0
    frames[2, ::41] = np.resize([127, -128, 99, -77, 55, -33], len(frames[2, ::41]))  # values unknown to the tables
    _write(FOLDER, LayeredCoder(tables, LAYERS), frames, CUTS)


def _make_mapped() -> None:
    random, count = np.random.default_rng(3), 60
    numbers = random.integers(-3, 4, (count, 16), dtype=np.int8)
    places = maps(count, 4, MAP_HEIGHT, MAP_WIDTH, CLASSES)
    tables, classes = fit_tables(numbers, (MAPPED[0], MAPPED[6])), fit_class_tables(places[FRAMES:], CLASSES)
    frames = np.concatenate([numbers, places.reshape(count, -1)], axis=1)[:FRAMES]
    frames[1, 16::7] = CLASSES - 1  # neighbours unknown to the tables
    _write(FOLDER / "mapped", LayeredCoder(tables, MAPPED, classes), frames, MAPPED_CUTS)
    (FOLDER / "mapped" / "classes.npz").write_bytes(classes.to_npz())


def _write(folder: Path, coder: LayeredCoder, frames: np.ndarray, all_cuts: tuple[tuple[int, ...], ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "entropy.npz").write_bytes(coder.tables.to_npz())
    np.save(folder / "latents.npy", frames)
    for frame, latent in enumerate(frames):
        coded = coder.code(latent)
        for a, b in {bounds for cuts in all_cuts for bounds in zip((0, *cuts), cuts, strict=False)}:
            (folder / f"{frame}.layers-{a}-{b - 1}").write_bytes(coded.segment(a, b - a).stream)


if __name__ == "__main__":
    _make()
    _make_mapped()
