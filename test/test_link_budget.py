# SPDX-License-Identifier: Apache-2.0
"""The budget of a frame: what is known of the link, what is not, and what cannot be."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from nepi_ros.link.bottleneck import Bottleneck
from nepi_ros.link.budget import BudgetRule, BudgetSettings, FrameReport
from nepi_ros.link.trace import ConstantRate

SETTINGS = BudgetSettings(capacity_kbps=800.0, deadline_s=0.15)
BYTES_PER_S = 100_000.0


def exchange(
    rule: BudgetRule, now: float, sequence: int, size: int = 500, base: float = 0.04, edge: float = 0.02
) -> None:
    """One frame there and its report back over a link of the capacity that the rule believes in."""
    rule.sent(now, sequence, size)
    away = size / BYTES_PER_S + base + edge
    assert rule.reported(now + away, FrameReport(sequence, now, edge))


def settled(base: float = 0.04, edge: float = 0.02, count: int = 60) -> tuple[BudgetRule, float]:
    rule, now = BudgetRule(SETTINGS), 100.0
    for sequence in range(count):
        exchange(rule, now, sequence, base=base, edge=edge)
        now += 0.1
    return rule, now


def test_half_of_the_time_before_anything_is_known() -> None:
    assert BudgetRule(SETTINGS).budget(5.0, age_s=0.05).bytes == pytest.approx(0.05 * BYTES_PER_S, abs=1)


def test_on_a_steady_link_what_is_measured_is_taken_off() -> None:
    rule, now = settled()
    state = rule.state(now)
    assert state.round_trip_s == pytest.approx(0.045)
    assert state.edge_s == pytest.approx(0.02)
    left = 0.15 - 0.03 - 0.04 - 0.02
    assert rule.budget(now, age_s=0.03).bytes == pytest.approx(left * BYTES_PER_S, rel=0.01)


def test_the_base_does_not_depend_on_the_size_of_the_frames_measured() -> None:
    rule, now = BudgetRule(SETTINGS), 100.0
    for sequence in range(60):
        exchange(rule, now, sequence, size=200 + 100 * (sequence % 20))
        now += 0.1
    assert rule.budget(now, 0.03).bytes == pytest.approx(0.06 * BYTES_PER_S, rel=0.02)


def test_variation_makes_careful() -> None:
    rule, now = BudgetRule(SETTINGS), 100.0
    for sequence in range(200):
        exchange(rule, now, sequence, base=0.04 + 0.02 * (sequence % 2))
        now += 0.1
    assert 0.02 * BYTES_PER_S < rule.budget(now, 0.03).bytes < 0.045 * BYTES_PER_S


def test_own_bytes_that_still_queue_are_taken_off() -> None:
    rule, now = settled()
    before = rule.budget(now, 0.03).bytes
    rule.sent(now, 1000, 3000)
    assert rule.budget(now, 0.03).bytes == pytest.approx(before - 3000, abs=50)
    assert rule.budget(now + 0.02, 0.03).bytes == pytest.approx(before - 1000, abs=50)
    assert rule.budget(now + 0.05, 0.03).bytes == pytest.approx(before, abs=50)
    assert rule.state(now + 0.05).in_flight == 3000


def test_degrades_before_it_skips() -> None:
    rule, now = settled(base=0.07)
    rule._base._deviation = 0.02  # careful: 0.15 - 0.04 - 0.11 - 0.02 is less than nothing
    assert rule.budget(now, 0.04, least_bytes=400).bytes == 400


def test_skips_what_cannot_be_in_time_and_says_why() -> None:
    rule, now = settled(base=0.12)
    budget = rule.budget(now, 0.03, least_bytes=400)
    assert budget.bytes == 0
    assert budget.reason == "120 ms remain, link and edge take 140 ms; 400 bytes are needed, 0 would be in time"
    assert "too old" in rule.budget(now, 0.2, 400).reason


def test_settings_count_at_once() -> None:
    rule, now = settled()
    rule.settings = replace(SETTINGS, deadline_s=0.25)
    assert rule.budget(now, 0.03).bytes == pytest.approx(0.16 * BYTES_PER_S, rel=0.02)
    rule.settings = replace(SETTINGS, max_bytes=1234)
    assert rule.budget(now, 0.03).bytes == 1234
    rule.settings = replace(SETTINGS, capacity_kbps=0.0)
    assert rule.budget(now, 0.03).bytes == 0
    rule.settings = replace(SETTINGS, fixed_bytes=777)
    assert rule.budget(now, 5.0).bytes == 777
    assert rule.budget(now, 0.0, least_bytes=800).reason == "at most 777 bytes are allowed, 800 are needed"


def test_silence_forgets() -> None:
    rule, now = settled(base=0.12)
    assert rule.budget(now, 0.0, 1500).bytes == 0
    later = now + 1.1
    assert rule.budget(later, 0.0, 1000).bytes == pytest.approx(0.075 * BYTES_PER_S, abs=1)
    assert math.isnan(rule.state(later).round_trip_s)


@pytest.mark.parametrize(
    ("report", "arrival"),
    [
        (FrameReport(8, 100.0, 0.02), 100.1),  # never sent
        (FrameReport(7, 99.0, 0.02), 100.1),  # another encoder's echo
        (FrameReport(7, 3700.0, 0.02), 100.1),  # from before the clock jumped
        (FrameReport(7, 100.0, 0.2), 100.1),  # an edge busy for longer than the frame was away
        (FrameReport(7, 100.0, -0.1), 100.1),
        (FrameReport(7, 100.0, math.nan), 100.1),
        (FrameReport(7, 100.0, 0.0), 99.9),  # back before it left
        (FrameReport(7, 100.0, 0.0), 3700.0),
    ],
)
def test_impossible_reports_are_ignored(report: FrameReport, arrival: float) -> None:
    rule = BudgetRule(SETTINGS)
    rule.sent(100.0, 7, 500)
    assert not rule.reported(arrival, report)
    assert math.isnan(rule.state(100.1).round_trip_s)


def test_a_second_report_of_a_frame_is_ignored() -> None:
    rule = BudgetRule(SETTINGS)
    exchange(rule, 100.0, 1)
    assert not rule.reported(100.2, FrameReport(1, 100.0, 0.02))


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_jump_of_the_clock_heals(jump: float) -> None:
    rule, now = settled()
    now += jump
    for sequence in range(1000, 1060):
        rule.budget(now, 0.03)
        exchange(rule, now, sequence)
        now += 0.1
    assert rule.budget(now, 0.03).bytes == pytest.approx(0.06 * BYTES_PER_S, rel=0.01)


@pytest.mark.parametrize("age", [-1.0, 1e9, math.nan])
def test_stamps_of_another_clock_count_as_fresh(age: float) -> None:
    rule, now = settled()
    assert rule.budget(now, age) == rule.budget(now, 0.0)


def test_frames_that_are_never_reported_are_forgotten() -> None:
    rule = BudgetRule(SETTINGS)
    for sequence in range(10_000):
        rule.sent(sequence * 0.01, sequence, 100)
    assert len(rule._sent) <= 256


@pytest.mark.parametrize("kbps", [200.0, 500.0, 2000.0])
def test_frames_of_the_budget_are_in_time_on_a_real_bottleneck(kbps: float) -> None:
    """Closed loop: what the rule grants goes through a queue and a delay and comes back."""
    rule = BudgetRule(replace(SETTINGS, capacity_kbps=kbps))
    link: Bottleneck[tuple[int, float]] = Bottleneck(ConstantRate(kbps), delay_s=0.02)
    hits, sizes = 0, []
    for sequence in range(100):
        now = 50.0 + sequence * 0.1
        size = rule.budget(now, age_s=0.02).bytes
        sizes.append(size)
        link.send(now, [size], (sequence, now))
        rule.sent(now, sequence, size)
        arrival = link.due()
        assert link.receive(arrival) == [(sequence, now)]
        back = arrival + 0.015 + 0.02  # the edge's time, and the results' way back
        rule.reported(back, FrameReport(sequence, now, 0.015))
        hits += back - (now - 0.02) <= 0.15
    assert hits >= 99
    assert sizes[-1] == pytest.approx((0.15 - 0.02 - 0.02 - 0.015 - 0.02) * kbps * 125, rel=0.05)
