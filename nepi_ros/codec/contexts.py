# SPDX-License-Identifier: Apache-2.0
"""From known values to the row of frequencies that codes a value: integer look-ups only."""

import numpy as np

from nepi_ros.codec.arrangement import Arrangement
from nepi_ros.codec.tables import EntropyTables

UNKNOWN = -1
"""Stands for the row of a value that an earlier frame says nothing about."""
_VALUES = np.arange(-128, 128)  # values, and activities
_SUMS = np.arange(-512, 512)  # sums of four


class ContextModel:
    """Chooses the row of every value. Rows are numbered through all channels: channel * contexts + context; after a
    channel's contexts by what is known of the frame come those by an earlier one."""

    def __init__(self, tables: EntropyTables, arrangement: Arrangement) -> None:
        channels, levels = tables.channels, tables.neighbour_levels
        per_level = 2 * levels + 1
        self._own = tables.reference_levels * per_level
        self.contexts = self._own + tables.earlier.shape[1]
        by_reference = _levels(tables.reference_thresholds, _VALUES) * per_level
        self._by_reference = by_reference + np.arange(channels)[:, None] * self.contexts
        beside = _levels(tables.neighbour_thresholds, _SUMS) + 1
        self._by_neighbours = np.stack([np.zeros_like(beside), beside, beside + levels])  # by kind of neighbours
        self._channel, self.symbols = arrangement.channel, tables.earlier.shape[2]
        self._reference = arrangement.reference(tables.reference)
        self._around = arrangement.around
        self._value_row = arrangement.channel * len(_VALUES) + 128
        self._sum_row = (arrangement.kind * channels + arrangement.channel) * len(_SUMS) + 512

    def given(self, symbols: np.ndarray, pace: int) -> np.ndarray:
        """Row numbers intp [T] of all values by the symbols [T] of an earlier frame's at their places."""
        return self._channel * self.contexts + (self._own + pace * self.symbols) + symbols

    def rows(self, known: np.ndarray, part: slice, given: np.ndarray | None = None) -> np.ndarray:
        """Row numbers intp of a part of the values in coding order. Its references and neighbours must be known.
        `given` [T]: those by an earlier frame, which count where they are not `UNKNOWN`."""
        if given is None:
            return self._rows(known, part)
        unknown = given[part] == UNKNOWN
        return np.where(unknown, self._rows(known, part), given[part]) if unknown.any() else given[part]

    def _rows(self, known: np.ndarray, part: slice) -> np.ndarray:
        rows = self._by_reference.take(self._value_row[part] + known.take(self._reference[part]))
        sums = self._sum_row[part].copy()
        for neighbours in self._around:  # four additions take a quarter of the time of a sum over an axis of four
            sums += known.take(neighbours[part])
        rows += self._by_neighbours.take(sums)
        return rows


def _levels(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of each channel's thresholds are at most the value: intp [C, values]."""
    return np.stack([np.searchsorted(row, values, side="right") for row in thresholds]).astype(np.intp)
