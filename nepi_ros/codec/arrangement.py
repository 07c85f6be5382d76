# SPDX-License-Identifier: Apache-2.0
"""The order in which all values of a latent are coded, and where what is known of each value then lies.

A latent is one flat array: layer by layer, channel by channel, row by row, each layer on a grid of its own. Consecutive
layers on the same grid are a run. Within a run, a layer is coded stage by stage (lattice.py), and every layer follows
the one before it at a distance of one stage: step t of a run codes stage t of its first layer together with stage t - 1
of its second, and so on. Whatever a value looks up, at its own place in earlier layers and around it in its own layer,
is known by then; and a run of n layers takes n + 2 steps instead of 3 n.

A segment is any number of consecutive layers. In every step its values follow one another.

All that is looked up has a number in one array, `known`: first the values in coding order, then the activities.
The activity of a place before a layer is the sum of magnitudes there over all earlier layers, at most 127. It tells
where there is much to say. Runs on one single place count for themselves alone: they tell nothing about places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np

from nepi_ros.codec.lattice import Lattice, lattice

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


@dataclass
class Run:
    """Consecutive layers on one grid. `parts[k - first][s]` are the values of layer k's stage s, in coding order."""

    first: int
    count: int
    grid: Lattice
    parts: list[list[slice]] = field(default_factory=list)

    @property
    def stop(self) -> int:
        return self.first + self.count

    @property
    def places(self) -> int:
        return len(self.grid.order)

    @property
    def values(self) -> slice:
        return slice(self.parts[0][0].start, self.parts[-1][-1].stop)

    def steps(self, first: int, stop: int) -> Iterator[slice]:
        """The values of those of layers first to stop - 1 that are in this run, step by step."""
        stages = len(self.grid.stages)
        begin, end = max(first - self.first, 0), min(stop - self.first, self.count)
        for t in range(begin, end + stages - 1 if begin < end else begin):
            oldest, newest = max(begin, t - stages + 1), min(t, end - 1)
            yield slice(self.parts[oldest][t - oldest].start, self.parts[newest][t - newest].stop)


class Arrangement:
    """Coding order of latents of some layers. T values and P spots (places of all layers) are numbered in that order.

    `order` intp [T]: place of each value in the flat latent. `layer`, `channel` intp [T]: of each value; channels are
    counted through all layers. `around` intp [4, T]: its neighbours in `known` (any, where there are none), and `kind`
    says which those are. `runs`: the layers' runs.
    """

    def __init__(self, shapes: Sequence[LayerShape]) -> None:
        self.shapes = tuple(shapes)
        self.size = sum(shape.size for shape in shapes)
        self.channels = sum(shape.channels for shape in shapes)
        self._first_channel = np.cumsum([0, *(shape.channels for shape in shapes)])
        self._first_value = np.cumsum([0, *(shape.size for shape in shapes)])
        self.runs = _runs(self.shapes)
        self._position = self._place_values()
        self._describe_values()
        self._describe_spots()

    def _place_values(self) -> list[np.ndarray]:
        """Number every value in coding order; of each layer the numbers intp [channels, places in the grid's order]."""
        positions = [np.empty((shape.channels, shape.places), np.intp) for shape in self.shapes]
        end = 0
        for run in self.runs:
            stages = run.grid.stages
            run.parts = [[slice(0)] * len(stages) for _ in range(run.count)]
            for t in range(run.count + len(stages) - 1):
                for k in range(max(0, t - len(stages) + 1), min(t, run.count - 1) + 1):
                    own = positions[run.first + k][:, stages[t - k].places]
                    own[:] = np.arange(end, end + own.size).reshape(own.shape)
                    run.parts[k][t - k] = slice(end, end + own.size)
                    end += own.size
        return positions

    def _describe_values(self) -> None:
        self.order, self.layer, self.channel, self.kind, self._place = np.empty((5, self.size), np.intp)
        self.around = np.zeros((4, self.size), np.intp)
        for run in self.runs:
            for k in range(run.first, run.stop):
                at = self._position[k]
                channels, places = np.indices(at.shape)
                self.layer[at], self._place[at] = k, places
                self.channel[at] = self._first_channel[k] + channels
                self.order[at] = self._first_value[k] + channels * run.places + run.grid.order[places]
                for stage in run.grid.stages:
                    beside, kind = at[:, stage.places], NO_NEIGHBOURS
                    if stage.neighbours is not None:
                        kind = DIRECT if stage.direct else DIAGONAL
                        self.around[:, beside] = np.moveaxis(at[:, stage.neighbours], 2, 0)
                    self.kind[beside] = kind

    def _describe_spots(self) -> None:
        """Number the spots in coding order, and say where in `known` the activities lie that they read and write."""
        first_channel = np.concatenate([position[0] for position in self._position])
        rank = np.empty(len(first_channel), np.intp)
        rank[np.argsort(first_channel)] = np.arange(len(rank))
        starts = np.cumsum([0, *(shape.places for shape in self.shapes)])
        self.activities = [slice(self.size + int(a), self.size + int(b)) for a, b in pairwise(starts)]
        self._spot = rank[starts[self.layer] + self._place]
        self._before, self._after = np.empty((2, len(rank)), np.intp)
        nowhere = self.size + len(rank)  # behind a run's last layer comes another grid: written, never read
        for k, own in enumerate(self.activities):
            spots = rank[starts[k] : starts[k + 1]]
            follows = any(run.first <= k < run.stop - 1 for run in self.runs)
            self._before[spots] = np.arange(own.start, own.stop)
            self._after[spots] = np.arange(own.stop, 2 * own.stop - own.start) if follows else nowhere

    def new_known(self) -> np.ndarray:
        """An empty `known`, int16: nothing is known yet, and there was no activity."""
        return np.zeros(self.size + len(self._before) + 1, np.int16)

    def begin_run(self, known: np.ndarray, run: Run) -> None:
        """All runs before this one are known now: set the activity before its first layer."""
        activity = np.zeros(run.places, np.int64)
        for earlier in self.runs[: self.runs.index(run)]:
            if earlier.places > 1:
                magnitude = np.bincount(self._place[earlier.values], np.abs(known[earlier.values]))
                activity += magnitude.astype(np.int64)[self._across(earlier.first, run.first)]
        known[self.activities[run.first]] = np.minimum(activity, MAX_ACTIVITY)

    def end_step(self, known: np.ndarray, step: slice) -> None:
        """The values of a step are known now: count them into the activity before the layers after theirs."""
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
            first, last = self.activities[run.first], self.activities[run.stop - 1]
            own = by_place[first.start - self.size : last.start - self.size].reshape(-1, run.places)
            later = known[first] + np.cumsum(own, axis=0)
            known[first.stop : last.stop] = np.minimum(later, MAX_ACTIVITY).ravel()
        return known

    def reference(self, planes: np.ndarray) -> np.ndarray:
        """Where in `known` the value of each channel's reference plane lies, intp [T], for planes [C]: a channel, or
        C + k for the activity before layer k."""
        found = np.empty(self.size, np.intp)
        for k, position in enumerate(self._position):
            for own, plane in zip(position, planes[self._first_channel[k] :], strict=False):
                found[own] = self.plane(int(plane), k)
        return found

    def plane(self, plane: int, k: int) -> np.ndarray:
        """Where in `known` a plane's values at the places of layer k lie (intp [places], in the grid's order)."""
        if plane >= self.channels:
            activity = self.activities[plane - self.channels]
            return np.arange(activity.start, activity.stop)
        source = int(np.searchsorted(self._first_channel, plane, side="right")) - 1
        return self._position[source][plane - self._first_channel[source]][self._across(source, k)]

    def _across(self, source: int, target: int) -> np.ndarray:
        """For each place of layer `target`'s grid, in its order, the place of layer `source`'s grid over its middle."""
        of, to = self.shapes[source], self.shapes[target]
        key = of.height, of.width, to.height, to.width
        if key not in self._maps:
            rank = np.empty(of.places, np.intp)
            rank[lattice(of.height, of.width).order] = np.arange(of.places)
            y, x = np.divmod(lattice(to.height, to.width).order, to.width)
            y, x = (2 * y + 1) * of.height // (2 * to.height), (2 * x + 1) * of.width // (2 * to.width)
            self._maps[key] = rank[y * of.width + x]
        return self._maps[key]

    @cached_property
    def _maps(self) -> dict[tuple[int, ...], np.ndarray]:
        return {}


def _runs(shapes: Sequence[LayerShape]) -> list[Run]:
    runs: list[Run] = []
    for size, group in groupby(shapes, key=lambda shape: (shape.height, shape.width)):
        runs.append(Run(runs[-1].stop if runs else 0, len(list(group)), lattice(*size)))
    return runs
