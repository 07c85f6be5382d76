# SPDX-License-Identifier: Apache-2.0
"""From known values to the row of frequencies that codes a value: integer look-ups only."""

import numpy as np

from nepi_ros.codec.arrangement import Arrangement
from nepi_ros.codec.tables import EntropyTables

_VALUES = np.arange(-128, 128)  # values, and activities
_SUMS = np.arange(-512, 512)  # sums of four


class ContextModel:
    """Chooses the row of every value. Rows are numbered through all channels: channel * contexts + context."""

    def __init__(self, tables: EntropyTables, arrangement: Arrangement) -> None:
        channels, levels = tables.channels, tables.neighbour_levels
        per_level = 2 * levels + 1
        self.contexts = tables.reference_levels * per_level
        by_reference = _levels(tables.reference_thresholds, _VALUES) * per_level
        self._by_reference = by_reference + np.arange(channels)[:, None] * self.contexts
        beside = _levels(tables.neighbour_thresholds, _SUMS) + 1
        self._by_neighbours = np.stack([np.zeros_like(beside), beside, beside + levels])  # by kind of neighbours
        self._reference = arrangement.reference(tables.reference)
        self._around = arrangement.around
        self._value_row = arrangement.channel * len(_VALUES) + 128
        self._sum_row = (arrangement.kind * channels + arrangement.channel) * len(_SUMS) + 512

    def rows(self, known: np.ndarray, part: slice) -> np.ndarray:
        """Row numbers intp of a part of the values in coding order. Its references and neighbours must be known."""
        rows = self._by_reference.take(self._value_row[part] + known.take(self._reference[part]))
        sums = self._sum_row[part].copy()
        for neighbours in self._around:  # four additions take a quarter of the time of a sum over an axis of four
            sums += known.take(neighbours[part])
        rows += self._by_neighbours.take(sums)
        return rows


def _levels(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of each channel's thresholds are at most the value: intp [C, values]."""
    return np.stack([np.searchsorted(row, values, side="right") for row in thresholds]).astype(np.intp)
