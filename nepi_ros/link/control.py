# SPDX-License-Identifier: Apache-2.0
"""Sizes frames to a link that is measured, so that results are back by the deadline with a given probability.

A rule is told what happens and when, and is asked for a budget; times are seconds on one monotonic clock of the
robot's. All it knows are its own frames and the edge's reports of them.

A frame may be as large as leaves it `target_hit_rate` of the chance that its smallest prefix has. On a link on which
the smallest is nearly always in time that is the hit rate; where the link itself loses frames (outages, bursts of
other traffic), no size saves those, and the size is not made to pay for them. Misses that size has caused are
counted, and adaptive conformal inference holds their share to the promise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from nepi_ros.link.budget import Budget, FrameReport, LinkState
from nepi_ros.link.conformal import AdaptiveRisk
from nepi_ros.link.flight import Flight, Sent
from nepi_ros.link.forecast import Forecast, Sample, View
from nepi_ros.link.returns import SMALLEST
from nepi_ros.link.smoothing import SmoothedTime

_ECHO_TOLERANCE_S = 1e-6
_PLAUSIBLE_S = 10.0


class Rule(Protocol):
    """What sizes frames: BudgetRule for a link of given capacity, LinkControl for one that is measured."""

    def encoded(self, seconds: float) -> None: ...

    def sent(self, now: float, sequence: int, wire_bytes: int, first_bytes: int = 0) -> None: ...

    def reported(self, now: float, report: FrameReport) -> bool: ...

    def budget(self, now: float, age_s: float, least_bytes: int = 1) -> Budget: ...

    def state(self, now: float) -> LinkState: ...


@dataclass(frozen=True)
class ControlSettings:
    """What the user decides. All may change between any two frames.

    deadline_s: from the image's stamp to its results. target_hit_rate: see above. min_bytes: frames below are of no
    use (0: the smallest prefix is). max_bytes: no frame spends more. capacity_override_kbps: above 0, what the link
    carries towards the edge is not measured. probe: whether frames may grow beyond what has been seen to arrive.
    """

    deadline_s: float = 0.15
    target_hit_rate: float = 0.95
    min_bytes: int = 0
    max_bytes: int = 65535
    capacity_override_kbps: float = 0.0
    probe: bool = True


class LinkControl:
    """Sizes frames for a link that it measures."""

    GROWTH = 2.0
    STALLED = 0.1
    PROBE_SHARE = 0.1
    PROBE_MOST_S = 0.5

    def __init__(self, settings: ControlSettings | None = None) -> None:
        self.settings = settings or ControlSettings()
        self._encode, self._edge = SmoothedTime(), SmoothedTime()
        self._round_trip = SmoothedTime()
        self._forecast = Forecast()
        self._flight = Flight()
        self._risk = AdaptiveRisk(1 - self.settings.target_hit_rate)
        self._last_sent = -math.inf
        self._asked = (math.inf, 0, 0)

    def encoded(self, seconds: float) -> None:
        """An image took so long from its arrival to the hand-over of its epitome."""
        self._encode.add(max(0.0, seconds))

    def sent(self, now: float, sequence: int, wire_bytes: int, first_bytes: int = 0) -> None:
        """A frame was handed over at `now`, which is what its messages say as hand-over time.

        `first_bytes`: what its first message costs on the wire (0: it is the only one).
        """
        due, least, granted = self._asked
        self._flight.add(Sent(sequence, now, wire_bytes, first_bytes or wire_bytes, due, least, granted))
        self._last_sent = now

    def reported(self, now: float, report: FrameReport) -> bool:
        """Take in a report that arrives at `now`; False when it is ignored, as BudgetRule does."""
        sent = self._flight.get(report.sequence)
        if sent is None or abs(sent.at - report.handover_s) > _ECHO_TOLERANCE_S:
            return False
        away = now - sent.at
        if not 0.0 <= report.processing_s <= away <= _PLAUSIBLE_S:
            return False
        self._flight.land(report.sequence)
        self._edge.add(report.processing_s)
        self._round_trip.add(away - report.processing_s)
        sample = Sample(
            now, away, sent.wire_bytes, self._up_cost(sent, report), report.result_bytes, self._down_cost(report)
        )
        self._judge(now, sent, sample)
        self._forecast.add(sample)
        return True

    def budget(self, now: float, age_s: float, least_bytes: int = 1) -> Budget:
        """What a frame that is handed over now may spend; as BudgetRule.budget."""
        settings = self.settings
        age = age_s if 0.0 <= age_s <= _PLAUSIBLE_S else 0.0
        least = max(least_bytes, settings.min_bytes)
        left = settings.deadline_s - age
        budget = self._decide(now, left, least, least_bytes)
        self._asked = (now + left, least, budget.result_bytes)
        return budget

    def state(self, now: float) -> LinkState:
        view = self._forecast.view()
        capacity = 0.0 if view is None else 0.008 / float((view.weight * view.up_cost).sum())
        return LinkState(capacity, self._round_trip.mean, self._edge.mean, self._encode.mean, self._flight.bytes())

    def _decide(self, now: float, left: float, least: int, probe: int) -> Budget:
        settings = self.settings
        if settings.max_bytes < least:
            return Budget(0, f"at most {settings.max_bytes} bytes are allowed, {least} are needed")
        if not len(self._forecast):
            return self._unknown(now, least)
        oldest = self._flight.oldest_at()
        elapsed = now - oldest if oldest is not None else 0.0
        if elapsed > 0.0 and self._forecast.share_longer(elapsed) < self.STALLED:
            return self._stalled(now, left, elapsed, least, probe)
        view = self._forecast.view(elapsed)
        down_least, down_most = self._forecast.down_range
        ahead = self._flight.bytes()
        chance = view.chance(left, least, down_least)
        if chance <= 0.0:
            return self._stalled(now, left, elapsed, least, probe)
        risk = self._risk.value
        granted = view.most_down(left, least, (1 - risk / 2) * chance)
        granted = min(max(granted, down_least), self.GROWTH * max(down_most, 1))
        down = min(granted, down_most)
        up = view.most_up(left, down, (1 - risk) * chance) - 0 * ahead
        up = min(up, self.GROWTH * max(self._forecast.most_up, least))
        return Budget(int(min(max(up, least), settings.max_bytes)), result_bytes=max(SMALLEST, int(granted)))

    def _unknown(self, now: float, least: int) -> Budget:
        if len(self._flight) and now - self._last_sent < self.PROBE_MOST_S / 2:
            return Budget(0, "no report has come yet")
        return Budget(least, result_bytes=SMALLEST)

    def _stalled(self, now: float, left: float, elapsed: float, least: int, probe: int) -> Budget:
        """The link stands still: the smallest frame if it could yet be in time, else now and then a probe."""
        view = self._forecast.view()
        cost_up = float((view.weight * view.up_cost).sum())
        cost_down = float((view.weight * view.down_cost).sum())
        down_least, _ = self._forecast.down_range
        ahead = self._flight.bytes() * cost_up + len(self._flight) * down_least * cost_down
        if self._forecast.shortest_s + ahead <= left:
            return Budget(least, result_bytes=SMALLEST)
        if now - self._last_sent >= min(self.PROBE_SHARE * elapsed, self.PROBE_MOST_S):
            return Budget(probe, result_bytes=SMALLEST)
        return Budget(0, "the link stands still")

    def _judge(self, now: float, sent: Sent, sample: Sample) -> None:
        """Whether the frame was late because of its size."""
        if sent.wire_bytes <= sent.least:
            return
        late = now - sent.due
        view = self._forecast.view()
        cost = sample.up_cost
        if math.isnan(cost):
            cost = float((view.weight * view.up_cost).sum()) if view else 0.0
        saved = (sent.wire_bytes - sent.least) * cost
        if late <= 0.0 or late <= saved:
            self._risk.add(missed=late > 0.0)

    def _up_cost(self, sent: Sent, report: FrameReport) -> float:
        rest = sent.wire_bytes - sent.first_bytes
        if rest <= 0:
            return math.nan
        return report.spread_s / rest

    def _down_cost(self, report: FrameReport) -> float:
        return report.return_spread_s / report.return_bytes if report.return_bytes > 0 else math.nan
