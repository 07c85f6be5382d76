# SPDX-License-Identifier: Apache-2.0
"""Procedural textures of things with a pattern of their own: fronts, screens, posters, rows of books."""

import cv2
import numpy as np

from nepi_ros.scenes.surfaces import SIZE, grey, noise, wood


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


def cardboard(rng: np.random.Generator) -> np.ndarray:
    picture = grey(0.9 + 0.03 * noise(rng, 0.9, (1.0, 12.0)))
    picture[112:144] = picture[112:144] * np.float32([0.88, 0.9, 0.95])
    x, y = rng.integers(20, 170), rng.integers(155, 200)
    picture[y : y + 40, x : x + 60] = 0.98
    for line in range(4):
        cv2.line(picture, (x + 5, y + 8 + 8 * line), (x + int(rng.integers(25, 55)), y + 8 + 8 * line), (0.2,) * 3, 2)
    return picture


def rug(rng: np.random.Generator) -> np.ndarray:
    picture = np.empty((SIZE, SIZE, 3), np.float32)
    colours = rng.uniform(0.25, 0.95, (5, 3)).astype(np.float32)
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    ring = np.maximum(np.abs(x - 127.5), np.abs(y - 127.5)) / 128
    picture[:] = colours[np.minimum((ring * 8).astype(int), 7) % 5]
    lozenge = (np.abs((x % 32) - 16) + np.abs((y % 32) - 16)) < 9
    picture[lozenge] = picture[lozenge] * 0.6 + colours[4] * 0.4
    return np.clip(picture + 0.05 * noise(rng, 0.1)[..., None], 0, 1)
