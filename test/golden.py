# SPDX-License-Identifier: Apache-2.0
"""The golden bitstreams: entropy tables, epitomes made with them, and the latents they stand for.

An epitome recorded today must decode tomorrow, on every processor. `python test/golden.py` makes the files anew;
that is right only together with a new format number of bundles, since it declares all former epitomes unreadable.
"""

import sys
from pathlib import Path

import numpy as np

from nepi_ros.codec import EntropyTables, LayeredCoder, LayerShape, fit_tables, pack, unpack

FOLDER = Path(__file__).parent / "data" / "golden"
LAYERS = (LayerShape(1, 9, 12), LayerShape(2, 9, 12), LayerShape(3, 9, 12))
SHAPE = (6, 9, 12)
FRAMES = 4


def load() -> tuple[LayeredCoder, np.ndarray, list[list[bytes]]]:
    """A coder with the committed tables, flat latents int8 [FRAMES, T], and the streams of each."""
    coder = LayeredCoder(EntropyTables.from_npz(FOLDER / "entropy.npz"), LAYERS)
    epitomes = [(FOLDER / f"{i}.epitome").read_bytes() for i in range(FRAMES)]
    return coder, np.load(FOLDER / "latents.npy").reshape(FRAMES, -1), [unpack(data, len(LAYERS)) for data in epitomes]


def latents(count: int, seed: int) -> np.ndarray:
    """Latents that look like real ones: smooth strong channels first, then weak and sparse ones."""
    random = np.random.default_rng(seed)
    walk = random.normal(size=(count, *SHAPE)).cumsum(axis=2).cumsum(axis=3)
    strength = np.array([3, 1.5, 0.7, 0.25, 0.1, 0.03])[:, None, None]
    return np.rint(walk * strength).clip(-127, 127).astype(np.int8).reshape(count, -1)


def _make() -> None:
    tables = fit_tables(latents(40, seed=1), LAYERS)
    frames = latents(FRAMES, seed=2)
    frames[1] = 0
    frames[2].reshape(SHAPE)[:, 3, 4] = [127, -128, 99, -77, 55, -33]  # values that the tables do not know
    coder = LayeredCoder(tables, LAYERS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "entropy.npz").write_bytes(tables.to_npz())
    np.save(FOLDER / "latents.npy", frames)
    for i, latent in enumerate(frames):
        (FOLDER / f"{i}.epitome").write_bytes(pack(coder.encode(latent)))


if __name__ == "__main__":
    sys.exit(_make())
