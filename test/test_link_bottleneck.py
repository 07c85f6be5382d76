# SPDX-License-Identifier: Apache-2.0
"""The bottleneck: order, delay, queue, loss, and changes while it works."""

from __future__ import annotations

import numpy as np
import pytest

from nepi_ros.link.bottleneck import Bottleneck
from nepi_ros.link.trace import ConstantRate, Trace

RATE = ConstantRate(800)  # 100,000 bytes per second


def drain(link: Bottleneck, until: float = 1e6) -> list[tuple[float, object]]:
    """Everything that arrives, with the time at which `due` announces it."""
    arrivals = []
    while (due := link.due()) is not None and due <= until:
        items = link.receive(due)
        assert items, "due announced what does not arrive"
        arrivals.extend((due, item) for item in items)
    return arrivals


def test_arrival_is_rate_then_delay() -> None:
    link = Bottleneck(RATE, delay_s=0.02)
    assert link.send(1.0, [1000], "a") and link.send(1.0, [500], "b")
    assert drain(link) == [(pytest.approx(1.03), "a"), (pytest.approx(1.035), "b")]


def test_not_a_moment_early() -> None:
    link = Bottleneck(RATE, delay_s=0.02)
    link.send(1.0, [1000], "a")
    due = link.due()
    assert link.receive(due - 1e-6) == [] and link.receive(due) == ["a"] and link.due() is None


def test_a_message_arrives_with_its_last_packet() -> None:
    link = Bottleneck(RATE)
    link.send(0.0, [1000, 1000, 200], "large")
    assert drain(link) == [(pytest.approx(0.022), "large")]


def test_queue_drops_what_does_not_fit() -> None:
    link = Bottleneck(RATE, queue_bytes=2500)
    accepted = [link.send(0.0, [1000], name) for name in "abc"]
    assert accepted == [True, True, False]
    assert link.queued_bytes(0.0) == 2000
    assert link.send(0.0101, [1000], "d")  # "a" has left
    assert [item for _, item in drain(link)] == ["a", "b", "d"]
    assert link.counters.packets_dropped == 1 and link.counters.items_lost == 1


def test_a_message_without_one_of_its_packets_is_lost_but_uses_the_link() -> None:
    link = Bottleneck(RATE, queue_bytes=2500)
    assert not link.send(0.0, [1000, 1000, 1000], "large")
    assert link.send(0.0, [500], "small")
    assert drain(link) == [(pytest.approx(0.025), "small")]
    assert link.counters.bytes_served == 2500


def test_loss_is_seeded_and_as_frequent_as_told() -> None:
    def lost(seed: int) -> list[int]:
        link = Bottleneck(ConstantRate(1e6), loss=0.1, seed=seed, queue_bytes=10**9)
        for number in range(5000):
            link.send(number * 0.001, [100], number)
        there = {item for _, item in drain(link)}
        return [number for number in range(5000) if number not in there]

    assert lost(1) == lost(1) != lost(2)
    assert 400 < len(lost(1)) < 600


def test_loss_falls_on_packets() -> None:
    link = Bottleneck(ConstantRate(1e6), loss=0.1, queue_bytes=10**9)
    for number in range(2000):
        link.send(number * 0.001, [100] * 5, number)
    share = len(drain(link)) / 2000
    assert share == pytest.approx(0.9**5, abs=0.04)
    assert link.counters.bytes_served == 2000 * 500


def test_trace() -> None:
    link = Bottleneck(Trace(np.array([5, 10])), delay_s=0.1, start=50.0)
    link.send(50.0, [1500], "a")
    link.send(50.011, [1500], "b")
    assert drain(link) == [(pytest.approx(50.105), "a"), (pytest.approx(50.115), "b")]


def test_faster_from_now_on() -> None:
    link = Bottleneck(RATE, queue_bytes=10**6)
    link.send(0.0, [100_000], "a")
    link.send(0.0, [100_000], "b")
    assert link.due() == pytest.approx(1.0)
    link.change(0.5, ConstantRate(80_000))
    assert drain(link) == [(pytest.approx(0.51), "a"), (pytest.approx(0.52), "b")]


def test_outage_and_return() -> None:
    link = Bottleneck(ConstantRate(0), queue_bytes=2000)
    link.send(0.0, [1000], "a")
    assert link.due() == float("inf") and link.receive(1e9) == []
    link = Bottleneck(RATE, queue_bytes=2000)
    link.change(1.0, ConstantRate(0))
    assert link.send(1.0, [1000], "a") and link.send(1.0, [1000], "b") and not link.send(1.0, [1000], "c")
    link.change(5.0, RATE)
    assert drain(link) == [(pytest.approx(5.01), "a"), (pytest.approx(5.02), "b")]


def test_a_shorter_delay_overtakes_nothing() -> None:
    link = Bottleneck(RATE, delay_s=1.0)
    link.send(0.0, [100], "a")
    link.receive(0.1)
    link.change(0.1, delay_s=0.0)
    link.send(0.1, [100], "b")
    assert [item for _, item in drain(link)] == ["a", "b"]


def test_other_changes_leave_the_rate_alone() -> None:
    link = Bottleneck(Trace(np.array([5, 10])))
    link.send(0.0, [1500], "a")
    link.change(0.001, loss=1.0, queue_bytes=3000, delay_s=0.1)
    link.send(0.001, [1500], "b")
    assert drain(link) == [(pytest.approx(0.105), "a")]


def test_counters() -> None:
    link = Bottleneck(RATE, queue_bytes=1500)
    for number in range(3):
        link.send(0.0, [700], number)
    drain(link)
    counters = link.counters
    assert (counters.items_sent, counters.items_arrived, counters.items_lost) == (3, 2, 1)
    assert (counters.bytes_sent, counters.bytes_served, counters.packets_dropped) == (2100, 1400, 1)
