# SPDX-License-Identifier: Apache-2.0
"""Procedural textures of building materials: seeded and periodic.

Each function returns float32 [SIZE, SIZE, 3], the square root of reflectance (close to display values), 0..1.
Most are nearly white, because a surface multiplies its texture by its own tint.
"""

import numpy as np

SIZE = 256


def noise(rng: np.random.Generator, slope: float = 1.0, stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Periodic noise [SIZE, SIZE], mean 0, deviation 1; power falls with frequency to the 2 * `slope`."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE) * stretch[1], np.fft.rfftfreq(SIZE) * stretch[0], indexing="ij")
    weight = 1.0 / np.maximum(np.hypot(fx, fy), 1.0 / SIZE) ** slope
    weight[0, 0] = 0.0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * weight, s=(SIZE, SIZE))
    return (field / field.std()).astype(np.float32)


def grey(values: np.ndarray) -> np.ndarray:
    """A grey picture [SIZE, SIZE, 3] of `values` [SIZE, SIZE]."""
    return np.repeat(np.clip(values, 0.0, 1.0)[..., None], 3, axis=2).astype(np.float32)


def _cells(rows: int, columns: int, joint: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Cell number and joint mask [SIZE, SIZE] of a grid of bricks; odd rows are shifted by `shift` cells."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    row = y * rows // SIZE
    xs = (x + (row % 2) * shift * SIZE / columns) % SIZE
    column = (xs * columns / SIZE).astype(int)
    mask = (y % (SIZE / rows) < joint) | (xs % (SIZE / columns) < joint)
    return row * columns + column, mask


def plain(rng: np.random.Generator) -> np.ndarray:
    return grey(0.97 + 0.012 * noise(rng, 0.5))


def plaster(rng: np.random.Generator) -> np.ndarray:
    return grey(0.94 + 0.02 * noise(rng, 0.4) + 0.02 * noise(rng, 1.5))


def concrete(rng: np.random.Generator) -> np.ndarray:
    picture = 0.82 + 0.07 * noise(rng, 1.4) + 0.03 * noise(rng, 0.3)
    cracks = np.abs(noise(rng, 2.0)) < 0.012
    return grey(picture - 0.12 * cracks)


def linoleum(rng: np.random.Generator) -> np.ndarray:
    speckle = noise(rng, 0.6)
    return grey(0.88 + 0.04 * noise(rng, 1.2) + 0.07 * (speckle > 1.6) - 0.10 * (speckle < -1.7))


def epoxy(rng: np.random.Generator) -> np.ndarray:
    picture = 0.93 + 0.02 * noise(rng, 1.5)
    _, joint = _cells(1, 1, 3)
    return grey(picture - 0.18 * joint)


def brick(rng: np.random.Generator) -> np.ndarray:
    cell, joint = _cells(12, 4, 3, 0.5)
    tone = rng.uniform(0.68, 0.98, 48).astype(np.float32)[cell % 48]
    return grey(np.where(joint, 0.62, tone) + 0.035 * noise(rng, 0.7))


def tiles(rng: np.random.Generator) -> np.ndarray:
    cell, joint = _cells(8, 8, 3)
    tone = rng.uniform(0.88, 0.98, 64).astype(np.float32)[cell]
    return grey(np.where(joint, 0.55, tone) + 0.01 * noise(rng, 1.0))


def checker(rng: np.random.Generator) -> np.ndarray:
    cell, joint = _cells(2, 2, 2)
    dark = ((cell // 2 + cell) % 2).astype(np.float32)
    return grey(np.where(joint, 0.45, 0.95 - 0.55 * dark) + 0.025 * noise(rng, 1.2))


def planks(rng: np.random.Generator) -> np.ndarray:
    cell, joint = _cells(8, 1, 2)
    tone = rng.uniform(0.72, 0.98, 8).astype(np.float32)[cell]
    ends = np.zeros((SIZE, SIZE), bool)
    for row in range(8):
        ends[row * 32 : row * 32 + 32, int(rng.integers(SIZE))] = True
    grain = 0.05 * noise(rng, 0.9, (8.0, 0.6))
    return grey(np.where(joint | ends, 0.42, tone + grain))


def wood(rng: np.random.Generator) -> np.ndarray:
    rings = np.sin(noise(rng, 1.8, (6.0, 0.8)) * 5.0).astype(np.float32)
    return grey(0.86 + 0.05 * rings + 0.04 * noise(rng, 0.7, (10.0, 0.5)))


def carpet(rng: np.random.Generator) -> np.ndarray:
    cell, _ = _cells(2, 2, 0)
    tone = rng.uniform(0.84, 0.96, 4).astype(np.float32)[cell]
    return grey(tone + 0.07 * noise(rng, 0.1))


def fabric(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    weave = 0.05 * np.sin(x * (2 * np.pi / 4)) * np.sin(y * (2 * np.pi / 4))
    return grey(0.88 + weave + 0.05 * noise(rng, 1.0))


def stripes(rng: np.random.Generator) -> np.ndarray:
    y = np.mgrid[0:SIZE, 0:SIZE][0]
    band = ((y // 16) % 2).astype(np.float32)
    return grey(0.95 - 0.35 * band + 0.02 * noise(rng, 0.8))


def metal(rng: np.random.Generator) -> np.ndarray:
    return grey(0.86 + 0.04 * noise(rng, 0.3, (20.0, 0.4)) + 0.03 * noise(rng, 1.6))


def ceiling_panel(rng: np.random.Generator) -> np.ndarray:
    _, joint = _cells(2, 2, 3)
    holes = noise(rng, 0.0) > 2.2
    return grey(0.95 + 0.015 * noise(rng, 0.6) - 0.22 * joint - 0.12 * holes)
