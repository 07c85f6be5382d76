# SPDX-License-Identifier: Apache-2.0
"""How many bytes will be there and back within a time, with what probability: told from recent frames.

As Sprout (Winstein et al., NSDI 2013) this forecasts deliveries by quantile. Sprout sees a saturated link tick by
tick and can fit a Poisson model; a robot sees a few small frames per second, most of which do not fill the link. So
there is no model of the link here: each recent frame is a sample of what the link does, recent ones counting more,
and a frame of another size would have taken the same, give or take the bytes at the cost that sample saw:

    time(up, down) = away + (up - its own up) * up_cost + (down - its own down) * down_cost

The cost of a byte is how far apart a frame's messages arrived over their bytes (packet dispersion). A frame of one
message has none: it was application-limited, and takes the mean cost of those that had.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_FREE = 1e-9  # seconds per byte; nothing is faster than 8 Gbit/s


@dataclass(frozen=True)
class Sample:
    """One frame there and back. Seconds, bytes on the wire, seconds per byte (NaN: application-limited)."""

    at: float
    away_s: float
    up_bytes: int
    up_cost: float
    down_bytes: int
    down_cost: float


class Forecast:
    """The last `size` samples, weighted by age with time constant `memory_s`.

    >>> forecast = Forecast()
    >>> for k in range(4):
    ...     forecast.add(Sample(at=k, away_s=0.05, up_bytes=1000, up_cost=1e-5, down_bytes=500, down_cost=1e-5))
    >>> view = forecast.view()
    >>> view.chance(0.06, up=1500, down=500), round(view.most_up(0.06, down=500, share=0.95))
    (1.0, 2000)
    """

    def __init__(self, size: int = 64, memory_s: float = 3.0) -> None:
        self._size, self._memory = size, memory_s
        self._table = np.full((6, size), math.nan)
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, self._size)

    def add(self, sample: Sample) -> None:
        """Take in a sample, not older than the last one."""
        self._table[:, self._count % self._size] = (
            sample.at, sample.away_s, sample.up_bytes, sample.up_cost, sample.down_bytes, sample.down_cost
        )  # fmt: skip
        self._count += 1

    def view(self, longer_than_s: float = 0.0, up_cost: float = math.nan) -> View | None:
        """The samples as a distribution; None without any.

        `longer_than_s`: only those that took longer, for a frame on its way has told already that it does. `up_cost`
        takes the place of what was measured.
        """
        table = self._table[:, : len(self)]
        if longer_than_s > 0.0:
            table = table[:, table[1] > longer_than_s]
        if not table.shape[1]:
            return None
        at, away, up, costs_up, down, costs_down = table
        weight = np.exp((at - at.max()) / self._memory)
        costs_up = _known(costs_up, weight, up) if math.isnan(up_cost) else np.full_like(away, max(up_cost, _FREE))
        return View(weight / weight.sum(), away, up, costs_up, down, _known(costs_down, weight, down))

    def share_longer(self, than_s: float) -> float:
        """Weight of the samples that took longer, 0 to 1."""
        at, away = self._table[:2, : len(self)]
        weight = np.exp((at - at.max()) / self._memory)
        return float(weight[away > than_s].sum() / weight.sum())

    @property
    def shortest_s(self) -> float:
        """The shortest time away among the samples; infinite without any."""
        return float(self._table[1, : len(self)].min(initial=math.inf))

    @property
    def most_up(self) -> int:
        """The most bytes that a sample was of; 0 without any."""
        return int(self._table[2, : len(self)].max(initial=0))

    @property
    def down_range(self) -> tuple[int, int]:
        """The fewest and the most bytes that came back for a sample; zeros without any."""
        down = self._table[4, : len(self)]
        return (int(down.min()), int(down.max())) if len(down) else (0, 0)


@dataclass(frozen=True, eq=False)
class View:
    """Samples as a distribution: weights that add up to 1, and what each says of a frame. Arrays [samples]."""

    weight: np.ndarray
    away: np.ndarray
    up: np.ndarray
    up_cost: np.ndarray
    down: np.ndarray
    down_cost: np.ndarray

    def chance(self, within_s: float, up: float, down: float) -> float:
        """Probability that a frame of `up` bytes and its `down` bytes of results take at most `within_s` seconds."""
        times = self.away + (up - self.up) * self.up_cost + (down - self.down) * self.down_cost
        return float(self.weight[times <= within_s].sum())

    def most_up(self, within_s: float, down: float, share: float) -> float:
        """Most bytes that are there, and `down` bytes back, within a time with probability `share`; may be below 0."""
        spare = within_s - self.away - (down - self.down) * self.down_cost
        return self._reached(self.up + spare / self.up_cost, share)

    def most_down(self, within_s: float, up: float, share: float) -> float:
        """Most bytes that are back for a frame of `up` bytes, likewise."""
        spare = within_s - self.away - (up - self.up) * self.up_cost
        return self._reached(self.down + spare / self.down_cost, share)

    def _reached(self, values: np.ndarray, share: float) -> float:
        """The largest value that samples of weight `share` reach."""
        order = np.argsort(-values)
        place = int(np.searchsorted(np.cumsum(self.weight[order]), share - 1e-9))
        return float(values[order[min(place, len(order) - 1)]])


def _known(costs: np.ndarray, weight: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Costs with the mean, by weight and bytes, in place of those that are not known."""
    missing = np.isnan(costs)
    if not missing.any():
        return np.maximum(costs, _FREE)
    counts = np.where(missing, 0.0, weight * sizes)
    total = counts.sum()
    mean = float((np.where(missing, 0.0, costs) * counts).sum() / total) if total > 0 else _FREE
    return np.maximum(np.where(missing, mean, costs), _FREE)
