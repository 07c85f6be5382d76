# SPDX-License-Identifier: Apache-2.0
"""The order in which all values of a latent are coded, and where what is known of each value then lies.

A latent is one flat array: group by group, channel by channel, row by row, each group of channels on a grid of its
own. Consecutive groups on the same grid are a run. Within a run, a group is coded stage by stage (lattice.py), and
every group follows the one before it at a distance of one stage: step t of a run codes stage t of its first group
together with stage t - 1 of its second, and so on. Whatever a value looks up, at its own place in earlier groups and
around it in its own group, is known by then; and a run of n groups takes n + 2 steps instead of 3 n.

A layer is a group, or a part of one: then an epitome can end between the parts, and the rest of the group is zero.
Where no layer is a part, lattices are not fine.
A segment is any number of consecutive layers. In every step its values follow one another.

All that is looked up has a number in one array, `known`: first the values in coding order, then the activities.
The activity of a place before a group is the sum of magnitudes there over all earlier groups, at most 127. It tells
where there is much to say. Runs on one single place count for themselves alone: they tell nothing about places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np

from nepi_ros.codec.classlattice import class_lattice
from nepi_ros.codec.lattice import Lattice, lattice
from nepi_ros.errors import CodecError

MAX_ACTIVITY = 127
# Which neighbours a value has; the context differs.
NO_NEIGHBOURS, DIAGONAL, DIRECT = range(3)


@dataclass(frozen=True)
class LayerShape:
    """Channels of a layer, height and width of its grid, and which of how many parts of all this it is.

    The parts of a group of channels are layers that follow one another, each some parts of a fine lattice. With
    `classes` it is no numbers but a part of a map of so many classes, one of those of its class lattice.
    """

    channels: int
    height: int
    width: int
    part: int = 0
    parts: int = 1
    classes: int = 0

    @property
    def places(self) -> int:
        if self.classes:
            begin, end = class_lattice(self.height, self.width).parts[self.part : self.part + 2]
            return end - begin
        finest = lattice(self.height, self.width, fine=True).parts
        mine = (places for number, places in enumerate(finest) if number * self.parts // len(finest) == self.part)
        return sum(places.stop - places.start for places in mine)

    @property
    def whole(self) -> LayerShape:
        """All parts together."""
        return replace(self, part=0, parts=1)

    @property
    def size(self) -> int:
        return self.channels * self.places


def parted(groups: Sequence[LayerShape], parts: Sequence[int]) -> tuple[LayerShape, ...]:
    """Groups of channels, each cut into so many layers, or into as many as its lattice has parts.

    >>> parted([LayerShape(2, 1, 1), LayerShape(1, 4, 4)], (8, 2))
    (LayerShape(channels=2, height=1, width=1, part=0, parts=1, classes=0), \
LayerShape(channels=1, height=4, width=4, part=0, parts=2, classes=0), \
LayerShape(channels=1, height=4, width=4, part=1, parts=2, classes=0))
    """
    found: list[LayerShape] = []
    for group, wanted in zip(groups, parts, strict=True):
        count = min(wanted, len(lattice(group.height, group.width, fine=True).parts))
        found += [replace(group, part=part, parts=count) for part in range(count)]
    return tuple(found)


def class_layers(height: int, width: int, classes: int) -> tuple[LayerShape, ...]:
    """All layers of a map of classes.

    >>> class_layers(2, 2, 5)
    (LayerShape(channels=1, height=2, width=2, part=0, parts=1, classes=5),)
    """
    parts = len(class_lattice(height, width).parts) - 1
    return tuple(LayerShape(1, height, width, part, parts, classes) for part in range(parts))


@dataclass
class Run:
    """Consecutive groups on one grid. `parts[t]`: layer, and values in coding order, of each part in step t."""

    first: int
    count: int
    grid: Lattice
    parts: list[list[tuple[int, slice]]] = field(default_factory=list)

    @property
    def stop(self) -> int:
        return self.first + self.count

    @property
    def places(self) -> int:
        return len(self.grid.order)

    @property
    def values(self) -> slice:
        return slice(self.parts[0][0][1].start, self.parts[-1][-1][1].stop)

    def steps(self, first: int, stop: int) -> Iterator[slice]:
        """The values of those of layers first to stop - 1 that are in this run, step by step."""
        for parts in self.parts:
            chosen = [values for layer, values in parts if first <= layer < stop]
            if chosen:
                yield slice(chosen[0].start, chosen[-1].stop)


class Arrangement:
    """Coding order of latents of some layers. T values and P spots (places of all groups) are numbered in that order.

    `groups`: shapes. `order` intp [T]: place of each value in the flat latent. `layer`, `channel` intp [T]: of each
    value; channels are counted through all groups. `around` intp [4, T]: its neighbours in `known` (any, where there
    are none), and `kind` says which those are. `runs`: the groups' runs.
    """

    def __init__(self, shapes: Sequence[LayerShape]) -> None:
        """Raises CodecError where stages do not make up groups."""
        self._layers = _layers_of_groups(shapes)
        self._fine = len(shapes) > len(self._layers)
        self.groups = tuple(shapes[layers[0]].whole for layers in self._layers)
        self.size = sum(group.size for group in self.groups)
        self.channels = sum(group.channels for group in self.groups)
        self._first_channel = np.cumsum([0, *(group.channels for group in self.groups)])
        self._first_value = np.cumsum([0, *(group.size for group in self.groups)])
        self.runs = _runs(self.groups, self._fine)
        self._position = self._place_values()
        self._describe_values()
        self._describe_spots()
        self._describe_runs()

    def _place_values(self) -> list[np.ndarray]:
        """Number every value in coding order; of each group the numbers intp [channels, places in the grid's order]."""
        positions = [np.empty((group.channels, group.places), np.intp) for group in self.groups]
        end = 0
        for run in self.runs:
            stages = run.grid.stages
            for t in range(run.count + len(stages) - 1):
                run.parts.append([])
                for k in range(max(0, t - len(stages) + 1), min(t, run.count - 1) + 1):
                    for part in stages[t - k].parts:
                        own = positions[run.first + k][:, part]
                        own[:] = np.arange(end, end + own.size).reshape(own.shape)
                        run.parts[t].append((self._layer(run, k, part), slice(end, end + own.size)))
                        end += own.size
        return positions

    def _layer(self, run: Run, k: int, part: slice) -> int:
        """The layer that a part of the run's group k belongs to."""
        layers, parts = self._layers[run.first + k], run.grid.parts
        return layers[parts.index(part) * len(layers) // len(parts)]

    def _describe_values(self) -> None:
        self.order, self.layer, self.channel, self.kind, self._group, self._place = np.empty((6, self.size), np.intp)
        self.around = np.zeros((4, self.size), np.intp)
        for run in self.runs:
            for k in range(run.first, run.stop):
                at = self._position[k]
                channels, places = np.indices(at.shape)
                self._group[at], self._place[at] = k, places
                self.channel[at] = self._first_channel[k] + channels
                self.order[at] = self._first_value[k] + channels * run.places + run.grid.order[places]
                for stage in run.grid.stages:
                    beside, kind = at[:, stage.places], NO_NEIGHBOURS
                    if stage.neighbours is not None:
                        kind = DIRECT if stage.direct else DIAGONAL
                        self.around[:, beside] = np.moveaxis(at[:, stage.neighbours], 2, 0)
                    self.kind[beside] = kind
            for layer, values in (part for parts in run.parts for part in parts):
                self.layer[values] = layer

    def _describe_spots(self) -> None:
        """Number the spots in coding order, and say where in `known` the activities lie that they read and write."""
        first_channel = np.concatenate([position[0] for position in self._position])
        rank = np.empty(len(first_channel), np.intp)
        rank[np.argsort(first_channel)] = np.arange(len(rank))
        starts = np.cumsum([0, *(group.places for group in self.groups)])
        self.activities = [slice(self.size + int(a), self.size + int(b)) for a, b in pairwise(starts)]
        self._spot = rank[starts[self._group] + self._place]
        self._before, self._after = np.empty((2, len(rank)), np.intp)
        nowhere = self.size + len(rank)  # behind a run's last group comes another grid: written, never read
        for k, own in enumerate(self.activities):
            spots = rank[starts[k] : starts[k + 1]]
            follows = any(run.first <= k < run.stop - 1 for run in self.runs)
            self._before[spots] = np.arange(own.start, own.stop)
            self._after[spots] = np.arange(own.stop, 2 * own.stop - own.start) if follows else nowhere

    def _describe_runs(self) -> None:
        """Number the places of all runs' grids, and say by the first group of a run which of them lie over its own: of
        each run before it whose values are not the whole frame's."""
        starts = np.cumsum([0, *(run.places for run in self.runs)])
        self._places, self._over = int(starts[-1]), dict[int, np.ndarray]()
        for number, run in enumerate(self.runs):
            self._place[run.values] += starts[number]
            over = [
                start + self._across(earlier.first, run.first)
                for start, earlier in zip(starts, self.runs[:number], strict=False)
                if earlier.places > 1
            ]
            self._over[run.first] = np.array(over, np.intp).reshape(-1, run.places)

    def new_known(self) -> np.ndarray:
        """An empty `known`, int16: nothing is known yet, and there was no activity."""
        return np.zeros(self.size + len(self._before) + 1, np.int16)

    def begin_run(self, known: np.ndarray, run: Run) -> None:
        """All runs before this one are known now: set the activity before its first group."""
        over, told = self._over[run.first], run.values.start
        if len(over):
            magnitude = np.bincount(self._place[:told], np.abs(known[:told]), minlength=self._places)
            known[self.activities[run.first]] = np.minimum(magnitude.take(over).sum(axis=0), MAX_ACTIVITY)

    def end_step(self, known: np.ndarray, step: slice) -> None:
        """The values of a step are known now: count them into the activity before the groups after theirs."""
        first, last = self._spot[step.start], self._spot[step.stop - 1] + 1
        magnitude = np.bincount(self._spot[step] - first, np.abs(known[step]))
        activity = known.take(self._before[first:last]) + magnitude
        known[self._after[first:last]] = np.minimum(activity, MAX_ACTIVITY)

    def whole(self, latent: np.ndarray) -> np.ndarray:
        """`known` of a whole flat latent."""
        known = self.new_known()
        known[: self.size] = latent[self.order]
        magnitude = np.bincount(self._spot, np.abs(known[: self.size]), minlength=len(self._before))
        by_place = np.empty_like(magnitude)
        by_place[self._before - self.size] = magnitude
        for run in self.runs:
            self.begin_run(known, run)
            if run.count == 1:
                continue
            first, last = self.activities[run.first], self.activities[run.stop - 1]
            own = by_place[first.start - self.size : last.start - self.size].reshape(-1, run.places)
            later = known[first] + np.cumsum(own, axis=0)
            known[first.stop : last.stop] = np.minimum(later, MAX_ACTIVITY).ravel()
        return known

    def reference(self, planes: np.ndarray) -> np.ndarray:
        """Where in `known` the value of each channel's reference plane lies, intp [T], for planes [C]: a channel, or
        C + k for the activity before group k."""
        found = np.empty(self.size, np.intp)
        for k, position in enumerate(self._position):
            for own, plane in zip(position, planes[self._first_channel[k] :], strict=False):
                found[own] = self.plane(int(plane), k)
        return found

    def plane(self, plane: int, k: int) -> np.ndarray:
        """Where in `known` a plane's values at the places of group k lie (intp [places], in the grid's order)."""
        if plane >= self.channels:
            activity = self.activities[plane - self.channels]
            return np.arange(activity.start, activity.stop)
        source = int(np.searchsorted(self._first_channel, plane, side="right")) - 1
        return self._position[source][plane - self._first_channel[source]][self._across(source, k)]

    def _across(self, source: int, target: int) -> np.ndarray:
        """For each place of group `target`'s grid, in its order, the place of group `source`'s grid over its middle."""
        of, to = self.groups[source], self.groups[target]
        key = of.height, of.width, to.height, to.width
        if key not in self._maps:
            rank = np.empty(of.places, np.intp)
            rank[lattice(of.height, of.width, self._fine).order] = np.arange(of.places)
            y, x = np.divmod(lattice(to.height, to.width, self._fine).order, to.width)
            y, x = (2 * y + 1) * of.height // (2 * to.height), (2 * x + 1) * of.width // (2 * to.width)
            self._maps[key] = rank[y * of.width + x]
        return self._maps[key]

    @cached_property
    def _maps(self) -> dict[tuple[int, ...], np.ndarray]:
        return {}


def _layers_of_groups(shapes: Sequence[LayerShape]) -> list[list[int]]:
    """The numbers of the layers that make up each group."""
    groups: list[list[int]] = []
    left: list[LayerShape] = []  # parts that the group begun still lacks
    for number, shape in enumerate(shapes):
        if left:
            groups[-1].append(number)
        else:
            groups.append([number])
            left = list(parted([shape.whole], [shape.parts]))
        if left.pop(0) != shape:
            raise CodecError(f"layer {number}, {shape}, does not go on with the group before it, nor begins one")
    if left:
        raise CodecError(f"the last layer leaves its group unfinished: {left[0]} is missing")
    return groups


def _runs(groups: Sequence[LayerShape], fine: bool) -> list[Run]:
    runs: list[Run] = []
    for size, alike in groupby(groups, key=lambda group: (group.height, group.width)):
        runs.append(Run(runs[-1].stop if runs else 0, len(list(alike)), lattice(*size, fine)))
    return runs
