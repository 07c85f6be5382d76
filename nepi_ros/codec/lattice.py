# SPDX-License-Identifier: Apache-2.0
"""The order in which the places of a latent plane are coded, and the neighbours each place then has.

Three stages, coarse to fine, as in a checkerboard refined twice: (even, even) places without neighbours,
(odd, odd) places with their four diagonal neighbours, and the rest with their four direct neighbours.
A neighbour beyond the border is replaced by its mirror image, which always exists inside.

In a fine lattice each stage has parts, checkerboards of its own: eight in all, of about an eighth of the places each.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_DIRECT = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class Stage:
    """Places coded together, and the parts that they consist of. `neighbours` intp [n, 4] are coding-order numbers,
    None in the first stage; `direct` tells those beside the place from the diagonal ones.
    """

    places: slice
    parts: tuple[slice, ...]
    neighbours: np.ndarray | None
    direct: bool


@dataclass(frozen=True)
class Lattice:
    """`order` intp [h w]: raster number of each place in coding order; `stages` cover them in turn."""

    order: np.ndarray
    stages: tuple[Stage, ...]

    @property
    def parts(self) -> list[slice]:
        """The parts of all stages."""
        return [part for stage in self.stages for part in stage.parts]


@lru_cache(maxsize=32)
def lattice(height: int, width: int, fine: bool = False) -> Lattice:
    """The coding order of a plane of `height` x `width` places. Stages and parts without places are left out."""
    y, x = np.divmod(np.arange(height * width), width)
    kinds = np.where((y + x) % 2 == 1, 2, y % 2)  # 0 even-even, 1 odd-odd, 2 the rest
    parts = 4 * kinds + (2 * (y % 2) * (kinds == 2) + (y // 2 + x // 2) % 2 if fine else 0)
    order = np.argsort(parts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    stages = []
    for kind, offsets in enumerate((None, _DIAGONAL, _DIRECT)):
        places = np.flatnonzero(kinds[order] == kind)
        if len(places):
            own = order[places]
            around = None if offsets is None else rank[_around(y[own], x[own], height, width, offsets)]
            stages.append(Stage(_span(places), _equal_spans(parts[order], places), around, kind == 2))
    return Lattice(order, tuple(stages))


def _span(places: np.ndarray) -> slice:
    return slice(int(places[0]), int(places[-1]) + 1)


def _equal_spans(parts: np.ndarray, places: np.ndarray) -> tuple[slice, ...]:
    """The places, intp [n] one after the other, split where their part changes."""
    return tuple(_span(places[parts[places] == part]) for part in np.unique(parts[places]))


def _around(y: np.ndarray, x: np.ndarray, height: int, width: int, offsets: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Raster numbers [n, 4] of the neighbours, mirrored at the border."""
    columns = []
    for dy, dx in offsets:
        if height == 1 and dy or width == 1 and dx:
            dy, dx = dx, dy  # a plane one place wide has its direct neighbours along the other axis only
        columns.append(_mirror(y + dy, height) * width + _mirror(x + dx, width))
    return np.stack(columns, axis=1)


def _mirror(index: np.ndarray, size: int) -> np.ndarray:
    index = np.abs(index)
    return np.where(index >= size, 2 * (size - 1) - index, index)
