# SPDX-License-Identifier: Apache-2.0
"""The order in which the places of a map of classes are coded, and the neighbours that each place then has.

From coarse to fine: first the place in the corner, then stage by stage those that halve the distance of known places,
in turn the middles of squares, with the four corners as neighbours, and the middles of the sides of squares, with the
four places around. A neighbour beyond the border is replaced by the opposite one.

A map can end after any part of it. The first part is all stages up to some places; each of the others is about an
eighth of a stage, spread over the whole map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

_FIRST_PART = 12
"""Places that the first part has at least, where there are so many."""
_CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_BESIDE = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class ClassLattice:
    """P places in coding order. `order` intp [P]: raster number of each. `around` intp [4, P]: numbers in coding order
    of its neighbours (0 for the first place, which has none). `stage` intp [P]: which each is in. `stages` and `parts`:
    where these begin in coding order, and P at the end. `grids`: distance of places -> how many parts make up the whole
    grid of such places.
    """

    order: np.ndarray
    around: np.ndarray
    stage: np.ndarray
    stages: tuple[int, ...]
    parts: tuple[int, ...]
    grids: dict[int, int]

    def steps(self, first: int, stop: int) -> Iterator[slice]:
        """The places of parts first to stop - 1, in spans within which none depends on another."""
        start, end = self.parts[first], self.parts[stop]
        spans = ((max(a, start), min(b, end)) for a, b in pairwise(self.stages))
        return (slice(a, b) for a, b in spans if a < b)


@lru_cache(maxsize=8)
def class_lattice(height: int, width: int) -> ClassLattice:
    """The lattice of a map of `height` x `width` places."""
    rank, order, around = np.zeros((height, width), np.intp), [0], [np.zeros((4, 1), np.intp)]
    stages, parts, grids = [0, 1], [0], {}
    distance = 1 << max((max(height, width) - 1).bit_length(), 1)
    while distance > 1:
        distance //= 2
        for places, offsets in zip(_middles(height, width, distance), (_CORNERS, _BESIDE), strict=True):
            eighths = _eighths(*places, distance)
            y, x = (side[np.argsort(eighths, kind="stable")] for side in places)
            rank[y, x] = len(order) + np.arange(len(y))
            around.append(np.stack([rank[_near(y, x, dy, dx, distance, rank.shape)] for dy, dx in offsets]))
            if len(parts) > 1 and len(y):
                parts += (len(order) + np.cumsum(np.unique(eighths, return_counts=True)[1])).tolist()
            order += (y * width + x).tolist()
            stages += [len(order)] if len(y) else []
        if len(parts) == 1 and len(order) >= min(_FIRST_PART, height * width):
            parts.append(len(order))
        grids[distance] = len(parts) - 1
    stage = np.repeat(np.arange(len(stages) - 1), np.diff(stages))
    return ClassLattice(np.array(order), np.concatenate(around, axis=1), stage, tuple(stages), tuple(parts), grids)


def _middles(height: int, width: int, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of a grid of places at twice a distance, the middles of its squares, then those of their sides: rows, columns."""
    y, x = np.indices((height, width))
    on_grid = (y % distance == 0) & (x % distance == 0)
    odd_y, odd_x = y // distance % 2 == 1, x // distance % 2 == 1
    yield np.nonzero(on_grid & odd_y & odd_x)
    yield np.nonzero(on_grid & (odd_y != odd_x))


def _eighths(y: np.ndarray, x: np.ndarray, distance: int) -> np.ndarray:
    """In which of eight shares of a stage each place is: checkerboards of checkerboards."""
    row, column = y // (2 * distance), x // (2 * distance)
    beside = (y + x) // distance % 2 == 1
    last = np.where(beside, y // distance, row // 2 + column // 2) % 2
    return 4 * last + 2 * ((row + column) % 2) + row % 2


def _near(
    y: np.ndarray, x: np.ndarray, dy: int, dx: int, distance: int, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Places so many distances from middles; beyond a border the opposite one, or one before, which is known."""
    there_y, there_x = _opposite(y, distance * dy, shape[0]), _opposite(x, distance * dx, shape[1])
    lost = (there_y < 0) | (there_y >= shape[0]) | (there_x < 0) | (there_x >= shape[1])
    before_y, before_x = (side - distance * (side // distance % 2) for side in (y, x))
    return np.where(lost, before_y, there_y), np.where(lost, before_x, there_x)


def _opposite(place: np.ndarray, offset: int, size: int) -> np.ndarray:
    there = place + offset
    return np.where((there < 0) | (there >= size), place - offset, there)
