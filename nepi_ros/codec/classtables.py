# SPDX-License-Identifier: Apache-2.0
"""Entropy tables of maps of classes: integers alone, as in tables.py, and the file they live in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np

from nepi_ros.codec.classlattice import ClassLattice
from nepi_ros.codec.npz import demand, read_npz, write_npz
from nepi_ros.codec.tables import TOTAL

FORMAT = 1
MAX_CLASSES = 32
"""The number of contexts grows with the fourth power of theirs."""
_MAX_STAGES = 26 * (1 + 2 * MAX_CLASSES)  # of a map of 4096 x 4096 places, and given an earlier one
_MAX_ENTRIES = 1 << 22
_MAX_LISTED = 1 << 21  # contexts of up to 19 classes in a map of 128 x 128 places, of 9 given an earlier map too
MAX_CONTEXTS = 1 << 21
"""Frequencies of single contexts that are fitted at most: half of what a file may have."""
_BESIDE = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

_demand = partial(demand, "tables of classes")


@dataclass(frozen=True, eq=False)
class ClassTables:
    """The model of maps of K classes, in S stages (see classlattice.py).

    A place's context is its neighbours' classes a, b, c, d, in the lattice's order, in its stage s. Its row of
    frequencies is that of `contexts` number (((s K + a) K + b) K + c) K + d where it is among these, and otherwise row
    R + (s K + p) K + q, where p and q are the second and the third of the four in ascending order.

    Tables that also code maps given an earlier one have stages for that too (`stages_after`).
    """

    contexts: np.ndarray  # int64 [R], ascending
    frequencies: np.ndarray  # uint16 [R + S K K, K], rows that sum to 2^16, without zeros

    def __post_init__(self) -> None:
        for array, dtype, rank in ((self.contexts, np.int64, 1), (self.frequencies, np.uint16, 2)):
            _demand(array.dtype == dtype and array.ndim == rank, f"{array.dtype} of rank {array.ndim}")
            array.flags.writeable = False
        rows, classes = self.frequencies.shape
        _demand(2 <= classes <= MAX_CLASSES, f"{classes} classes, 2 to {MAX_CLASSES} are possible")
        _demand(rows * classes <= _MAX_ENTRIES, "too many frequencies")
        usual = rows - len(self.contexts)
        _demand(usual > 0 and usual % classes**2 == 0 and self.stages <= _MAX_STAGES, f"{usual} rows for all stages")
        _demand(bool((np.diff(self.contexts) > 0).all()), "contexts do not ascend")
        _demand(bool((self.frequencies > 0).all()), "a class is impossible")
        _demand(bool((self.frequencies.sum(axis=1, dtype=np.int64) == TOTAL).all()), f"a row does not sum to {TOTAL}")

    @property
    def classes(self) -> int:
        return self.frequencies.shape[1]

    @property
    def stages(self) -> int:
        return (len(self.frequencies) - len(self.contexts)) // self.classes**2

    def prepare(self) -> None:
        """Do now what the first call of `rows` would do: it may take as long as a frame may."""
        _ = self._listed

    def rows(self, around: np.ndarray, stage: np.ndarray) -> np.ndarray:
        """The row of each place, [n], by its neighbours' classes [4, n] and its stage [n]."""
        if self._listed is not None:
            return self._listed.take(context_number(around, stage, self.classes))
        return self._found(around, stage)

    @cached_property
    def _listed(self) -> np.ndarray | None:
        """The row of every context that there can be, int32, where these are few enough: to search for them takes as
        long as all else that a map takes to be coded."""
        stages, classes = self.stages, self.classes
        if stages * classes**4 > _MAX_LISTED:
            return None
        around = np.indices((classes,) * 4).reshape(4, -1)
        rows = (self._found(around, np.full(classes**4, stage)) for stage in range(stages))
        return np.concatenate([row.astype(np.int32) for row in rows])

    def _found(self, around: np.ndarray, stage: np.ndarray) -> np.ndarray:
        number = context_number(around, stage, self.classes)
        place = np.searchsorted(self.contexts, number)
        known = place < len(self.contexts)
        known[known] = self.contexts[place[known]] == number[known]
        rare = np.flatnonzero(~known)
        place[rare] = len(self.contexts) + pair_number(around[:, rare], stage[rare], self.classes)
        return place

    def to_npz(self) -> bytes:
        """The tables as the bytes of an .npz file; equal tables give equal bytes."""
        return write_npz({"contexts": self.contexts, "frequencies": self.frequencies}, FORMAT)

    @classmethod
    def from_npz(cls, source: bytes | str | Path) -> ClassTables:
        """Read and check tables from a file or its bytes. Raises CodecError saying what is wrong."""
        arrays = read_npz(source, (FORMAT,))
        _demand({"contexts", "frequencies"} <= set(arrays), "an array is missing")
        return cls(arrays["contexts"], arrays["frequencies"])


def all_stages(stages: int, classes: int) -> int:
    """How many stages there are for maps of so many where maps are also coded given an earlier one."""
    return stages * (1 + 2 * classes)


def stages_after(lattice: ClassLattice, earlier: np.ndarray, classes: int) -> np.ndarray:
    """The stage intp [P] of each place, in coding order, given an earlier map int8 [H, W]: after the S of the lattice
    come 2 K for each of these, by the class there and by whether a place beside it has another one."""
    named = earlier.astype(np.uint8)
    edge = cv2.morphologyEx(named, cv2.MORPH_GRADIENT, _BESIDE) > 0
    before = (2 * named + edge).ravel().take(lattice.order)
    return lattice.stage[-1] + 1 + 2 * classes * lattice.stage + before


def context_number(around: np.ndarray, stage: np.ndarray, classes: int) -> np.ndarray:
    """The number of contexts, int64 [n], as ClassTables counts them: neighbours [4, n], stages [n]."""
    number = stage.astype(np.int64)
    for neighbour in around:
        number = number * classes + neighbour
    return number


def pair_number(around: np.ndarray, stage: np.ndarray, classes: int) -> np.ndarray:
    """The number of contexts by the second and third neighbour alone, intp [n], as ClassTables counts them."""
    ascending = np.sort(around, axis=0)
    return (stage * classes + ascending[1]) * classes + ascending[2]
