# SPDX-License-Identifier: Apache-2.0
"""Fits the tables of maps of classes to the maps of training frames."""

import numpy as np

from nepi_ros.codec.classlattice import class_lattice
from nepi_ros.codec.classtables import MAX_CONTEXTS, ClassTables, context_number, pair_number
from nepi_ros.codec.fitting import normalised, quantised

_SMOOTHING = 0.1  # counts added to each class
_BACKOFF = 2.0  # counts by which the coarser estimate enters the finer one
_SEEN = 2  # a context met less often is not worth a row
_PLACES = 1 << 22  # to fit on: half a gigabyte of contexts


def fit_class_tables(maps: np.ndarray, classes: int) -> ClassTables:
    """The tables that code maps like these, int8 [N, H, W], in few bytes.

    The frequencies in a context are mixed with those by two of the neighbours, and these with the classes' shares, so
    that few frames are enough.
    """
    lattice = class_lattice(*maps.shape[1:])
    maps = maps[:: -(-maps.size // _PLACES)]
    coded = maps.reshape(len(maps), -1)[:, lattice.order].astype(np.int64)
    around, stage = coded.T[lattice.around].reshape(4, -1), np.repeat(lattice.stage, len(maps))
    around[:, : len(maps)] = 0  # the first place has no neighbours
    own = coded.T.ravel()
    shares = np.bincount(own, minlength=classes) + _SMOOTHING
    pairs = pair_number(around, stage, classes)
    by_pair = np.bincount(pairs * classes + own, minlength=(lattice.stage[-1] + 1) * classes**3).reshape(-1, classes)
    by_pair = normalised(by_pair + shares / shares.sum())
    contexts, which, seen = np.unique(context_number(around, stage, classes), return_inverse=True, return_counts=True)
    counts = np.bincount(which * classes + own, minlength=len(contexts) * classes).reshape(-1, classes)
    coarser = np.empty(len(contexts), np.intp)
    coarser[which] = pairs
    often = np.argsort(-seen, kind="stable")[: MAX_CONTEXTS // classes]
    kept = np.sort(often[seen[often] >= _SEEN])
    finer = counts[kept] + _BACKOFF * by_pair[coarser[kept]]
    return ClassTables(contexts[kept], quantised(np.concatenate([finer, by_pair])))
