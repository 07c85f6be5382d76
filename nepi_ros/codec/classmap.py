# SPDX-License-Identifier: Apache-2.0
"""Codes a map of classes: what a robot's own light network takes each place for, in some hundred bytes.

A class is a name, not a number: a place is coded given the classes of its four neighbours (classlattice.py), with
frequencies learnt for the bundle. Where a map ends early, the places that are missing get the likeliest class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nepi_ros.codec.classlattice import class_lattice
from nepi_ros.codec.classtables import ClassTables
from nepi_ros.codec.rangecoder import SymbolDecoder, SymbolEncoder, weights
from nepi_ros.codec.tables import TOTAL
from nepi_ros.errors import CodecError

NOTHING = -1
"""Stands at every place of a map of which nothing was sent."""


@dataclass(frozen=True)
class CodedMap:
    """A map's P classes in coding order, int32, and the rows of frequencies that code them."""

    classes: np.ndarray
    rows: np.ndarray


class ClassMapCoder:
    """Codes maps of `height` x `width` places, part by part. Keeps no state between calls."""

    def __init__(self, tables: ClassTables, height: int, width: int) -> None:
        """Raises CodecError when the tables are for maps of another size."""
        self.tables, self.lattice = tables, class_lattice(height, width)
        self.size, self.parts = height * width, len(self.lattice.parts) - 1
        if tables.stages != len(self.lattice.stages) - 1:
            raise CodecError(f"tables of {tables.stages} stages are not for maps of {height} x {width} places")
        self._weights = weights(tables.frequencies)
        self._likeliest = tables.frequencies.argmax(axis=1).astype(np.int32)
        self._bits = -np.log2(tables.frequencies / np.float32(TOTAL))

    def code(self, raster: np.ndarray) -> CodedMap:
        """A map, int8 [P] row by row, ready to be written. Raises ValueError for what is no class."""
        classes = raster[self.lattice.order].astype(np.int32)
        if classes.min() < 0 or classes.max() >= self.tables.classes:
            raise ValueError(f"a map has classes {classes.min()} to {classes.max()} of {self.tables.classes}")
        return CodedMap(classes, self._rows(classes, slice(0, self.size)))

    def bits(self, coded: CodedMap) -> np.ndarray:
        """What the model says each part takes, in bits, float64."""
        return np.add.reduceat(self._bits[coded.rows, coded.classes].astype(np.float64), self.lattice.parts[:-1])

    def write(self, encoder: SymbolEncoder, coded: CodedMap, first: int, stop: int) -> None:
        """Append parts first to stop - 1 to a stream."""
        for span in self.lattice.steps(first, stop):
            encoder.encode(coded.classes[span], self._weights, coded.rows[span])

    def read(self, decoder: SymbolDecoder, classes: np.ndarray, first: int, stop: int) -> None:
        """Fill parts first to stop - 1 of a map's classes in coding order, int32 [P], those before being known."""
        for span in self.lattice.steps(first, stop):
            classes[span] = decoder.decode(self._weights, self._rows(classes, span))

    def raster(self, classes: np.ndarray, known: int) -> np.ndarray:
        """The map, int8 [P] row by row, of which the first `known` parts are known; none: NOTHING everywhere."""
        whole, found = classes.copy(), np.full(self.size, NOTHING, np.int8)
        if known:
            for span in self.lattice.steps(known, self.parts):
                whole[span] = self._likeliest.take(self._rows(whole, span))
            found[self.lattice.order] = whole
        return found

    def prefix(self, raster: np.ndarray, known: int) -> np.ndarray:
        """A map, int8 [P] row by row, as its first `known` parts alone would decode."""
        if raster[0] == NOTHING:
            return raster
        return self.raster(raster[self.lattice.order].astype(np.int32), known)

    def _rows(self, classes: np.ndarray, span: slice) -> np.ndarray:
        around = classes.take(self.lattice.around[:, span])
        if not span.start:
            around[:, 0] = 0  # the first place has no neighbours
        return self.tables.rows(around, self.lattice.stage[span])
