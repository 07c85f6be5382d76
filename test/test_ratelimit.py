# SPDX-License-Identifier: Apache-2.0
"""Mean rates of thinned cameras."""

import random

import pytest

from nepi_ros.nodes.ratelimit import RateLimit


@pytest.mark.parametrize(("camera_hz", "limit_hz", "passed"), [(30, 10, 334), (15, 10, 667), (10, 10, 1000)])
def test_mean_rate_holds_with_jitter(camera_hz, limit_hz, passed):
    jitter = random.Random(0)
    limit = RateLimit()
    got = sum(limit.passes(n / camera_hz + jitter.gauss(0, 0.005), limit_hz) for n in range(1000))
    assert got == pytest.approx(passed, abs=3)


def test_zero_lets_everything_pass_and_a_raised_rate_holds_within_a_period():
    limit = RateLimit()
    assert all(limit.passes(0.001 * n, 0.0) for n in range(5))
    assert limit.passes(1.0, 0.1) and not limit.passes(1.2, 0.1)
    assert not limit.passes(1.2, 10.0) and limit.passes(1.32, 10.0)
