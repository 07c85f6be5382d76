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
FILM_LAYERS = len(MAPPED) - 2


def load() -> tuple[LayeredCoder, np.ndarray, list[list[list[Segment]]]]:
    """A coder with the committed tables, flat latents int8 [FRAMES, T], and of each the segments for each of CUTS."""
    coder = LayeredCoder(EntropyTables.from_npz(FOLDER / "entropy.npz"), LAYERS)
    epitomes = [[_segments(frame, cuts) for cuts in CUTS] for frame in range(FRAMES)]
    return coder, np.load(FOLDER / "latents.npy"), epitomes


def load_film() -> tuple[LayeredCoder, np.ndarray, list[list[list[Segment]]]]:
    """The same of a film: each frame but the first is coded given the one before, of which the first FILM_LAYERS layers
    are known."""
    folder = FOLDER / "film"
    tables, classes = EntropyTables.from_npz(folder / "entropy.npz"), ClassTables.from_npz(folder / "classes.npz")
    epitomes = [[_segments(frame, cuts, folder) for cuts in MAPPED_CUTS] for frame in range(FRAMES)]
    return LayeredCoder(tables, MAPPED, classes), np.load(folder / "latents.npy"), epitomes


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


def film(count: int, seed: int) -> np.ndarray:
    """Latents int8 [count, T] of MAPPED as a camera that turns sees them: numbers that stay for a while, and a map of
    which each frame shows another part."""
    random = np.random.default_rng(seed)
    steps = random.integers(-1, 2, (count, 16)) * (random.random((count, 16)) < 0.2)
    numbers = (random.integers(-3, 4, 16) + steps.cumsum(axis=0)).clip(-9, 9)
    (scene,) = maps(1, seed, MAP_HEIGHT + 30, MAP_WIDTH + 30, CLASSES)
    way = random.integers(-2, 3, (count, 2)).cumsum(axis=0).clip(-15, 15) + 15
    shown = [scene[y : y + MAP_HEIGHT, x : x + MAP_WIDTH].ravel() for y, x in way]
    return np.concatenate([numbers, shown], axis=1).astype(np.int8)


def film_pairs(count: int) -> list[list[tuple[int, int]]]:
    """Pairs of a film's frames at two paces."""
    return [[(now, now - back) for now in range(back, count)] for back in (1, 3)]


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


def _make_film() -> None:
    films = [film(60, seed) for seed in range(10, 18)]
    paces = film_pairs(60)
    every = [[(now + 60 * k, back + 60 * k) for k in range(len(films)) for now, back in pairs] for pairs in paces]
    numbers, places = np.split(np.concatenate(films), [16], axis=1)
    tables = fit_tables(numbers, (MAPPED[0], MAPPED[6]), pairs_by_pace=every)
    classes = fit_class_tables(places.reshape(-1, MAP_HEIGHT, MAP_WIDTH), CLASSES, every[0])
    shown = film(FRAMES, 6)
    shown[1, 16::70] = CLASSES - 1
    shown[2, 0] = 99  # unknown to the tables
    _write(FOLDER / "film", LayeredCoder(tables, MAPPED, classes), shown, MAPPED_CUTS, given=True)
    (FOLDER / "film" / "classes.npz").write_bytes(classes.to_npz())


def _write(
    folder: Path, coder: LayeredCoder, frames: np.ndarray, all_cuts: tuple[tuple[int, ...], ...], given: bool = False
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "entropy.npz").write_bytes(coder.tables.to_npz())
    np.save(folder / "latents.npy", frames)
    for frame, latent in enumerate(frames):
        earlier = coder.received(frames[frame - 1], FILM_LAYERS) if given and frame else None
        coded = coder.code(latent, earlier=earlier)
        for a, b in {bounds for cuts in all_cuts for bounds in zip((0, *cuts), cuts, strict=False)}:
            (folder / f"{frame}.layers-{a}-{b - 1}").write_bytes(coded.segment(a, b - a).stream)


if __name__ == "__main__":
    _make()
    _make_mapped()
    _make_film()
