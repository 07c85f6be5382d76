# SPDX-License-Identifier: Apache-2.0
"""Sizes frames to a link that is measured, so that results are back by the deadline with a given probability.

A rule is told what happens and when, and is asked for a budget; times are seconds on one monotonic clock of the
robot's. All it knows are its own frames and the edge's reports of them. A budget is the least of:

- chance: as many bytes as will be in time with probability `target_hit_rate`. Where the link itself fails more often
  than that (outages, bursts of other traffic), no size saves the frame: then as many as leave it the chance of its most
  promising prefix, which is the one of the most worth times its chance, and results of a packet at most, or of half a
  packet behind another frame, whose results they then may travel with. Of the risk, half may be spent on the way back,
  the rest on the way there. What is asked of the forecast is adapted to the misses that follow
  (nepi_ros.link.conformal).
- load: a share of what the link carries between two frames, so that frames do not queue behind each other when it
  slows down faster than it is measured.
- growth: twice what has been seen to arrive. A longer prefix of the same frame is how the link is probed.

When frames in front are overdue the link stands still: then the smallest frames go out, or what is hardly dearer, and
of these only so many as will not be in the way of a fresh one when the link returns. One of those on their way is the
probe that tells of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nepi_ros.link.budget import (
    ALIVE,
    DEAD,
    TOO_LARGE,
    TOO_LATE,
    UNKNOWN,
    WAITING,
    Budget,
    Choices,
    FrameReport,
    LinkState,
)
from nepi_ros.link.conformal import AdaptiveRisk
from nepi_ros.link.flight import Flight, Sent
from nepi_ros.link.forecast import Forecast, Sample, View
from nepi_ros.link.hold import Hold
from nepi_ros.link.returns import SMALLEST
from nepi_ros.link.smoothing import SmoothedTime

_ECHO_TOLERANCE_S = 1e-6
_PLAUSIBLE_S = 10.0
_LONGEST_S = 60.0
_BACKWARDS_S = 1e-3

LOAD = 0.15
"""Share of the link that frames may take for themselves."""
GROWTH, CAUTIOUS_GROWTH = 2.0, 1.1
"""How much larger than any that arrived lately a frame may be, with and without probing."""
STALLED = 0.1
"""The link stands still when fewer of the latest frames took as long as the one in front is taking already."""
SLIGHT, SLIGHT_STILL, SLIGHT_TIME = 3.0, 5.2, 0.03
"""Up to so many times the smallest frame, and so much of the time left for its further bytes, a frame is hardly dearer
than the smallest, which is mostly headers. When the link stands still, more may be: the frame that is the first to get
through is better one of worth, and it still is a packet."""
PACKET = 1300
"""Bytes on the wire that are one packet, also where tunnels take their share of the MTU."""
CALM, SURE = 0.75, 0.95
"""What is not ordinary, for it is much and worth little more, may be sent while so large a share of the latest frames
says that so much of the time left is enough: what is on its way when a link begins to stall delays all that follows."""
WINDOW = 8
"""Frames on their way at most; more only as probes."""
PROBE_PERIOD_S = 0.5
LOSS = 0.01
"""From this share of lost frames on, first messages are repeated."""
_GAIN = 1 / 32
_ABOUT = 0.8


class Rule(Protocol):
    """What sizes frames: LinkControl, and what it is compared with (nepi_ros.bench.link.rules)."""

    def encoded(self, seconds: float) -> None: ...

    def sent(
        self, now: float, sequence: int, wire_bytes: int, first_bytes: int = 0, extra_layers: int = 0
    ) -> None: ...

    def reported(self, now: float, report: FrameReport) -> bool: ...

    def budget(self, now: float, age_s: float, least_bytes: int = 1, choices: Choices | None = None) -> Budget: ...

    def state(self, now: float) -> LinkState: ...


@dataclass(frozen=True)
class ControlSettings:
    """What the user decides. All may change between any two frames.

    deadline_s: from the image's stamp to its results. target_hit_rate: see above. min_bytes: a frame may spend as much
    whatever the link is found to carry. max_bytes: no frame spends more. capacity_override_kbps: above 0, what the link
    carries towards the edge is not measured. probe: whether frames may grow fast beyond what has been seen to arrive.
    """

    deadline_s: float = 0.15
    target_hit_rate: float = 0.95
    min_bytes: int = 0
    max_bytes: int = 65535
    capacity_override_kbps: float = 0.0
    probe: bool = True


class LinkControl:
    """Sizes frames for a link that it measures.

    >>> control = LinkControl(ControlSettings(deadline_s=0.15))
    >>> control.budget(10.0, age_s=0.02, least_bytes=400).bytes  # nothing is known: the smallest frame will tell
    400
    >>> control.sent(10.0, sequence=0, wire_bytes=400)
    >>> control.reported(10.06, FrameReport(0, handover_s=10.0, processing_s=0.01, result_bytes=1500))
    True
    >>> control.budget(10.1, age_s=0.02, least_bytes=400).bytes
    800
    """

    def __init__(self, settings: ControlSettings | None = None) -> None:
        self._settings = settings or ControlSettings()
        self._encode = SmoothedTime()
        self._risk = AdaptiveRisk(1 - self._settings.target_hit_rate)
        self._forget()

    @property
    def settings(self) -> ControlSettings:
        """What the user has decided; a change counts from the next frame on."""
        return self._settings

    @settings.setter
    def settings(self, settings: ControlSettings) -> None:
        self._settings = settings
        self._risk.promise(1 - settings.target_hit_rate)

    def resume(self) -> None:
        """Frames are sent again after a pause: reports of those from before it are not waited for."""
        self._flight.clear()

    def encoded(self, seconds: float) -> None:
        """An image took so long from its arrival to the hand-over of its epitome."""
        self._encode.add(max(0.0, seconds))

    def sent(self, now: float, sequence: int, wire_bytes: int, first_bytes: int = 0, extra_layers: int = 0) -> None:
        """A frame was handed over at `now`, which is what its messages say as hand-over time.

        `first_bytes`: what its first message costs on the wire, all copies of it (0: it is the only one).
        `extra_layers`: how many layers it has, if it is more than what is ordinary (nepi_ros.link.budget.Choices).
        """
        self._flight.add(Sent(sequence, now, wire_bytes, first_bytes or wire_bytes, *self._asked, extra_layers))
        self._last_sent = now

    def reported(self, now: float, report: FrameReport) -> bool:
        """Take in a report that arrives at `now`; False when it is ignored.

        Ignored is what this rule did not send (another robot's echo, a report from before a restart, a second one for
        the same frame) and what cannot be (an edge busy for longer than the frame was away).
        """
        self._watch(now)
        sent = self._flight.get(report.sequence)
        if sent is None or abs(sent.at - report.handover_s) > _ECHO_TOLERANCE_S:
            return False
        away = now - sent.at
        if not 0.0 <= report.processing_s <= away <= _LONGEST_S:
            return False
        lost = self._flight.land(report.sequence)
        self._last_report = now
        self._edge.add(report.processing_s)
        self._round_trip.add(away - report.processing_s)
        self._count(now, sent, len(lost), report)
        arrived = self._arrived(now, sent, lost, report)
        costs = _up_cost(sent, report, away), _down_cost(report, away)
        self._forecast.add(Sample(now, away, arrived, costs[0], report.result_bytes, costs[1]))
        return True

    def _arrived(self, now: float, sent: Sent, lost: Sequence[Sent], report: FrameReport) -> int:
        """Bytes on the wire that a report stands for. Of what is extra perhaps only what went ahead arrived, because
        packets are lost on the link, or do not pass in fragments. Then it is held back."""
        broken = report.layers < sent.extra_layers
        if broken or any(one.extra_layers for one in lost):
            self._extra.failed(now)
        elif sent.extra_layers:
            self._extra.succeeded()
        return sent.first_bytes if broken else sent.wire_bytes

    def budget(self, now: float, age_s: float, least_bytes: int = 1, choices: Choices | None = None) -> Budget:
        """What a frame that is handed over now may spend.

        `age_s`: since the image's stamp; what cannot be (a stamp of another clock) counts as 0. `least_bytes`: what
        the smallest epitome of this frame costs. `choices`: all that it can cost; without, only being in time counts.
        """
        self._watch(now)
        left = self._settings.deadline_s - (age_s if 0.0 <= age_s <= _PLAUSIBLE_S else 0.0)
        if now > self._asked_at:
            self._period.add(min(now - self._asked_at, PROBE_PERIOD_S))
        self._asked_at = now
        least = max(least_bytes, self._settings.min_bytes)
        self._asked = (now + left, least_bytes)
        return self._decide(now, left, least, least_bytes, choices)

    def state(self, now: float) -> LinkState:
        """What is known at `now`."""
        self._watch(now)
        low, mean, high = self._forecast.capacity()
        override = self._settings.capacity_override_kbps
        if override > 0.0:
            low = mean = high = override
        return LinkState(
            mean, self._round_trip.mean, self._edge.mean, self._encode.mean, self._flight.bytes(), low, high,
            self._hits, self._loss, self._link(now),
        )  # fmt: skip

    def _link(self, now: float) -> str:
        oldest = self._flight.oldest()
        if oldest is not None and now > oldest.due and now - self._last_report > self._settings.deadline_s:
            return DEAD
        return UNKNOWN if self._last_report == -math.inf else ALIVE

    def _decide(
        self, now: float, left: float, least: int, probe: int, choices: Choices | None = None
    ) -> Budget:
        if self._settings.max_bytes < least:
            reason = f"at most {self._settings.max_bytes} bytes are allowed, {least} are needed"
            return Budget(0, reason, cause=TOO_LARGE)
        waiting = now - self._last_sent
        if not len(self._forecast):
            busy = len(self._flight) and waiting < PROBE_PERIOD_S / 2
            if busy:
                return Budget(0, "the edge has not reported yet", cause=WAITING)
            return Budget(least, result_bytes=SMALLEST)
        if len(self._flight) >= WINDOW:
            if waiting < PROBE_PERIOD_S:
                return Budget(0, f"{len(self._flight)} frames are on their way without a report", cause=WAITING)
            return Budget(probe, result_bytes=SMALLEST)
        if self._forecast.shortest_s > left and waiting < PROBE_PERIOD_S:
            return Budget(0, self._why(left), cause=TOO_LATE)
        return self._sized(now, left, least, choices)

    def _sized(self, now: float, left: float, least: int, choices: Choices | None) -> Budget:
        """The largest size of which nothing speaks against; the smallest when the link stands still."""
        oldest = self._flight.oldest()
        elapsed = 0.0 if oldest is None else now - oldest.at
        smallest, least = least, self._hardly_dearer(left, least, choices, SLIGHT)
        view = self._view(elapsed)
        down_least, down_most = self._forecast.down_range
        if view is None or view.share < STALLED or view.chance(left, least, down_least) <= 0.0:
            return Budget(self._hardly_dearer(left, smallest, choices, SLIGHT_STILL), result_bytes=SMALLEST)
        risk, share = self._risk.value, LOAD * self._period.mean
        growth = GROWTH if self._settings.probe else CAUTIOUS_GROWTH
        seen = max(self._forecast.most_up, least)
        most = min(share / view.mean_up_cost, max(growth * seen, _next_extra(seen, choices)), self._settings.max_bytes)
        if choices is not None and choices.sizes.max() > choices.ordinary < most:
            calm = 0.0 if self._extra.holds(now) else view.most_up(CALM * left, down_least, SURE)
            most = max(choices.ordinary, min(most, calm))
        base = max(least, _most_promising(view, left, down_least, most, choices))
        chance = view.chance(left, base, down_least)
        granted = min(view.most_down(left, base, (1 - risk / 2) * chance), share / view.mean_down_cost)
        if chance < 1 - risk:
            granted = min(granted, PACKET / 2 if len(self._flight) else PACKET)
        granted = min(max(granted, down_least), GROWTH * down_most)
        up = int(max(min(view.most_up(left, min(granted, down_most), min(1 - risk, chance)), most), base))
        self._asked = (self._asked[0], base)
        return Budget(up, result_bytes=max(SMALLEST, int(granted)), repeat=self._loss > LOSS)

    def _view(self, longer_than_s: float = 0.0) -> View | None:
        override = self._settings.capacity_override_kbps
        return self._forecast.view(longer_than_s, 0.008 / override if override > 0.0 else math.nan)

    def _hardly_dearer(self, left: float, least: int, choices: Choices | None, times: float) -> int:
        """The largest size that costs hardly more than the smallest, up to so many `times` it, and may be of much more
        worth."""
        if choices is None:
            return least
        further = SLIGHT_TIME * max(left, 0.0) / self._view().mean_up_cost
        most = min(times * least, least + further, choices.ordinary, self._settings.max_bytes)
        return max(least, int(choices.sizes[choices.sizes <= most].max(initial=0)))

    def _why(self, left: float) -> str:
        if left <= 0.0:
            return f"the image is too old for the deadline of {self._settings.deadline_s * 1000:g} ms"
        return f"{left * 1000:.0f} ms remain, link and edge take {self._forecast.shortest_s * 1000:.0f} ms at least"

    def _count(self, now: float, sent: Sent, lost: int, report: FrameReport) -> None:
        """Hits, losses, and whether the promise is kept.

        Frames that could not have been smaller say nothing about sizes, unless a larger one was in front of them. Of
        lost frames those count as lost by the link whose successor was quick; others were overtaken at the edge. A
        frame without its first message is lost too: it has no results.
        """
        late, empty = now > sent.due, report.layers == 0
        for missed in (*(True,) * min(lost, WINDOW), late or empty):
            self._hits += _GAIN * ((not missed) - self._hits)
        quick = now - sent.at < 2 * self._forecast.shortest_s
        for gone in (*(1.0,) * (min(lost, WINDOW) if quick else 0), float(empty)):
            self._loss += _GAIN * (gone - self._loss)
        larger = sent.wire_bytes > sent.least or report.result_bytes > self._forecast.down_range[0]
        if larger or self._larger_at > sent.at:
            self._risk.add(missed=late)
        if larger:
            self._larger_at = now

    def _watch(self, now: float) -> None:
        """Notice a clock that went backwards: nothing measured before can be compared with what comes."""
        if now < self._now - _BACKWARDS_S:
            self._forget()
        self._now = max(self._now, now)

    def _forget(self) -> None:
        self._extra = Hold()
        self._edge, self._round_trip, self._period = SmoothedTime(), SmoothedTime(), SmoothedTime()
        self._forecast, self._flight = Forecast(), Flight()
        self._now = self._last_sent = self._last_report = self._asked_at = self._larger_at = -math.inf
        self._asked = (math.inf, 0)
        self._hits, self._loss = 1.0, 0.0


def _most_promising(view: View, within_s: float, down: float, most: float, choices: Choices | None) -> int:
    """The size of the most worth times its chance, of those up to `most` bytes; 0 when there is none."""
    if choices is None:
        return 0
    expected = view.chances(within_s, choices.sizes, down) * choices.worth
    best = np.where(choices.sizes <= most, expected, -1.0).argmax()
    return int(choices.sizes[best]) if choices.sizes[best] <= most else 0


def _next_extra(seen: int, choices: Choices | None) -> float:
    """The smallest size above the ordinary ones and all that was seen to arrive, if that was about the largest ordinary
    one: from there to the first picture it is far."""
    if choices is None or seen < _ABOUT * choices.ordinary:
        return 0.0
    larger = choices.sizes[choices.sizes > max(seen, choices.ordinary)]
    return float(larger.min()) if len(larger) else 0.0


def _up_cost(sent: Sent, report: FrameReport, away: float) -> float:
    """Seconds per byte from how far apart a frame's messages arrived; NaN when that says nothing."""
    rest = sent.wire_bytes - sent.first_bytes
    # None but the first may have arrived, or the edge's clock have jumped between two.
    possible = 0.0 < report.spread_s <= away - report.processing_s
    return report.spread_s / rest if rest > 0 and possible else math.nan


def _down_cost(report: FrameReport, away: float) -> float:
    possible = report.return_bytes > 0 and 0.0 <= report.return_spread_s <= away
    return report.return_spread_s / report.return_bytes if possible else math.nan
