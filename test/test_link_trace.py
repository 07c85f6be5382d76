# SPDX-License-Identifier: Apache-2.0
"""Traces in Mahimahi's format and constant rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nepi_ros.errors import TraceError
from nepi_ros.link.trace import ConstantRate, Trace


def trace(*times_ms: int) -> Trace:
    return Trace(np.array(times_ms))


class TestLoad:
    def write(self, folder: Path, text: str) -> Path:
        path = folder / "link.up"
        path.write_text(text)
        return path

    def test_reads(self, tmp_path: Path) -> None:
        loaded = Trace.load(self.write(tmp_path, "1\n1\n5\n10\n"))
        assert loaded.times_ms.tolist() == [1, 1, 5, 10]
        assert loaded.length_s == 0.01 and loaded.mean_kbps == 4800.0

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "last must be above 0"),
            ("0\n0\n", "last must be above 0"),
            ("5\n3\n", "decrease"),
            ("1\n2\nx\n", "line 3"),
            ("1\n2.5\n", "line 2"),
            ("1\n-2\n", "negative nor decrease"),
            ("-1\n", "negative"),
            ("1\n99999999999999999999999\n", "line 2"),
        ],
    )
    def test_what_is_no_trace_is_named(self, tmp_path: Path, text: str, reason: str) -> None:
        path = self.write(tmp_path, text)
        with pytest.raises(TraceError, match=reason) as caught:
            Trace.load(path)
        assert str(path) in str(caught.value)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(TraceError, match="nowhere"):
            Trace.load(tmp_path / "nowhere")

    def test_binary_file(self, tmp_path: Path) -> None:
        (tmp_path / "bad").write_bytes(bytes(range(256)))
        with pytest.raises(TraceError, match="bad"):
            Trace.load(tmp_path / "bad")

    def test_recorded_links(self, shared_data: Path) -> None:
        paths = sorted((shared_data / "traces").iterdir())
        assert paths
        for path in paths:
            loaded = Trace.load(path)
            assert len(loaded.times_ms) == len(path.read_text().split())
            assert 10 < loaded.mean_kbps < 100_000


class TestOpportunities:
    def test_wrap_around(self) -> None:
        link = trace(2, 2, 10)
        assert [link.time_of(n) for n in range(7)] == [0.002, 0.002, 0.01, 0.012, 0.012, 0.02, 0.022]

    @pytest.mark.parametrize("times", [(2, 2, 10), (0, 0, 3, 10), (0, 10, 10), (7,)])
    def test_first_at_agrees_with_counting(self, times: tuple[int, ...]) -> None:
        link = trace(*times)
        all_times = [link.time_of(n) for n in range(200)]
        for millisecond in range(60):
            for fraction in (0.0, 0.4):
                now = (millisecond + fraction) / 1000
                expected = next(n for n, time in enumerate(all_times) if time >= now - 1e-12)
                assert link.first_at(now) == expected

    def test_bytes_between(self) -> None:
        link = trace(2, 2, 10)
        assert link.bytes_between(0.0, 0.002) == 0
        assert link.bytes_between(0.0, 0.0021) == 3000
        # The opportunity at the end of a span belongs to the next span; the first span has none at its beginning.
        assert link.bytes_between(0.0, 1.0) == 299 * 1500 and link.bytes_between(5.0, 6.0) == 300 * 1500
        assert link.bytes_between(0.5, 0.5) == 0


class TestTraceServer:
    def test_one_packet_per_opportunity(self) -> None:
        server = trace(5, 10).server(0.0)
        assert [server.finish(0.0, 1500) for _ in range(4)] == [0.005, 0.01, 0.015, 0.02]

    def test_small_packets_share_an_opportunity(self) -> None:
        server = trace(5, 10).server(0.0)
        assert [server.finish(0.0, 600) for _ in range(4)] == [0.005, 0.005, 0.01, 0.01]

    def test_large_packets_take_several(self) -> None:
        server = trace(5, 10).server(0.0)
        assert server.finish(0.0, 3001) == 0.015
        assert server.finish(0.0, 1499) == 0.015

    def test_opportunities_without_packets_are_lost(self) -> None:
        server = trace(5, 10).server(0.0)
        assert server.finish(0.0, 100) == 0.005
        assert server.finish(0.0061, 1450) == 0.01
        assert server.finish(0.0221, 1500) == 0.025

    def test_a_packet_at_the_very_moment_is_in_time(self) -> None:
        server = trace(5, 10).server(0.0)
        assert server.finish(0.005, 700) == 0.005
        assert server.finish(0.005, 700) == 0.005
        assert server.finish(0.005, 700) == 0.01

    def test_throughput_is_the_traces(self) -> None:
        times = np.sort(np.random.default_rng(0).integers(0, 1000, 300))
        times[-1] = 1000
        link = Trace(times)
        server = link.server(0.0)
        finished = [server.finish(0.0, 1000) for _ in range(4500)]  # ten rounds of 300 opportunities
        assert finished[-1] == pytest.approx(10.0, abs=0.01)
        assert (np.diff(finished) >= 0).all()


class TestConstantRate:
    def test_back_to_back_and_idle(self) -> None:
        server = ConstantRate(800).server(0.0)
        assert server.finish(1.0, 1000) == pytest.approx(1.01)
        assert server.finish(1.0, 1000) == pytest.approx(1.02)
        assert server.finish(2.0, 500) == pytest.approx(2.005)

    def test_nothing_passes_at_zero(self) -> None:
        assert ConstantRate(0).server(0.0).finish(1.0, 1) == float("inf")
