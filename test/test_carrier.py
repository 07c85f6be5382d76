# SPDX-License-Identifier: Apache-2.0
"""The emulated link in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from ros_process import wait_until

from nepi_ros.link.trace import ConstantRate, Schedule, Trace
from nepi_ros.link.wire import wire_bytes
from nepi_ros.nodes.carrier import Carrier

SETTINGS = {"delay_s": 0.02, "queue_bytes": 10**6, "loss": 0.0}


class Line:
    """A carrier and what came out of it, with arrival times."""

    def __init__(self, schedule: Schedule) -> None:
        self.arrived: list[tuple[float, object]] = []
        self.carrier: Carrier[object] = Carrier("line", self._take, schedule, **SETTINGS, seed=0)

    def _take(self, item: object) -> None:
        self.arrived.append((time.monotonic(), item))


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(ConstantRate(1000))
    yield line
    line.carrier.close()


def test_arrives_when_it_is_due(line: Line) -> None:
    errors = []
    for number in range(20):
        sent = time.monotonic()
        line.carrier.send(1068, number)
        wait_until(lambda number=number: len(line.arrived) > number, "the item", 2.0)
        errors.append(line.arrived[-1][0] - sent - 0.02 - wire_bytes(1068) * 8e-6)
    # Never early, and late only by what waking a thread takes; the median forgives a busy machine.
    assert min(errors) >= -1e-4 and np.median(errors) < 0.003


def test_order_and_rate(line: Line) -> None:
    sent = time.monotonic()
    for number in range(30):
        line.carrier.send(1068, number)
    wait_until(lambda: len(line.arrived) == 30, "all items", 3.0)
    assert [item for _, item in line.arrived] == list(range(30))
    assert line.arrived[-1][0] - sent == pytest.approx(0.02 + 30 * wire_bytes(1068) * 8e-6, abs=0.02)


def test_an_earlier_event_wakes_the_sleeper(line: Line) -> None:
    line.carrier.change(ConstantRate(1), **SETTINGS)
    line.carrier.send(1068, "slow")  # ten seconds
    time.sleep(0.05)
    changed = time.monotonic()
    line.carrier.change(ConstantRate(1000), **SETTINGS)
    wait_until(lambda: line.arrived, "the item", 2.0)
    assert line.arrived[0][0] - changed < 0.2


def test_a_trace_begins_with_the_first_item() -> None:
    line = Line(Trace(np.array([10, 100_000])))
    time.sleep(0.1)  # an opportunity that passed before the first item would be lost
    line.carrier.send(1000, "first")
    wait_until(lambda: line.arrived, "the item", 2.0)
    line.carrier.close()


def test_close_delivers_nothing_more(line: Line) -> None:
    line.carrier.send(1068, "late")
    line.carrier.close()
    time.sleep(0.06)
    assert line.arrived == []


def test_counters(line: Line) -> None:
    line.carrier.send(1068, "a")
    counters, queued = line.carrier.counters()
    assert (counters.items_sent, counters.bytes_sent, queued) == (1, 1228, 1228)
    wait_until(lambda: line.carrier.counters()[0].items_arrived == 1, "the item", 2.0)
    assert line.carrier.counters()[1] == 0
