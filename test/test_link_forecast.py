# SPDX-License-Identifier: Apache-2.0
"""Forecasts from samples, adaptive risk, frames on their way, the way back, synthetic links."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nepi_ros.link.conformal import AdaptiveRisk
from nepi_ros.link.flight import Flight, Sent
from nepi_ros.link.forecast import Forecast, Sample
from nepi_ros.link.returns import SCALES, SMALLEST, UNLIMITED, fitting, grouped, ladder, named
from nepi_ros.link.synthetic import LinkModel, write_trace
from nepi_ros.link.trace import Trace

NAN = math.nan


def filled(*samples: tuple[float, int, float]) -> Forecast:
    """From (away_s, up_bytes, up_cost), a millisecond apart."""
    forecast = Forecast()
    for k, (away, up, cost) in enumerate(samples):
        forecast.add(Sample(k / 1000, away, up, cost, 1000, 1e-6))
    return forecast


def test_a_quantile_is_what_so_many_samples_reach() -> None:
    view = filled(*((0.05 + 0.01 * k, 1000, 1e-5) for k in range(10))).view()
    # In sample k a frame of n bytes takes 50 + 10 k ms + (n - 1000) * 10 us.
    assert view.most_up(0.1, down=1000, share=0.5) == pytest.approx(1000 + (0.1 - 0.09) / 1e-5, abs=1100)
    assert view.chance(0.0951, up=1000, down=1000) == pytest.approx(0.5, abs=0.01)
    assert view.chance(0.0951, up=2000, down=1000) == pytest.approx(0.4, abs=0.01)
    assert view.chance(0.0951, up=1000, down=11_000) == pytest.approx(0.4, abs=0.01)


def test_quantile_and_probability_agree() -> None:
    random = np.random.default_rng(1)
    view = filled(*((random.gamma(4) * 0.02, int(random.integers(400, 4000)), 1e-5) for _ in range(60))).view()
    for share in (0.2, 0.5, 0.8, 0.95):
        most = view.most_up(0.2, 1000, share)
        assert view.chance(0.2 + 1e-9, most, 1000) >= share - 1e-6
        assert view.chance(0.2, most + 1, 1000) < share + 1e-6


def test_recent_samples_count_more() -> None:
    forecast = Forecast(memory_s=1.0)
    for at, away in ((0.0, 0.05), (5.0, 0.5)):
        forecast.add(Sample(at, away, 1000, 1e-5, 1000, 1e-5))
    assert forecast.view().chance(0.1, 1000, 1000) == pytest.approx(math.exp(-5) / (1 + math.exp(-5)))


def test_application_limited_samples_take_the_slope_of_all() -> None:
    slope = 2e-5
    forecast = filled(*((0.05 + slope * up, up, NAN) for up in (400, 1600, 2800, 1000)))
    assert forecast.view().up_cost == pytest.approx([slope] * 4, rel=0.2)
    assert all(math.isnan(value) for value in forecast.capacity())
    forecast = filled((0.05, 400, NAN), (0.05, 400, NAN))  # nothing to tell a slope from
    assert forecast.view().up_cost.max() < 1e-8


def test_one_larger_frame_that_was_late_does_not_make_bytes_dear_for_long() -> None:
    # 100 bytes more took 100 ms longer: a line through them would have a byte cost a millisecond.
    assert filled((0.15, 500, NAN), *[(0.05, 400, NAN)] * 40).view().up_cost.max() < 1e-4


def test_capacity_is_the_bytes_over_their_spread() -> None:
    low, mean, high = filled((0.05, 3000, 8e-6), (0.05, 3000, 8e-6), (0.05, 400, NAN)).capacity()
    assert (low, mean, high) == pytest.approx((1000, 1000, 1000))


def test_what_a_frame_in_flight_has_outlasted_is_ruled_out() -> None:
    forecast = filled((0.05, 1000, 1e-5), (0.2, 1000, 1e-5))
    assert forecast.view(0.1).share == pytest.approx(0.5, abs=0.01)
    assert forecast.view(0.3) is None and Forecast().view() is None


def test_the_table_forgets_the_oldest() -> None:
    forecast = filled(*((0.5, 9000, 1e-5),), *((0.1, 1000, 1e-5),) * 64)
    assert len(forecast) == 64 and forecast.most_up == 1000


@pytest.mark.parametrize("bias", [0.0, 0.2, -0.03])
def test_adaptive_risk_keeps_the_promise_of_a_wrong_forecast(bias: float) -> None:
    """A forecast whose real risk is off by `bias`: the share of misses comes out as promised all the same."""
    risk, random = AdaptiveRisk(promised=0.05), np.random.default_rng(2)
    misses = []
    for _ in range(20_000):
        misses.append(bool(random.random() < risk.value + bias * risk.value / 0.05 * 0.1))
        risk.add(misses[-1])
    # Not closer, because the lower limit is reached now and then.
    assert np.mean(misses) == pytest.approx(0.05, abs=0.01)


def test_adaptive_risk_stays_within_limits() -> None:
    risk = AdaptiveRisk(promised=0.05)
    for _ in range(1000):
        risk.add(missed=True)
    assert risk.value == pytest.approx(0.4 * 0.05)
    for _ in range(10_000):
        risk.add(missed=False)
    assert risk.value == 0.5
    risk.promise(0.1)
    assert risk.value == 0.1


def test_frames_before_a_reported_one_are_lost() -> None:
    flight = Flight()
    for number in range(4):
        flight.add(Sent(number, number * 0.1, 500, 500, 1.0, 400))
    assert [sent.sequence for sent in flight.land(2)] == [0, 1]
    assert len(flight) == 1 and flight.bytes() == 500 and flight.oldest().at == pytest.approx(0.3)
    for number in range(1000):
        flight.add(Sent(number, number * 0.1, 500, 500, 1.0, 400))
    assert len(flight) == 256


def test_the_last_task_gives_way_first() -> None:
    steps = ladder(("segmentation", "classification", "depth"))
    assert steps[0] == {"segmentation": 1.0, "depth": 1.0, "classification": 1.0}
    assert steps[1] == {"segmentation": 1.0, "depth": 1.0, "classification": 0.75}
    assert steps[5] == {"segmentation": 1.0, "depth": 0.75, "classification": 0.25}
    assert steps[-1] == {"segmentation": 0.25, "depth": 0.25, "classification": 0.25}
    areas = [sum(scale**2 for scale in step.values()) for step in steps]
    assert areas == sorted(areas, reverse=True)
    assert ladder(()) == ({},)


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ({}, ((),)),
        ({"a": 5000}, (("a",),)),
        ({"a": 600, "b": 600}, (("a", "b"),)),
        ({"a": 600, "b": 601}, (("a",), ("b",))),
        ({"a": 5000, "b": 600, "c": 600}, (("a",), ("b", "c"))),
    ],
)
def test_results_share_as_few_messages_as_hold_them(sizes: dict[str, int], groups: object) -> None:
    assert grouped(sizes, room=1200) == groups


def test_a_class_is_named_at_least() -> None:
    assert [named(5, scale) for scale in SCALES] == [5, 4, 2, 2, 1] and named(1, 0.25) == 1


def test_results_are_cut_to_the_grant() -> None:
    steps = ladder(("segmentation", "depth"), (1.0, 0.5))
    wire = {k: size for k, size in enumerate((4000, 2500, 1200))}

    def bytes_of(step: object) -> int:
        return wire[steps.index(step)]

    assert fitting(steps, UNLIMITED, bytes_of) is steps[0]
    assert fitting(steps, 4000, bytes_of) is steps[0]
    assert fitting(steps, 3999, bytes_of) is steps[1]
    assert fitting(steps, SMALLEST, bytes_of) is steps[2]


def test_synthetic_links_are_what_was_asked_for(tmp_path: Path) -> None:
    steady = LinkModel(1000, swing=0.0, outages_per_minute=0).trace(60, seed=1)
    assert steady.mean_kbps == pytest.approx(1000, rel=0.05) and steady.length_s == 60
    trace = LinkModel(outages_per_minute=6, outage_s=1.0).trace(120, seed=3)
    gaps = np.diff(trace.times_ms)
    assert 3 <= (gaps >= 1000).sum() <= 30 and gaps.max() <= 11_000
    again = LinkModel(outages_per_minute=6, outage_s=1.0).trace(120, seed=3)
    other = LinkModel(outages_per_minute=6, outage_s=1.0).trace(120, seed=4)
    assert np.array_equal(trace.times_ms, again.times_ms) and not np.array_equal(trace.times_ms, other.times_ms)
    write_trace(tmp_path / "a.up", trace)
    assert np.array_equal(Trace.load(tmp_path / "a.up").times_ms, trace.times_ms)
