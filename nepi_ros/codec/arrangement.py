# SPDX-License-Identifier: Apache-2.0
"""The order in which all values of a latent are coded, and where what is known of each value then lies.

A latent is one flat array: layer by layer, channel by channel, row by row, each layer on a grid of its own. It is coded
layer by layer, within a layer stage by stage (lattice.py), within a stage channel by channel. Everything that a
context looks up has a number in one array, `known`: first the values in coding order, then the activities.

The activity of a place before a layer is the sum of magnitudes there over all earlier layers, at most 127. It tells
where there is much to say. Layers on one single place do not count: they tell about no place more than about others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nepi_ros.codec.lattice import lattice

MAX_ACTIVITY = 127
# Which neighbours a value has; the context differs.
NO_NEIGHBOURS, DIAGONAL, DIRECT = range(3)


@dataclass(frozen=True)
class LayerShape:
    """Channels of a layer, and height and width of its grid."""

    channels: int
    height: int
    width: int

    @property
    def places(self) -> int:
        return self.height * self.width

    @property
    def size(self) -> int:
        return self.channels * self.places


class Arrangement:
    """Coding order of latents of some layers. All arrays are over the T values in coding order.

    `order` intp [T]: place of each value in the flat latent. `channel` intp [T]: its channel, counted through all
    layers. `around` int32 [T, 4]: its neighbours in `known` (any, where there are none), and `kind` says which those
    are. `layers`: each layer's values. `stages`: of each layer, the values coded together.
    """

    def __init__(self, shapes: Sequence[LayerShape]) -> None:
        self.shapes = tuple(shapes)
        self._grids = [lattice(shape.height, shape.width) for shape in shapes]
        self.size = sum(shape.size for shape in shapes)
        self.layers: list[slice] = []
        self.stages: list[list[slice]] = []
        columns = [self._arrange(k) for k in range(len(shapes))]
        self.order, self.channel, self._place, self.kind, self.around = map(np.concatenate, zip(*columns, strict=True))

    def _arrange(self, k: int) -> tuple[np.ndarray, ...]:
        """Order, channel, place, kind and neighbours of layer k's values."""
        shape, grid = self.shapes[k], self._grids[k]
        start = self.layers[-1].stop if self.layers else 0
        first_channel = sum(s.channels for s in self.shapes[:k])
        channels, stages, columns, begin = np.arange(shape.channels)[:, None], [], [], start
        position = np.empty((shape.channels, shape.places), np.int32)  # in `known`, of each channel's places
        for stage in grid.stages:
            count = stage.places.stop - stage.places.start
            position[:, stage.places] = begin + channels * count + np.arange(count)
            stages.append(slice(begin, begin + shape.channels * count))
            begin = stages[-1].stop
        for stage in grid.stages:
            places = np.arange(stage.places.start, stage.places.stop)
            around = np.zeros((shape.channels, len(places), 4), np.int32)
            if stage.neighbours is not None:
                around = position[:, stage.neighbours]
            kind = NO_NEIGHBOURS if stage.neighbours is None else DIRECT if stage.direct else DIAGONAL
            flat = start + channels * shape.places + grid.order[places]
            whole = np.broadcast_to(first_channel + channels, flat.shape), np.broadcast_to(places, flat.shape)
            columns.append((flat.ravel(), *(a.ravel() for a in whole), np.full(flat.size, kind), around.reshape(-1, 4)))
        self.layers.append(slice(start, begin))
        self.stages.append(stages)
        self._position = [*getattr(self, "_position", []), position]
        return tuple(map(np.concatenate, zip(*columns, strict=True)))

    @cached_property
    def activities(self) -> list[slice]:
        """Where in `known` the activity before each layer lies, one value per place in the grid's order."""
        ends = self.size + np.cumsum([shape.places for shape in self.shapes])
        return [slice(int(end) - shape.places, int(end)) for shape, end in zip(self.shapes, ends, strict=True)]

    def new_known(self) -> np.ndarray:
        """An empty `known`, int16: nothing is known yet, and there was no activity."""
        return np.zeros(self.activities[-1].stop, np.int16)

    def add_activity(self, known: np.ndarray, k: int) -> None:
        """Layer k is known now: count it into the activity before the layers after it."""
        shape, own = self.shapes[k], self.layers[k]
        if shape.places == 1:
            return
        magnitude = np.bincount(self._place[own], np.abs(known[own]), minlength=shape.places).astype(np.int16)
        for later in range(k + 1, len(self.shapes)):
            activity = known[self.activities[later]]
            np.minimum(activity + magnitude[self._across(k, later)], MAX_ACTIVITY, out=activity, casting="unsafe")

    def whole(self, latent: np.ndarray) -> np.ndarray:
        """`known` of a whole flat latent."""
        known = self.new_known()
        known[: self.size] = latent[self.order]
        for k in range(len(self.shapes) - 1):
            self.add_activity(known, k)
        return known

    def reference(self, planes: np.ndarray) -> np.ndarray:
        """Where in `known` the value of each channel's reference plane lies, int32 [T], for planes [C]: a channel, or
        C + k for the activity before layer k."""
        total = sum(shape.channels for shape in self.shapes)
        found = np.empty(self.size, np.int32)
        for k, own in enumerate(self.layers):
            for channel in np.unique(self.channel[own]):
                where = np.flatnonzero(self.channel[own] == channel) + own.start
                found[where] = self.plane(int(planes[channel]), k, total)[self._place[where]]
        return found

    def plane(self, plane: int, k: int, channels: int) -> np.ndarray:
        """Where in `known` a plane's values at the places of layer k lie (int [places], in the grid's order)."""
        if plane >= channels:
            activity = self.activities[plane - channels]
            return np.arange(activity.start, activity.stop)
        source, first = self._layer_of(plane)
        return self._position[source][plane - first][self._across(source, k)]

    def _layer_of(self, channel: int) -> tuple[int, int]:
        """The layer of a channel, and that layer's first channel."""
        first = 0
        for k, shape in enumerate(self.shapes):
            if channel < first + shape.channels:
                return k, first
            first += shape.channels
        raise IndexError(channel)

    def _across(self, source: int, target: int) -> np.ndarray:
        """For each place of layer `target`'s grid, in its order, the place of layer `source`'s grid over its middle."""
        key = (self.shapes[source].height, self.shapes[source].width,
               self.shapes[target].height, self.shapes[target].width)  # fmt: skip
        if key not in self._maps:
            rank = np.empty(self.shapes[source].places, np.intp)
            rank[self._grids[source].order] = np.arange(self.shapes[source].places)
            y, x = np.divmod(self._grids[target].order, key[3])
            y, x = (2 * y + 1) * key[0] // (2 * key[2]), (2 * x + 1) * key[1] // (2 * key[3])
            self._maps[key] = rank[y * key[1] + x]
        return self._maps[key]

    @cached_property
    def _maps(self) -> dict[tuple[int, ...], np.ndarray]:
        return {}
