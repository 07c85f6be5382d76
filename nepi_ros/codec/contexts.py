# SPDX-License-Identifier: Apache-2.0
"""From known latents to the row of frequencies that codes a symbol: integer look-ups only."""

import numpy as np

from nepi_ros.codec.lattice import Stage
from nepi_ros.codec.tables import EntropyTables, layer_slices

_VALUES = np.arange(-128, 128)  # values of a plane
_SUMS = np.arange(-512, 512)  # sums of four
MAX_ACTIVITY = 127


class ContextModel:
    """Chooses the row of every symbol of channels whose planes, coded so far, are in `planes`.

    `planes` is int16 [C + L, places], in coding order: the channels, then the activity before each layer.
    Rows are numbered through all channels: channel * contexts + context.
    """

    def __init__(self, tables: EntropyTables) -> None:
        channels, levels = tables.channels, tables.neighbour_levels
        per_level = 2 * levels + 1
        self.contexts = tables.reference_levels * per_level
        self._reference = tables.reference.astype(np.intp)
        self._from_reference = _levels(tables.reference_thresholds, _VALUES) * per_level
        self._from_reference += np.arange(channels)[:, None] * self.contexts
        around = _levels(tables.neighbour_thresholds, _SUMS) + 1
        self._from_neighbours = {False: around, True: around + levels}
        self._value_offset = np.arange(channels)[:, None] * len(_VALUES) + 128
        self._sum_offset = np.arange(channels)[:, None] * len(_SUMS) + 512

    def rows(self, planes: np.ndarray, channels: slice, stage: Stage) -> np.ndarray:
        """Row numbers intp [channels, places of the stage]."""
        known = planes[self._reference[channels], stage.places]
        rows = self._from_reference.take(known + self._value_offset[channels])
        if stage.neighbours is not None:
            total = planes[channels].take(stage.neighbours, axis=1).sum(axis=2)
            rows += self._from_neighbours[stage.direct].take(total + self._sum_offset[channels])
        return rows


def _levels(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of each channel's thresholds are at most the value: intp [C, values]."""
    return np.stack([np.searchsorted(row, values, side="right") for row in thresholds]).astype(np.intp)


def planes_of(latents: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """All planes int16 [C + L, places] of whole latents int16 [C, places]."""
    slices = layer_slices(layers)
    magnitudes = np.concatenate([[np.abs(latents[own]).sum(axis=0, dtype=np.int32)] for own in slices])
    before = np.cumsum(magnitudes, axis=0) - magnitudes
    return np.concatenate([latents, np.minimum(before, MAX_ACTIVITY)]).astype(np.int16)
