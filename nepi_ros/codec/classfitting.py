# SPDX-License-Identifier: Apache-2.0
"""Fits the tables of maps of classes to the maps of training frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nepi_ros.codec.classlattice import ClassLattice, class_lattice
from nepi_ros.codec.classmap import best_move, moved
from nepi_ros.codec.classtables import (
    MAX_CONTEXTS,
    ClassTables,
    all_stages,
    context_number,
    pair_number,
    stages_after,
)
from nepi_ros.codec.fitting import normalised, quantised

_SMOOTHING = 0.1  # counts added to each class
_BACKOFF = 2.0  # counts by which the coarser estimate enters the finer one
_SEEN = 2  # a context met less often is not worth a row
_PLACES = 1 << 22  # to fit on, of maps and of pairs: half a gigabyte of contexts each


def fit_class_tables(maps: np.ndarray, classes: int, pairs: Sequence[tuple[int, int]] = ()) -> ClassTables:
    """The tables that code maps like these, int8 [N, H, W], in few bytes. `pairs`: numbers of a map and of an earlier
    one, to fit what codes a map given another; without them, or of so many classes that these would be too many, the
    tables code maps by themselves alone.

    The frequencies in a context are mixed with those by two of the neighbours, and these with the classes' shares, so
    that few frames are enough.
    """
    lattice = class_lattice(*maps.shape[1:])
    stages = int(lattice.stage[-1]) + 1
    some = _thinned(maps, maps[0].size)
    around, stage, own = _samples(some, lattice, np.tile(lattice.stage, (len(some), 1)))
    if pairs and all_stages(stages, classes) * classes**3 <= MAX_CONTEXTS:
        few = _thinned(pairs, maps[0].size)
        after = np.stack([_stages_of(maps[now], maps[earlier], lattice, classes) for now, earlier in few])
        given = _samples(maps[[now for now, _ in few]], lattice, after)
        around, stage, own = (np.concatenate(both, axis=-1) for both in zip((around, stage, own), given, strict=True))
        stages = all_stages(stages, classes)
    shares = np.bincount(own, minlength=classes) + _SMOOTHING
    pairs_of = pair_number(around, stage, classes)
    by_pair = np.bincount(pairs_of * classes + own, minlength=stages * classes**3).reshape(-1, classes)
    by_pair = normalised(by_pair + shares / shares.sum())
    contexts, which, seen = np.unique(context_number(around, stage, classes), return_inverse=True, return_counts=True)
    counts = np.bincount(which * classes + own, minlength=len(contexts) * classes).reshape(-1, classes)
    coarser = np.empty(len(contexts), np.intp)
    coarser[which] = pairs_of
    often = np.argsort(-seen, kind="stable")[: MAX_CONTEXTS // classes]
    kept = np.sort(often[seen[often] >= _SEEN])
    finer = counts[kept] + _BACKOFF * by_pair[coarser[kept]]
    return ClassTables(contexts[kept], quantised(np.concatenate([finer, by_pair])))


def _thinned(items: Any, places: int) -> Any:
    """Some of the items, of so many places each: as many as there is room for."""
    return items[:: -(-len(items) * places // _PLACES)]


def _samples(
    maps: np.ndarray, lattice: ClassLattice, stage: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every place of maps [N, H, W], whose stages are [N, P], its neighbours' classes [4, P N], its stage [P N], and
    its class."""
    coded = maps.reshape(len(maps), -1)[:, lattice.order].astype(np.int64)
    around = coded.T[lattice.around].reshape(4, -1)
    around[:, : len(maps)] = 0  # the first place has no neighbours
    return around, stage.T.ravel(), coded.T.ravel()


def _stages_of(now: np.ndarray, earlier: np.ndarray, lattice: ClassLattice, classes: int) -> np.ndarray:
    return stages_after(lattice, moved(earlier, best_move(now, earlier)), classes)
