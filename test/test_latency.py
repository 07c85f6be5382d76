# SPDX-License-Identifier: Apache-2.0
"""Latency and hit rate on the robot's clock."""

import math

from builtin_interfaces.msg import Time

from nepi_ros.nodes.latency import LatencyWindow, nanoseconds

MS = 1_000_000
START = 1_000_000 * MS
SEGMENTATION, DEPTH = 1, 2


def test_a_frame_is_as_late_as_its_last_result():
    window = LatencyWindow()
    window.sent(START, SEGMENTATION | DEPTH, START + 5 * MS)
    assert window.arrived(START, SEGMENTATION, START + 60 * MS) == 0.06
    assert window.latency_of(START) is None
    assert window.arrived(START, DEPTH, START + 90 * MS) == 0.09
    assert window.latency_of(START) == 0.09
    summary = window.summary(START + 100 * MS, deadline_s=0.08)
    assert summary.frames == 1 and summary.hit_rate == 0.0 and abs(summary.p50_ms - 90) < 1e-9


def test_lost_frames_miss_once_their_deadline_is_over():
    window = LatencyWindow()
    for index in range(4):
        stamp = START + index * 100 * MS
        window.sent(stamp, SEGMENTATION, stamp)
        if index != 1:
            window.arrived(stamp, SEGMENTATION, stamp + 50 * MS)
    window.sent(START + 400 * MS, SEGMENTATION, START + 400 * MS)
    summary = window.summary(START + 450 * MS, deadline_s=0.1)
    assert summary.frames == 4 and summary.hit_rate == 0.75


def test_without_epitomes_what_comes_back_counts():
    window = LatencyWindow()
    window.arrived(START, SEGMENTATION, START + 50 * MS)
    assert window.summary(START + 60 * MS, 0.1).hit_rate == 1.0


def test_stamps_of_another_clock_are_not_averaged():
    window = LatencyWindow()
    assert window.arrived(START + MS, SEGMENTATION, START) is None
    assert window.arrived(0, SEGMENTATION, START) is None
    assert not window.sent(0, SEGMENTATION, START)
    summary = window.summary(START, 0.1)
    assert summary.frames == 0 and math.isnan(summary.hit_rate) and math.isnan(summary.p50_ms)


def test_the_window_slides_and_forgets_the_future():
    window = LatencyWindow(window_s=1.0)
    window.arrived(START, SEGMENTATION, START + 50 * MS)
    assert window.summary(START + 1101 * MS, 0.1).frames == 0
    window.arrived(START + 2000 * MS, SEGMENTATION, START + 2050 * MS)
    assert window.summary(START, 0.1).frames == 0  # the clock jumped back


def test_frames_are_kept_until_they_are_decided():
    window = LatencyWindow(window_s=10.0)
    for index in range(10):
        stamp = START + index * 1000 * MS
        window.sent(stamp, SEGMENTATION, stamp)
    window.arrived(START + 9000 * MS, SEGMENTATION, START + 9050 * MS)
    assert window.summary(START + 15_000 * MS, deadline_s=20.0).hit_rate == 1.0
    summary = window.summary(START + 29_500 * MS, deadline_s=20.0)
    assert summary.frames == 10 and summary.hit_rate == 0.1


def test_what_is_too_old_to_be_timed_is_ancient_where_stamps_are_of_this_clock():
    window = LatencyWindow(plausible_s=60.0)
    assert not window.is_ancient(START - 61_000 * MS, START)
    window.sent(START, SEGMENTATION, START)
    assert window.is_ancient(START - 61_000 * MS, START) and not window.is_ancient(START - 59_000 * MS, START)
    assert not window.is_ancient(START + 1000 * MS, START)
    window.sent(0, SEGMENTATION, START)
    assert not window.is_ancient(START - 61_000 * MS, START)


def test_a_stamp_before_the_epoch_is_read_for_what_it_says():
    assert nanoseconds(Time(sec=-1, nanosec=5)) == -999_999_995
