# SPDX-License-Identifier: Apache-2.0
"""Links like recorded ones, made from a seed: for demos and tests that may carry no recordings.

The logarithm of the rate wanders and returns to its mean (Ornstein-Uhlenbeck), opportunities come at random at that
rate (Poisson, as Sprout models cellular links: Winstein et al., NSDI 2013, section 3.1), and now and then there is an
outage whose length has a heavy tail (Pareto).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nepi_ros.files import write_atomic
from nepi_ros.link.trace import OPPORTUNITY_BYTES, Trace


@dataclass(frozen=True)
class LinkModel:
    """kbps: median rate. swing: standard deviation of its natural logarithm; memory_s: how long it remembers.

    outages_per_minute: mean number; outage_s: the shortest; tail: exponent of their lengths (smaller: longer ones).
    """

    kbps: float = 1000.0
    swing: float = 0.7
    memory_s: float = 4.0
    outages_per_minute: float = 1.0
    outage_s: float = 0.5
    tail: float = 1.5
    longest_s: float = 10.0

    def trace(self, seconds: float, seed: int = 0, name: str = "synthetic") -> Trace:
        """A trace of this model; the same arguments give the same one. It ends with an opportunity at `seconds`."""
        random = np.random.default_rng(seed)
        rate = self._rates(int(math.ceil(seconds * 1000)), random)
        counts = random.poisson(rate)
        counts[-1] = max(counts[-1], 1)
        return Trace(np.repeat(np.arange(1, len(counts) + 1), counts), name)

    def _rates(self, milliseconds: int, random: np.random.Generator) -> np.ndarray:
        """Opportunities per millisecond, float64 [milliseconds]."""
        step_ms = 20
        keep = math.exp(-step_ms / 1000 / self.memory_s)
        noise = random.normal(0.0, self.swing * math.sqrt(1 - keep * keep), milliseconds // step_ms + 2)
        level, levels = self.swing * random.normal(), []
        for shock in noise:
            level = keep * level + shock
            levels.append(level)
        rates = np.repeat(np.exp(levels), step_ms)[:milliseconds] * self.kbps / 8 / OPPORTUNITY_BYTES
        return rates * ~self._out(milliseconds, random)

    def _out(self, milliseconds: int, random: np.random.Generator) -> np.ndarray:
        """Which milliseconds are within an outage: bool [milliseconds]."""
        out = np.zeros(milliseconds, bool)
        for begin in np.flatnonzero(random.random(milliseconds) < self.outages_per_minute / 60_000):
            length = min(self.longest_s, self.outage_s * (1 + random.pareto(self.tail)))
            out[begin : begin + int(length * 1000)] = True
        return out


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace in Mahimahi's format."""
    write_atomic(path, "\n".join(map(str, trace.times_ms.tolist())) + "\n")
