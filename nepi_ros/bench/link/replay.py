# SPDX-License-Identifier: Apache-2.0
"""Robots, an edge and the link between them, event by event, as the nodes do it.

    capture -> encode -> [up] -> frames put together, newest wins -> networks -> results with report -> [down] -> robot

Each direction is a Bottleneck: drop-tail queue, recorded opportunities, delay. All robots share both directions and
each has a place of its own at the edge. A frame waits `assembly_s` for its other messages (edge_node's assembly_ms).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf, nan
from typing import Any

from nepi_ros.bench.link.payloads import Option, Packets, Payloads
from nepi_ros.link.bottleneck import Bottleneck
from nepi_ros.link.budget import PICTURE_PATIENCE, Choices, FrameReport
from nepi_ros.link.control import Rule
from nepi_ros.link.returns import UNLIMITED
from nepi_ros.link.trace import Schedule

_APART_S = 1e-6  # between messages that come at once: a real edge's clock tells them apart
_CDR_SAVES = 160  # of a message's first packet: all headers, IP to RTPS


@dataclass(frozen=True)
class Conditions:
    """What surrounds the methods. Times in seconds; `loss` is the probability of each packet, both ways."""

    deadline_s: float
    rtt_s: float
    fps: float
    encode_s: float
    edge_s: float
    assembly_s: float = 0.02
    queue_bytes: int = 65536
    loss: float = 0.0


@dataclass
class Outcome:
    """What became of one frame: when it was captured, bytes granted and sent, what came back and when (NaN: never)."""

    captured: float
    budget: int = 0
    sent_bytes: int = 0
    result_bytes: int = 0
    worth: int = 0
    step: int = 0
    latency: float = nan
    reason: str = ""


@dataclass
class Robot:
    """A method at work: its rule, and for each frame the options it may send, smallest first, with their worth."""

    rule: Rule
    options: Sequence[tuple[Option, ...]]
    choices: Sequence[Choices]
    offset_s: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    decision_s: list[float] = field(default_factory=list)


@dataclass
class _Flight:
    """A frame on its way, and what the edge has of it."""

    robot: int
    sequence: int
    handover: float
    option: Option
    granted: int
    messages: int
    arrived: set[int] = field(default_factory=set)
    bytes: int = 0
    first: float = 0.0
    last: float = 0.0
    missed: int = 0
    report: FrameReport | None = None
    awaited: int = 0
    back: int = 0
    back_first: tuple[float, int] = (nan, 0)


@dataclass
class _Place:
    """A robot's place at the edge (nepi_ros.nodes.assembler)."""

    newest: int = -1
    reported: int = -1
    open: _Flight | None = None
    ready: _Flight | None = None
    busy: bool = False


class Replay:
    """One run. `clock` measures decisions (None: they are not measured)."""

    def __init__(
        self,
        robots: Sequence[Robot],
        payloads: Payloads,
        up: Schedule,
        down: Schedule,
        conditions: Conditions,
        clock: Callable[[], float] | None = None,
    ) -> None:
        c = conditions
        self._robots, self._payloads, self._conditions, self._clock = robots, payloads, c, clock
        self._up: Bottleneck[Any] = Bottleneck(up, c.rtt_s / 2, c.queue_bytes, c.loss, seed=1)
        self._down: Bottleneck[Any] = Bottleneck(down, c.rtt_s / 2, c.queue_bytes, c.loss, seed=2)
        self._places = [_Place() for _ in robots]
        self._events: list[tuple[float, int, Callable[..., None], tuple]] = []
        self._count = 0

    def run(self, seconds: float) -> None:
        """Capture frames for so long, and wait for what is still on its way a deadline later."""
        period = 1 / self._conditions.fps
        for robot in range(len(self._robots)):
            self._at(self._robots[robot].offset_s + self._conditions.encode_s, self._hand_over, robot, 0)
        end = seconds + self._conditions.deadline_s
        while True:
            next_up, next_down = self._up.due(), self._down.due()
            up, down = inf if next_up is None else next_up, inf if next_down is None else next_down
            own = self._events[0][0] if self._events else inf
            now = min(up, down, own)
            if now > end:
                return
            if now == up:
                for flight, message in self._up.receive(now):
                    self._arrive(now, flight, message)
            elif now == down:
                for arrival in self._down.receive(now):
                    self._return(now, *arrival)
            else:
                _, _, act, arguments = heapq.heappop(self._events)
                act(now, *arguments)
                if act == self._hand_over and (arguments[1] + 1) * period < seconds:
                    robot, number = arguments[0], arguments[1] + 1
                    start = self._robots[robot].offset_s + self._conditions.encode_s
                    self._at(start + number * period, self._hand_over, robot, number)

    def _at(self, time: float, act: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._events, (time, self._count, act, arguments))

    # On the robot

    def _hand_over(self, now: float, robot: int, number: int) -> None:
        me, age = self._robots[robot], self._conditions.encode_s
        options = me.options[number % len(me.options)]
        me.rule.encoded(age)
        begun = self._clock() if self._clock else 0.0
        budget = me.rule.budget(now, age, options[0].wire, me.choices[number % len(me.choices)])
        if self._clock:
            me.decision_s.append(self._clock() - begun)
        choice = next((option for option in reversed(options) if option.wire <= budget.bytes), None)
        outcome = Outcome(now - age, budget.bytes, reason=budget.reason)
        me.outcomes.append(outcome)
        if choice is not None:
            messages, first = list(choice.messages), sum(choice.messages[0])
            if budget.repeat and choice.wire + first <= budget.bytes:
                messages, first = [*messages, messages[0]], 2 * first
            outcome.sent_bytes = sum(map(sum, messages))
            me.rule.sent(now, number, outcome.sent_bytes, first, choice.worth[-1] if choice.picture else 0)
        if choice is None:
            return
        flight = _Flight(robot, number, now, choice, budget.result_bytes, len(choice.messages))
        for place, sizes in enumerate(messages):
            self._up.send(now, sizes, (flight, place % len(choice.messages)))

    def _return(self, now: float, flight: _Flight, size: int, last: bool) -> None:
        """A message of a frame's results has arrived on the robot; the `last` of them has the report."""
        me = self._robots[flight.robot]
        outcome = me.outcomes[flight.sequence]
        if not flight.back:
            flight.back_first = (now, size)
        flight.back += 1
        whole = flight.back == flight.awaited
        if whole:
            outcome.latency = now - outcome.captured
        if last:
            begun, first = flight.back_first
            spread = {"return_bytes": flight.report.result_bytes - first, "return_spread_s": now - begun}
            me.rule.reported(now, replace(flight.report, **spread) if whole else flight.report)

    # On the edge

    def _arrive(self, now: float, flight: _Flight, message: int) -> None:
        place = self._places[flight.robot]
        if flight.sequence > place.newest:
            if place.open is not None:
                place.ready = place.open
            place.newest, place.open = flight.sequence, flight
            flight.first = now
            if flight.messages > 1:
                patience = PICTURE_PATIENCE if flight.option.picture else 1.0
                self._at(now + patience * self._conditions.assembly_s, self._waited, flight)
        elif place.open is not flight or message in flight.arrived:
            return
        flight.last = max(now, flight.last + _APART_S) if flight.arrived else now
        flight.arrived.add(message)
        flight.bytes += sum(flight.option.messages[message]) - _CDR_SAVES
        if flight.option.decoded(flight.arrived) == flight.option.worth[-1]:
            place.ready, place.open = flight, None
        self._work(now, flight.robot)

    def _waited(self, now: float, flight: _Flight) -> None:
        place = self._places[flight.robot]
        if place.open is flight:
            place.ready, place.open = flight, None
            self._work(now, flight.robot)

    def _work(self, now: float, robot: int) -> None:
        place = self._places[robot]
        if place.busy or place.ready is None:
            return
        flight, place.ready, place.busy = place.ready, None, True
        flight.missed, place.reported = flight.sequence - place.reported - 1, flight.sequence
        self._at(now + self._conditions.edge_s, self._answer, flight)

    def _answer(self, now: float, flight: _Flight) -> None:
        """The networks are done with a frame: its results go out, or a report alone when nothing could be decoded."""
        outcome = self._robots[flight.robot].outcomes[flight.sequence]
        outcome.worth = flight.option.decoded(flight.arrived)
        messages: Sequence[Packets] = (self._payloads.report,)
        if outcome.worth:
            frame = flight.sequence % len(self._payloads.results)
            outcome.step = self._step(frame, flight.granted)
            messages = self._payloads.results[frame][outcome.step]
            flight.awaited = len(messages)
            outcome.result_bytes = sum(map(sum, messages))
        flight.report = FrameReport(
            flight.sequence, flight.handover, now - flight.last, flight.bytes, outcome.worth,
            flight.last - flight.first, flight.missed, sum(map(sum, messages)),
        )  # fmt: skip
        for number, sizes in enumerate(messages, 1):
            self._down.send(now, sizes, (flight, sum(sizes), number == len(messages)))
        self._places[flight.robot].busy = False
        self._work(now, flight.robot)

    def _step(self, frame: int, granted: int) -> int:
        sizes = self._payloads.result_wire[frame]
        if granted == UNLIMITED:
            return 0
        return next((step for step, size in enumerate(sizes) if size <= granted), len(sizes) - 1)
