# SPDX-License-Identifier: Apache-2.0
"""Procedural textures: seeded, periodic pictures of materials.

Each function returns float32 [SIZE, SIZE, 3], the square root of reflectance (close to display values), 0..1.
Most are nearly white, because a surface multiplies its texture by its own tint.
"""

from collections.abc import Callable

import cv2
import numpy as np

SIZE = 256

Texture = Callable[[np.random.Generator], np.ndarray]


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


def rug(rng: np.random.Generator) -> np.ndarray:
    picture = np.empty((SIZE, SIZE, 3), np.float32)
    colours = rng.uniform(0.25, 0.95, (5, 3)).astype(np.float32)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    ring = np.maximum(np.abs(x - 127.5), np.abs(y - 127.5)) / 128
    picture[:] = colours[np.minimum((ring * 8).astype(int), 7) % 5]
    lozenge = (np.abs((x % 32) - 16) + np.abs((y % 32) - 16)) < 9
    picture[lozenge] = picture[lozenge] * 0.6 + colours[4] * 0.4
    return np.clip(picture + 0.05 * noise(rng, 0.1)[..., None], 0, 1)


def cardboard(rng: np.random.Generator) -> np.ndarray:
    picture = grey(0.9 + 0.03 * noise(rng, 0.9, (1.0, 12.0)))
    picture[112:144] = picture[112:144] * np.float32([0.88, 0.9, 0.95])
    x, y = rng.integers(20, 170), rng.integers(155, 200)
    picture[y : y + 40, x : x + 60] = 0.98
    for line in range(4):
        cv2.line(picture, (x + 5, y + 8 + 8 * line), (x + int(rng.integers(25, 55)), y + 8 + 8 * line), (0.2,) * 3, 2)
    return picture


def _spines(rng: np.random.Generator, rows: int, low: int, high: int, colours: np.ndarray) -> np.ndarray:
    """Rows of upright spines (books, binders) with boards between the rows."""
    picture = np.full((SIZE, SIZE, 3), 0.08, np.float32)
    pitch = SIZE // rows
    for row in range(rows):
        bottom, x = (row + 1) * pitch - 4, 0
        while x < SIZE:
            width = int(rng.integers(low, high))
            top = bottom - int(pitch * rng.uniform(0.68, 0.9))
            colour = colours[rng.integers(len(colours))] * rng.uniform(0.8, 1.1)
            if rng.random() > 0.06:
                picture[top:bottom, x : x + width - 1] = colour
                picture[top:bottom, x + width - 2 : x + width - 1] *= 0.7
                band = top + int(rng.integers(4, 12))
                picture[band : band + max(2, pitch // 16), x + 1 : x + width - 2] = np.clip(colour * 1.7 + 0.1, 0, 1)
            x += width
        picture[bottom : bottom + 4] = np.float32([0.62, 0.45, 0.3])
    return np.clip(picture + 0.02 * noise(rng, 0.3)[..., None], 0, 1)


def books(rng: np.random.Generator) -> np.ndarray:
    colours = np.float32(
        [
            [0.5, 0.14, 0.1],
            [0.12, 0.2, 0.4],
            [0.12, 0.33, 0.2],
            [0.6, 0.48, 0.3],
            [0.3, 0.2, 0.15],
            [0.7, 0.65, 0.52],
            [0.42, 0.1, 0.25],
            [0.2, 0.2, 0.24],
        ]
    )
    return _spines(rng, 2, 8, 20, colours)


def binders(rng: np.random.Generator) -> np.ndarray:
    colours = np.float32([[0.85, 0.85, 0.85], [0.2, 0.35, 0.7], [0.75, 0.2, 0.2], [0.3, 0.3, 0.33], [0.9, 0.75, 0.2]])
    return _spines(rng, 2, 18, 30, colours)


def metal(rng: np.random.Generator) -> np.ndarray:
    return grey(0.86 + 0.04 * noise(rng, 0.3, (20.0, 0.4)) + 0.03 * noise(rng, 1.6))


def ceiling_panel(rng: np.random.Generator) -> np.ndarray:
    _, joint = _cells(2, 2, 3)
    holes = noise(rng, 0.0) > 2.2
    return grey(0.95 + 0.015 * noise(rng, 0.6) - 0.22 * joint - 0.12 * holes)


def poster(rng: np.random.Generator) -> np.ndarray:
    """A framed abstract picture with a few lines of writing."""
    low = rng.uniform(0.1, 0.9, (int(rng.integers(2, 5)), int(rng.integers(2, 5)), 3)).astype(np.float32)
    picture = np.clip(cv2.resize(low, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 1)
    for _ in range(int(rng.integers(3, 9))):
        centre = tuple(int(c) for c in rng.integers(20, 236, 2))
        colour = tuple(float(c) for c in rng.uniform(0, 1, 3))
        if rng.random() < 0.5:
            cv2.circle(picture, centre, int(rng.integers(10, 60)), colour, -1, cv2.LINE_AA)
        else:
            corner = tuple(int(c) for c in rng.integers(20, 236, 2))
            cv2.rectangle(picture, centre, corner, colour, -1)
    for line in range(int(rng.integers(2, 5))):
        y = 200 + 10 * line
        cv2.line(picture, (30, y), (int(rng.integers(80, 220)), y), (0.05, 0.05, 0.05), 3)
    cv2.rectangle(picture, (0, 0), (SIZE - 1, SIZE - 1), tuple(rng.uniform(0.05, 0.3, 3)), 14)
    return picture


def screen(rng: np.random.Generator) -> np.ndarray:
    """A computer screen: windows with lines of text."""
    picture = np.empty((SIZE, SIZE, 3), np.float32)
    picture[:] = rng.uniform(0.1, 0.45, 3)
    for _ in range(int(rng.integers(2, 4))):
        x, y = rng.integers(5, 110, 2)
        w, h = rng.integers(90, 140, 2)
        dark = rng.random() < 0.5
        picture[y : y + h, x : x + w] = 0.12 if dark else 0.95
        picture[y : y + 10, x : x + w] = rng.uniform(0.3, 0.8, 3)
        for row in range(int(y) + 18, int(y + h) - 6, 9):
            ink = rng.uniform(0.4, 1.0, 3) if dark else rng.uniform(0.0, 0.5, 3)
            picture[row : row + 4, x + 6 : x + 6 + int(rng.integers(20, w - 10))] = ink
    cv2.rectangle(picture, (0, 0), (SIZE - 1, SIZE - 1), (0.04, 0.04, 0.05), 12)
    return picture


def whiteboard(rng: np.random.Generator) -> np.ndarray:
    picture = np.full((SIZE, SIZE, 3), 0.96, np.float32)
    pens = [(0.1, 0.1, 0.5), (0.7, 0.1, 0.1), (0.1, 0.1, 0.1), (0.1, 0.5, 0.2)]
    for _ in range(14):
        points = np.cumsum(rng.normal(0, 9, (12, 2)), axis=0) + rng.uniform(40, 216, 2)
        cv2.polylines(picture, [points.astype(np.int32)], False, pens[rng.integers(4)], 1, cv2.LINE_AA)
    cv2.rectangle(picture, (0, 0), (SIZE - 1, SIZE - 1), (0.6, 0.6, 0.62), 8)
    return picture


def window(rng: np.random.Generator) -> np.ndarray:
    """A window: sky over a line of trees or houses, seen through a frame."""
    t = np.linspace(0, 1, SIZE, dtype=np.float32)[:, None, None]
    picture = np.float32([0.78, 0.9, 1.0]) * (1 - t) + np.float32([1.0, 1.0, 0.98]) * t
    picture = np.repeat(picture, SIZE, axis=1)
    skyline = (160 + 12 * np.cumsum(rng.normal(0, 0.25, SIZE))).astype(int)
    below = np.arange(SIZE)[:, None] > np.clip(skyline, 110, 210)[None]
    land = np.float32([0.45, 0.55, 0.4]) * (0.9 + 0.15 * noise(rng, 1.0)[..., None])
    picture = np.where(below[..., None], land, picture).astype(np.float32)
    frame = (0.93,) * 3
    cv2.rectangle(picture, (0, 0), (SIZE - 1, SIZE - 1), frame, 18)
    cv2.line(picture, (128, 0), (128, 255), frame, 8)
    return np.clip(picture, 0, 1)


def instrument(rng: np.random.Generator) -> np.ndarray:
    """The front of a laboratory instrument: display, knobs, buttons."""
    picture = grey(np.full((SIZE, SIZE), 0.86, np.float32))
    cv2.rectangle(picture, (20, 24), (140, 110), (0.08, 0.15, 0.14), -1)
    trace = np.stack([np.arange(24, 136, 4), 66 + 30 * np.sin(np.arange(28) * rng.uniform(0.3, 1.2))], 1)
    cv2.polylines(picture, [trace.astype(np.int32)], False, (0.3, 0.95, 0.4), 2, cv2.LINE_AA)
    for index in range(6):
        centre = (170 + 45 * (index % 2), 40 + 40 * (index // 2))
        cv2.circle(picture, centre, 13, (0.2, 0.2, 0.22), -1, cv2.LINE_AA)
    for index in range(8):
        x = 22 + 27 * index
        cv2.rectangle(picture, (x, 180), (x + 17, 200), tuple(rng.uniform(0.2, 0.95, 3)), -1)
    return picture


def cabinet(rng: np.random.Generator) -> np.ndarray:
    """The front of a cupboard: two doors with handles."""
    picture = wood(rng) * 0.5 + 0.5
    picture[:, 126:130] *= 0.35
    cv2.rectangle(picture, (0, 0), (SIZE - 1, SIZE - 1), (0.45,) * 3, 4)
    for x in (112, 138):
        cv2.rectangle(picture, (x, 105), (x + 6, 150), (0.35, 0.35, 0.37), -1)
    return picture


def locker(rng: np.random.Generator) -> np.ndarray:
    """The front of a steel locker: slits and a lock."""
    picture = grey(0.92 + 0.015 * noise(rng, 1.0))
    for y in (24, 36, 48, 208, 220, 232):
        cv2.line(picture, (70, y), (186, y), (0.35,) * 3, 4)
    cv2.rectangle(picture, (0, 0), (SIZE - 1, SIZE - 1), (0.4,) * 3, 7)
    cv2.circle(picture, (214, 130), 10, (0.2,) * 3, -1)
    return picture


def door(rng: np.random.Generator) -> np.ndarray:
    """A door leaf: wood grain, two panels, a handle."""
    picture = wood(rng)
    for top, bottom in ((22, 110), (134, 236)):
        cv2.rectangle(picture, (40, top), (216, bottom), (0.55,) * 3, 4)
    cv2.rectangle(picture, (18, 122), (34, 140), (0.25, 0.25, 0.27), -1)
    cv2.rectangle(picture, (0, 0), (SIZE - 1, SIZE - 1), (0.5,) * 3, 4)
    return picture


def leaves(rng: np.random.Generator) -> np.ndarray:
    picture = np.empty((SIZE, SIZE, 3), np.float32)
    picture[:] = (0.15, 0.28, 0.12)
    for _ in range(160):
        centre = tuple(int(c) for c in rng.integers(0, SIZE, 2))
        colour = np.float32([0.3, 0.6, 0.25]) * rng.uniform(0.6, 1.3)
        axes = (int(rng.integers(12, 26)), int(rng.integers(4, 9)))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 360)), 0, 360, tuple(map(float, colour)), -1)
    return np.clip(picture, 0, 1)


PLAIN: dict[str, Texture] = {
    f.__name__: f
    for f in (
        plain,
        plaster,
        concrete,
        linoleum,
        epoxy,
        brick,
        tiles,
        checker,
        planks,
        wood,
        carpet,
        fabric,
        stripes,
        rug,
        cardboard,
        metal,
        ceiling_panel,
        whiteboard,
        cabinet,
        locker,
        door,
        leaves,
    )
}
VARIED: dict[str, Texture] = {f.__name__: f for f in (poster, screen, books, binders, window, instrument)}
VARIANTS = 4


def make_textures(seed: int) -> dict[str, np.ndarray]:
    """All textures of one seed, by name; those in VARIED come as name0 .. name3."""
    jobs = dict(PLAIN)
    for name, function in VARIED.items():
        jobs.update({f"{name}{index}": function for index in range(VARIANTS)})
    return {name: function(np.random.default_rng([seed, index])) for index, (name, function) in enumerate(jobs.items())}
