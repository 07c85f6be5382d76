# SPDX-License-Identifier: Apache-2.0
"""How many bytes a frame may spend on the wire so that its results are back by the deadline.

A rule is told what happens and when: `sent`, `reported`, `encoded`; it is asked with `budget`. Times are seconds on
one monotonic clock of the robot's. The rule below takes the link's capacity as given and measures the rest:

    deadline = age of the image + own bytes still queued + this frame's bytes / capacity + base + edge

`base` is what remains of a measured round trip when the edge's time and the time for the frame's bytes are taken
off: delays of both ways, and the results' way back, since the edge reports after it has sent them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from nepi_ros.link.smoothing import SmoothedTime

_REMEMBERED = 256
_ECHO_TOLERANCE_S = 1e-6
_PLAUSIBLE_S = 10.0


@dataclass(frozen=True)
class BudgetSettings:
    """What the user decides. All may change between any two frames.

    capacity_kbps: what the link carries towards the edge, in thousand bits per second. deadline_s: from the
    image's stamp to its results. max_bytes: no frame may spend more. fixed_bytes: above 0, every frame may spend
    just that. silence_s: without a report for so long, what was measured is forgotten.
    """

    capacity_kbps: float = 1000.0
    deadline_s: float = 0.15
    max_bytes: int = 65535
    fixed_bytes: int = 0
    silence_s: float = 1.0


@dataclass(frozen=True)
class FrameReport:
    """What the edge reports of a frame (LinkReport), in seconds and bytes. `handover_s` is the robot's own time.

    result_bytes: what results and report cost on the wire. return_bytes, return_spread_s: how much of that came after
    the first result, and over what time; measured on the robot, 0 when it was not.
    """

    sequence: int
    handover_s: float
    processing_s: float
    bytes: int = 0
    layers: int = 0
    spread_s: float = 0.0
    missed: int = 0
    result_bytes: int = 0
    return_bytes: int = 0
    return_spread_s: float = 0.0


@dataclass(frozen=True)
class Budget:
    """Bytes on the wire for a frame; 0 says not to send it, and `reason` why, in words.

    result_bytes: what its results may cost on the way back (nepi_ros.link.returns; 0: as configured). repeat: send
    the first message once more if that fits `bytes` too.
    """

    bytes: int
    reason: str = ""
    result_bytes: int = 0
    repeat: bool = False


@dataclass(frozen=True)
class LinkState:
    """What a rule knows of the link. Times in seconds, NaN when not known; in_flight in bytes on the wire.

    low_kbps, high_kbps: what the capacity lies between, four times out of five. hit_rate: recent share of frames in
    time, loss: of frames lost, 0 to 1; NaN from a rule that does not measure them.
    """

    capacity_kbps: float
    round_trip_s: float
    edge_s: float
    encode_s: float
    in_flight: int
    low_kbps: float = math.nan
    high_kbps: float = math.nan
    hit_rate: float = math.nan
    loss: float = math.nan


@dataclass(frozen=True)
class _Sent:
    handover_s: float
    wire_bytes: int
    own_s: float
    """From the hand-over until the last byte is on the wire, as the capacity has it."""


class BudgetRule:
    """Sizes frames for a link of given capacity.

    >>> rule = BudgetRule(BudgetSettings(capacity_kbps=800, deadline_s=0.15))
    >>> rule.sent(10.0, sequence=0, wire_bytes=1000)
    >>> rule.reported(10.07, FrameReport(sequence=0, handover_s=10.0, processing_s=0.02))
    True
    >>> round(rule.state(10.1).round_trip_s, 3)
    0.05
    """

    def __init__(self, settings: BudgetSettings | None = None) -> None:
        self.settings = settings or BudgetSettings()
        self._encode = SmoothedTime()
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._queued = 0.0
        self._queued_at = 0.0
        self._last_report = float("-inf")
        self._forget()

    def encoded(self, seconds: float) -> None:
        """An image took so long from its arrival to the hand-over of its epitome."""
        self._encode.add(max(0.0, seconds))

    def sent(self, now: float, sequence: int, wire_bytes: int, first_bytes: int = 0) -> None:
        """A frame was handed over at `now`, which is what its messages say as hand-over time.

        `first_bytes`, of its first message, do not matter to this rule.
        """
        self._drain(now)
        self._queued += wire_bytes
        self._sent[sequence] = _Sent(now, wire_bytes, self._seconds(self._queued))
        self._sent.move_to_end(sequence)
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    def reported(self, now: float, report: FrameReport) -> bool:
        """Take in a report that arrives at `now`; False when it is ignored.

        Ignored is what this rule did not send (another robot's echo, a report from before a restart, a second
        one for the same frame) and what cannot be (an edge busy for longer than the frame was away).
        """
        sent = self._sent.get(report.sequence)
        if sent is None or abs(sent.handover_s - report.handover_s) > _ECHO_TOLERANCE_S:
            return False
        away = now - sent.handover_s
        if not 0.0 <= report.processing_s <= away <= _PLAUSIBLE_S:
            return False
        del self._sent[report.sequence]
        self._age(now)
        self._last_report = now
        self._round_trip.add(away - report.processing_s)
        self._base.add(max(0.0, away - report.processing_s - sent.own_s))
        self._edge.add(report.processing_s)
        return True

    def budget(self, now: float, age_s: float, least_bytes: int = 1) -> Budget:
        """What a frame that is handed over now may spend.

        `age_s`: since the image's stamp; what cannot be (a stamp of another clock) counts as 0. `least_bytes`:
        what the smallest useful epitome of this frame costs. A frame is given those rather than dropped as long
        as the mean of what was measured lets them through; only when not even that does is the budget 0.
        """
        settings = self.settings
        most = settings.fixed_bytes or settings.max_bytes
        if most < least_bytes:
            return Budget(0, f"at most {most} bytes are allowed, {least_bytes} are needed")
        if settings.fixed_bytes:
            return Budget(settings.fixed_bytes)
        self._age(now)
        self._drain(now)
        left = settings.deadline_s - (age_s if 0.0 <= age_s <= _PLAUSIBLE_S else 0.0)
        left -= self._seconds(self._queued)
        careful, hopeful = self._bytes(left, careful=True), self._bytes(left, careful=False)
        if hopeful < least_bytes:
            return Budget(0, self._why(left, hopeful, least_bytes))
        return Budget(min(max(careful, least_bytes), most))

    def state(self, now: float) -> LinkState:
        """What is known at `now`."""
        self._age(now)
        since = now - self.settings.silence_s
        in_flight = sum(sent.wire_bytes for sent in self._sent.values() if sent.handover_s > since)
        capacity, encode = self.settings.capacity_kbps, self._encode.mean
        return LinkState(capacity, self._round_trip.mean, self._edge.mean, encode, in_flight)

    def _bytes(self, left: float, careful: bool) -> int:
        """Bytes that go out in time when `left` seconds remain."""
        if not self._base.known:
            # Nothing is known of the way there and back: it may take half of the time.
            remains = left / 2
        elif careful:
            remains = left - self._base.bound - self._edge.bound
        else:
            remains = left - self._base.mean - self._edge.mean
        return max(0, int(remains * self.settings.capacity_kbps * 125))

    def _why(self, left: float, hopeful: int, least_bytes: int) -> str:
        need = f"{least_bytes} bytes are needed, {hopeful} would be in time"
        if left <= 0.0:
            return f"the image is too old for the deadline of {self.settings.deadline_s * 1000:g} ms; {need}"
        if not self._base.known:
            return f"{left * 1000:.0f} ms remain of the deadline; {need}"
        away = (self._base.mean + self._edge.mean) * 1000
        return f"{left * 1000:.0f} ms remain, link and edge take {away:.0f} ms; {need}"

    def _seconds(self, wire_bytes: float) -> float:
        rate = self.settings.capacity_kbps * 125
        return wire_bytes / rate if rate > 0.0 else 0.0

    def _drain(self, now: float) -> None:
        """Let the link take, at the present capacity, what it was given."""
        passed = max(0.0, now - self._queued_at) * self.settings.capacity_kbps * 125
        self._queued, self._queued_at = max(0.0, self._queued - passed), now

    def _age(self, now: float) -> None:
        """Forget what was measured after a silence (an outage, an edge that restarts) or a jump of the clock."""
        if abs(now - self._last_report) > self.settings.silence_s:
            self._forget()

    def _forget(self) -> None:
        self._round_trip, self._base, self._edge = SmoothedTime(), SmoothedTime(), SmoothedTime()
