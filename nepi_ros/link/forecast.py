# SPDX-License-Identifier: Apache-2.0
"""How many bytes will be there and back within a time, with what probability: told from recent frames.

As Sprout (Winstein et al., NSDI 2013) this forecasts deliveries by quantile. Sprout sees a saturated link tick by
tick and can fit a Poisson model; a robot sees a few small frames per second, most of which do not fill the link. So
there is no model of the link here: each recent frame is a sample of what the link does, recent ones counting more,
and a frame of another size would have taken the same, give or take the bytes at the cost that sample saw:

    time(up, down) = away + (up - its own up) * up_cost + (down - its own down) * down_cost

The cost of a byte is how far apart a frame's messages arrived over their bytes (packet dispersion). A frame of one
message has none: it was application-limited, and its bytes cost what times over sizes of all samples say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

_OUTLIER = 3.0
_DOUBT = 200.0  # bytes; sizes that differ by less say little, and unless they say otherwise bytes are free
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

    shortest_s: the shortest time away among them, infinite without any. most_up: the most bytes that one was of, 0
    without any. down_range: the fewest and the most bytes that came back for one, zeros without any.

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
        self._view: View | None = None
        self.shortest_s, self.most_up, self.down_range = math.inf, 0, (0, 0)

    def __len__(self) -> int:
        return min(self._count, self._size)

    def add(self, sample: Sample) -> None:
        """Take in a sample, not older than the last one. What they say together is worked out now, not when a frame
        waits for it."""
        self._table[:, self._count % self._size] = (
            sample.at, sample.away_s, sample.up_bytes, sample.up_cost, sample.down_bytes, sample.down_cost
        )  # fmt: skip
        self._count += 1
        self._view = self._whole()
        self.shortest_s, self.most_up = float(self._view.away.min()), int(self._view.up.max())
        self.down_range = int(self._view.down.min()), int(self._view.down.max())

    def view(self, longer_than_s: float = 0.0, up_cost: float = math.nan) -> View | None:
        """The samples as a distribution; None without any.

        `longer_than_s`: only those that took longer, for a frame on its way has told already that it does. `up_cost`
        takes the place of what was measured, also for the bytes of the samples.
        """
        view = self._view
        if view is not None and not math.isnan(up_cost):
            view = view.at_cost(up_cost)
        if view is None or longer_than_s <= self.shortest_s:
            return view
        kept = view.away > longer_than_s
        return view.only(kept) if kept.any() else None

    def _whole(self) -> View:
        """All samples."""
        at, away, up, costs_up, down, costs_down = self._table[:, : len(self)]
        weight = np.exp((at - at.max()) / self._memory)
        weight /= weight.sum()
        costs = _filled(costs_up, weight, up, away), _filled(costs_down, weight, down, away)
        return View(weight, away, up, costs[0], down, costs[1])

    def capacity(self) -> tuple[float, float, float]:
        """What the link carries towards the edge in kbit/s: a tenth of the samples saw less, the mean, a tenth more.

        NaN as long as all samples are application-limited, or so small that their messages arrived at once.
        """
        known = self._table[3, : len(self)] > _FREE
        if not known.any():
            return math.nan, math.nan, math.nan
        view = self._view.only(known)
        order = np.argsort(view.up_cost)
        places = np.searchsorted(np.cumsum(view.weight[order]) / view.share, (0.1, 0.9))
        high, low = 0.008 / view.up_cost[order[np.minimum(places, len(order) - 1)]]
        return float(low), 0.008 / view.mean_up_cost, float(high)


@dataclass(eq=False)
class View:
    """Samples as a distribution: weights (1 for all there are), and what each says of a frame; arrays [samples].

    mean_up_cost, mean_down_cost: seconds per byte there and back.
    """

    weight: np.ndarray
    away: np.ndarray
    up: np.ndarray
    up_cost: np.ndarray
    down: np.ndarray
    down_cost: np.ndarray
    mean_up_cost: float = field(init=False)
    mean_down_cost: float = field(init=False)

    def __post_init__(self) -> None:
        self.mean_up_cost = _mean(self.up_cost, self.weight * self.up)
        self.mean_down_cost = _mean(self.down_cost, self.weight * self.down)

    def only(self, kept: np.ndarray) -> View:
        """Some of the samples: bool [samples]."""
        arrays = self.weight, self.away, self.up, self.up_cost, self.down, self.down_cost
        return View(*(array[kept] for array in arrays))

    def at_cost(self, up_cost: float) -> View:
        """The same samples, had every byte towards the edge cost `up_cost` seconds."""
        away = np.maximum(self.away - self.up * self.up_cost, 0.0) + self.up * up_cost
        return replace(self, away=away, up_cost=np.full_like(away, max(up_cost, _FREE)))

    @property
    def share(self) -> float:
        """Weight of these samples among all, 0 to 1."""
        return float(self.weight.sum())

    def chance(self, within_s: float, up: float, down: float) -> float:
        """Weight of the samples that say: `up` bytes and `down` bytes of results take at most `within_s` seconds."""
        times = self.away + (up - self.up) * self.up_cost + (down - self.down) * self.down_cost
        return float(self.weight @ (times <= within_s))

    def chances(self, within_s: float, up: np.ndarray, down: float) -> np.ndarray:
        """`chance` for each of several sizes: float [sizes]."""
        spare = within_s - self.away - (down - self.down) * self.down_cost
        return self.weight @ ((up[None, :] - self.up[:, None]) * self.up_cost[:, None] <= spare[:, None])

    def most_up(self, within_s: float, down: float, share: float) -> float:
        """Most bytes that are there, and `down` bytes back, in time by samples of weight `share`; may be below 0."""
        spare = within_s - self.away - (down - self.down) * self.down_cost
        return self._reached(self.up + spare / self.up_cost, share)

    def most_down(self, within_s: float, up: float, share: float) -> float:
        """Most bytes that are back for a frame of `up` bytes, likewise."""
        spare = within_s - self.away - (up - self.up) * self.up_cost
        return self._reached(self.down + spare / self.down_cost, share)

    def _reached(self, values: np.ndarray, share: float) -> float:
        """The largest value that samples of weight `share` reach."""
        order = (-values).argsort()
        place = int(self.weight[order].cumsum().searchsorted(share - 1e-9))
        return float(values[order[min(place, len(order) - 1)]])


def _mean(costs: np.ndarray, counts: np.ndarray) -> float:
    total = float(counts.sum())
    return max(float(costs @ counts) / total, _FREE) if total > 0.0 else _FREE


def _filled(costs: np.ndarray, weight: np.ndarray, sizes: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Costs with the slope of time over size in place of those that are not known."""
    missing = np.isnan(costs)
    if not missing.any():
        return np.maximum(costs, _FREE)
    return np.maximum(np.where(missing, _slope(weight, sizes, away), costs), _FREE)


def _slope(weight: np.ndarray, sizes: np.ndarray, away: np.ndarray) -> float:
    """How much longer larger frames took, in seconds per byte, by weighted least squares.

    A stall says nothing of sizes: times count up to so many times the shortest. Where nearly all sizes are the same
    the slope is drawn towards 0, or a few frames that were late would hold all later ones down.
    """
    times = np.minimum(away, _OUTLIER * away.min())
    share = weight / weight.sum()
    apart = sizes - share @ sizes
    spread = share @ (apart * apart)
    return float(share @ (apart * times) / (spread + _DOUBT**2))
