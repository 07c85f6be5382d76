# SPDX-License-Identifier: Apache-2.0
"""What could at best have been done with each frame by somebody who knows the trace."""

from __future__ import annotations

from collections.abc import Sequence

from nepi_ros.bench.link.payloads import Option, Payloads
from nepi_ros.bench.link.replay import Conditions, Outcome
from nepi_ros.link.trace import Schedule


def oracle(
    options: Sequence[tuple[Option, ...]],
    accuracy: Sequence[Sequence[float]],
    payloads: Payloads,
    up: Schedule,
    down: Schedule,
    conditions: Conditions,
    seconds: float,
) -> list[Outcome]:
    """For every frame the most accurate of all prefixes and result sizes whose results are back in time.

    Each frame is judged as if it were alone on the link, both ways: no frame waits behind an earlier one. That is
    more than any sender can have, since frames do share the link, so the oracle bounds every method from above, and
    it is not limited by queues of its own making. The edge waits for all of a frame. Without loss.
    """
    outcomes = []
    for number in range(_frames(seconds, conditions.fps)):
        captured = number / conditions.fps
        frame = number % len(options)
        outcomes.append(_best(captured, options[frame], accuracy, payloads, frame, up, down, conditions))
    return outcomes


def _frames(seconds: float, fps: float) -> int:
    count = int(seconds * fps)
    return count if count / fps >= seconds else count + 1


def _best(
    captured: float,
    options: tuple[Option, ...],
    accuracy: Sequence[Sequence[float]],
    payloads: Payloads,
    frame: int,
    up: Schedule,
    down: Schedule,
    c: Conditions,
) -> Outcome:
    handover, due = captured + c.encode_s, captured + c.deadline_s
    results, best = payloads.results[frame], Outcome(captured)
    value = 0.0
    for option in reversed(options):
        worth = option.worth[-1]
        if accuracy[worth][0] <= value:
            continue
        arrival = _through(up, handover, option.messages) + c.rtt_s / 2
        if arrival + c.edge_s + c.rtt_s / 2 > due:
            continue
        for step, messages in enumerate(results):
            if accuracy[worth][step] <= value:
                continue
            back = _through(down, arrival + c.edge_s, messages) + c.rtt_s / 2
            if back <= due:
                value = accuracy[worth][step]
                sizes = option.wire, payloads.result_wire[frame][step]
                best = Outcome(captured, option.wire, *sizes, worth, step, back - captured)
    return best


def _through(link: Schedule, start: float, messages: tuple[tuple[int, ...], ...]) -> float:
    """When the last byte of messages handed to an empty link at `start` has left its queue."""
    server = link.server(start)
    finish = start
    for sizes in messages:
        for size in sizes:
            finish = server.finish(start, size)
    return finish
