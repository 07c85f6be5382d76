# SPDX-License-Identifier: Apache-2.0
"""Codes a map of classes: what a robot's own light network takes each place for, in some hundred bytes.

A class is a name, not a number: a place is coded given the classes of its four neighbours (classlattice.py), with
frequencies learnt for the bundle. Where a map ends early, the places that are missing get the likeliest class.

Where the map of an earlier frame is known, a place is coded given its class there too, and whether that lies at an edge
of that map. What the camera turned in between is taken out as far as it moved everything alike: by up to 7 places, down
and across, the earlier map is moved first, and the stream begins with these.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nepi_ros.codec.classlattice import class_lattice
from nepi_ros.codec.classtables import ClassTables, all_stages, stages_after
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL
from nepi_ros.errors import CodecError

NOTHING = -1
"""Stands at every place of a map of which nothing was sent."""
_FARTHEST = 7  # places by which an earlier map is moved at most, each way
_STRIDES = (4, 2, 1)  # of the search for how far
_MOVES = np.arange(-_FARTHEST, _FARTHEST + 1)
_BOTH = np.zeros(2, np.intp)  # two symbols of the only row


@dataclass(frozen=True)
class CodedMap:
    """A map's P classes in coding order, int32, and the rows of frequencies that code them. `move`: places, down and
    across, by which an earlier map was moved for it; None: it is coded by itself."""

    classes: np.ndarray
    rows: np.ndarray
    move: tuple[int, int] | None = None


class ClassMapCoder:
    """Codes maps of `height` x `width` places, part by part. Keeps no state between calls."""

    def __init__(self, tables: ClassTables, height: int, width: int) -> None:
        """Raises CodecError when the tables are for maps of another size."""
        tables.prepare()
        self.tables, self.lattice, self._shape = tables, class_lattice(height, width), (height, width)
        self.size, self.parts = height * width, len(self.lattice.parts) - 1
        stages = len(self.lattice.stages) - 1
        self.takes_earlier = tables.stages == all_stages(stages, tables.classes)
        if tables.stages != stages and not self.takes_earlier:
            raise CodecError(f"tables of {tables.stages} stages are not for maps of {height} x {width} places")
        moves = _move_frequencies()
        self.weights, self.move_weights = weights(tables.frequencies), weights(moves)
        self._likeliest = tables.frequencies.argmax(axis=1).astype(np.int32)
        self._bits = -np.log2(tables.frequencies.ravel() / np.float32(TOTAL))
        self._move_bits = -np.log2(moves[0] / TOTAL)

    def code(self, raster: np.ndarray) -> CodedMap:
        """A map, int8 [P] row by row, ready to be written. Raises ValueError for what is no class."""
        classes = raster[self.lattice.order].astype(np.int32)
        if classes.min() < 0 or classes.max() >= self.tables.classes:
            raise ValueError(f"a map has classes {classes.min()} to {classes.max()} of {self.tables.classes}")
        return CodedMap(classes, self.rows(classes, slice(0, self.size), self.lattice.stage))

    def after(self, coded: CodedMap, earlier: np.ndarray) -> CodedMap:
        """The same map given an earlier one, int8 [P] row by row."""
        raster = np.empty(self.size, np.int8)
        raster[self.lattice.order] = coded.classes
        move = best_move(raster.reshape(self._shape), earlier.reshape(self._shape))
        return CodedMap(coded.classes, self.rows(coded.classes, slice(0, self.size), self.stage(earlier, move)), move)

    def stage(self, earlier: np.ndarray, move: tuple[int, int]) -> np.ndarray:
        """The stage intp [P] of each place, in coding order, given an earlier map that is moved first."""
        return stages_after(self.lattice, moved(earlier.reshape(self._shape), move), self.tables.classes)

    def bits(self, coded: CodedMap) -> np.ndarray:
        """What the model says each part takes, in bits, float64."""
        bits = self._bits.take(coded.rows * self.tables.classes + coded.classes)
        parts = np.add.reduceat(bits, self.lattice.parts[:-1], dtype=np.float64)
        parts[0] += 0.0 if coded.move is None else self._move_bits[np.add(coded.move, _FARTHEST)].sum()
        return parts

    def write(self, encoder: SymbolEncoder, coded: CodedMap, first: int, stop: int) -> None:
        """Append parts first to stop - 1 to a stream."""
        if coded.move is not None and first == 0 < stop:
            encoder.encode(np.add(coded.move, _FARTHEST).astype(np.int32), self.move_weights, _BOTH)
        places = slice(self.lattice.parts[first], self.lattice.parts[stop])
        encoder.encode(coded.classes[places], self.weights, coded.rows[places])

    def raster(self, classes: np.ndarray, known: int) -> np.ndarray:
        """The map, int8 [P] row by row, of which the first `known` parts are known; none: NOTHING everywhere. What is
        missing does not depend on any earlier map, so that a prefix always decodes alike."""
        whole, found = classes.copy(), np.full(self.size, NOTHING, np.int8)
        if known:
            for span in self.lattice.steps(known, self.parts):
                whole[span] = self._likeliest.take(self.rows(whole, span, self.lattice.stage))
            found[self.lattice.order] = whole
        return found

    def prefix(self, raster: np.ndarray, known: int) -> np.ndarray:
        """A map, int8 [P] row by row, as its first `known` parts alone would decode."""
        if raster[0] == NOTHING:
            return raster
        return self.raster(raster[self.lattice.order].astype(np.int32), known)

    def rows(self, classes: np.ndarray, span: slice, stage: np.ndarray) -> np.ndarray:
        """The rows of a span of places by their neighbours' classes, which must be known, and their stage [P]."""
        around = classes.take(self.lattice.around[:, span])
        if not span.start:
            around[:, 0] = 0  # the first place has no neighbours
        return self.tables.rows(around, stage[span])


class MapReader:
    """Reads one map's parts in their order."""

    def __init__(self, coder: ClassMapCoder, earlier: np.ndarray | None = None) -> None:
        """`earlier`: the map, int8 [P] row by row, that the map was coded given."""
        self._coder, self._earlier, self._stage = coder, earlier, coder.lattice.stage
        self._classes = np.zeros(coder.size, np.int32)

    def read(self, decoder: SymbolDecoder, first: int, stop: int) -> None:
        """Read parts first to stop - 1, those before being known. Raises CodecError for a damaged stream."""
        if self._earlier is not None and first == 0 < stop:
            down, across = (decoder.decode(self._coder.move_weights, _BOTH) - _FARTHEST).tolist()
            self._stage = self._coder.stage(self._earlier, (down, across))
        for span in self._coder.lattice.steps(first, stop):
            rows = self._coder.rows(self._classes, span, self._stage)
            self._classes[span] = decoder.decode(self._coder.weights, rows)

    def raster(self, known: int) -> np.ndarray:
        """The map as ClassMapCoder.raster gives it."""
        return self._coder.raster(self._classes, known)


def moved(earlier: np.ndarray, move: tuple[int, int]) -> np.ndarray:
    """A map [H, W] moved by so many places down and across, its border repeated."""
    return _window(_bordered(earlier), earlier.shape, move)


def _bordered(earlier: np.ndarray) -> np.ndarray:
    """A map with its border repeated as far as it can be moved; as np.pad does it, in a tenth of the time."""
    return cv2.copyMakeBorder(earlier, *[_FARTHEST] * 4, cv2.BORDER_REPLICATE)


def _window(padded: np.ndarray, shape: tuple[int, ...], move: tuple[int, int]) -> np.ndarray:
    top, left = _FARTHEST - move[0], _FARTHEST - move[1]
    return padded[top : top + shape[0], left : left + shape[1]]


def best_move(now: np.ndarray, earlier: np.ndarray) -> tuple[int, int]:
    """How an earlier map is moved to be most like this one, by a search in three steps (Koga et al., NTC 1981)."""
    padded, best = _bordered(earlier), (0, 0)
    for stride in _STRIDES:
        around = [(best[0] + a, best[1] + b) for a in (0, -stride, stride) for b in (0, -stride, stride)]
        best = min(around, key=lambda move: np.count_nonzero(_window(padded, now.shape, move) != now))
    return best


def _move_frequencies() -> np.ndarray:
    """Frequencies [1, 15] of moves along one axis: half are none, and each is twice as likely as one farther."""
    frequencies = TOTAL >> (2 + np.abs(_MOVES))
    frequencies[_FARTHEST] += TOTAL - frequencies.sum()
    return frequencies[None]
