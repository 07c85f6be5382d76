# SPDX-License-Identifier: Apache-2.0
"""Recorded links through the real nodes: the link between the namespaces, the figures, and, as root, a whole run."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from demo_help import write_frames
from tiny_bundle import make_tiny_bundle

from nepi_ros.bench.path.command import path_figures, table
from nepi_ros.bench.path.request import Answer
from nepi_ros.bench.path.tunnel import LinkSettings, PathError, Tunnel, demand_privileges, tunnel
from nepi_ros.link.synthetic import LinkModel, write_trace
from nepi_ros.link.trace import ConstantRate, Trace

DELAY_S = 0.05


def may_tunnel() -> str:
    """Why there can be no namespaces here; empty when there can."""
    try:
        demand_privileges()
        with tunnel(LinkSettings(0.0)):
            return ""
    except PathError as error:
        return str(error)


REASON = may_tunnel()


class Ends:
    """The two ends of a tunnel as datagram sockets, which keep packets apart as tun devices do."""

    def __init__(self, settings: LinkSettings) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        self.robot, self.edge = (own for own, _ in pairs)
        self._inner = [inner for _, inner in pairs]
        self.tunnel = Tunnel(("a", "b"), [inner.fileno() for inner in self._inner], settings)
        for end in (self.robot, self.edge):
            end.settimeout(2.0)

    def close(self) -> None:
        self.tunnel.close()
        for end in (self.robot, self.edge, *self._inner):
            end.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    both = Ends(LinkSettings(DELAY_S, queue_bytes=5000))
    yield both
    both.close()


class TestTunnel:
    def test_packets_pass_both_ways_after_the_delay_and_in_order(self, ends: Ends) -> None:
        began = time.monotonic()
        for k in range(3):
            ends.robot.send(bytes([k]) * 100)
        ends.edge.send(b"back")
        assert [ends.edge.recv(2000) for _ in range(3)] == [bytes([k]) * 100 for k in range(3)]
        assert ends.robot.recv(2000) == b"back"
        assert time.monotonic() - began >= DELAY_S

    def test_a_played_trace_lets_a_packet_out_at_each_opportunity(self, ends: Ends) -> None:
        ends.robot.send(b"first")  # a trace begins anew with each change once something was sent
        ends.edge.recv(2000)
        ends.tunnel.play(Trace(np.array([300, 600])), ConstantRate(1000))
        began, arrivals = time.monotonic(), []
        for _ in range(2):
            ends.robot.send(bytes(1500))
        for _ in range(2):
            ends.edge.recv(2000)
            arrivals.append(time.monotonic() - began)
        assert arrivals[0] >= 0.3 + DELAY_S - 0.01 and arrivals[1] - arrivals[0] >= 0.25

    def test_what_does_not_fit_the_queue_is_dropped(self, ends: Ends) -> None:
        ends.robot.send(b"first")
        ends.edge.recv(2000)
        ends.tunnel.play(Trace(np.array([400])), ConstantRate(1000))
        for _ in range(10):
            ends.robot.send(bytes(1000))
        time.sleep(0.1)
        assert ends.tunnel.counters()[0].packets_dropped == 5


class TestFigures:
    def test_a_frame_without_results_is_a_miss(self) -> None:
        figures = path_figures(Answer([400, 0, 600, 500], [80.0, None, 120.0, 90.0], 5.0, 40.0), 100.0)
        assert figures["in_time"] == 0.5 and figures["frames"] == 4
        assert figures["p50_ms"] == 90.0 and figures["bytes_mean"] == 375.0

    def test_nothing_back_at_all(self) -> None:
        figures = path_figures(Answer([], [], None, None), 100.0)
        assert figures["in_time"] == 0.0 and figures["p95_ms"] is None
        row = {"trace": "t", "path": figures, "simulation": figures, "difference_points": 0.0}
        assert "-" in table([row])


@dataclass(frozen=True)
class Done:
    """A finished `nepi bench path`."""

    pid: int
    returncode: int
    stdout: str
    stderr: str


def bench(*arguments: object) -> Done:
    command = [sys.executable, "-m", "nepi_ros.cli", "bench", "path", *map(str, arguments)]
    root, pipe = Path(__file__).resolve().parent.parent, subprocess.PIPE
    with subprocess.Popen(command, cwd=root, stdout=pipe, stderr=pipe, text=True) as process:
        printed, errors = process.communicate(timeout=240)
    return Done(process.pid, process.returncode, printed, errors)


@pytest.mark.skipif(bool(REASON), reason=f"no network namespaces here: {REASON}")
def test_frames_cross_namespaces_and_nothing_is_left_behind(tmp_path: Path) -> None:
    write_frames(tmp_path / "frames", 10)
    bundle = make_tiny_bundle(tmp_path / "tiny", film=True)
    for way in ("up", "down"):
        write_trace(tmp_path / f"link.{way}", LinkModel(3000, 0.3, outages_per_minute=0).trace(20, 3))
    out = tmp_path / "out"
    options = ("--bundle", bundle.path, "--data", tmp_path / "frames", "--seconds", 6, "--frames", 4, "-o", out)
    done = bench("--trace", tmp_path / "link.up", "--deadline-ms", 900, *options)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((out / "results.json").read_text())["rows"]
    assert row["trace"] == "link" and row["path"]["frames"] == 60 and row["path"]["in_time"] > 0.5
    # Through the tunnel, not around it.
    assert row["carried"]["up"]["bytes_served"] > row["path"]["bytes_mean"] * 30
    assert "in time" in done.stdout
    left = subprocess.run(("ip", "netns", "list"), capture_output=True, text=True, check=True).stdout
    assert f"nepi-{done.pid}-" not in left


@pytest.mark.skipif(not REASON, reason="this user may make network namespaces")
def test_without_privileges_it_says_what_is_missing(tmp_path: Path) -> None:
    done = bench("--trace", tmp_path / "link.up", "--bundle", "patrol", "--data", tmp_path, "-o", tmp_path / "out")
    assert done.returncode == 2 and any(word in done.stderr for word in ("sudo", "iproute2", "modprobe"))


@pytest.mark.parametrize(
    ("options", "reason"),
    [(("--seconds", 0), "--seconds must be above 0"), (("--loss", 1), "--loss must be 0 to 1"),
     (("--rtt-ms", -1), "--rtt-ms must not be negative")],
)  # fmt: skip
def test_a_wrong_option_is_named(tmp_path: Path, options: tuple[str, int], reason: str) -> None:
    given = ("--trace", tmp_path / "link.up", "--bundle", "patrol", "--data", tmp_path, "-o", tmp_path / "out")
    done = bench(*given, *options)
    assert done.returncode == 2 and reason in done.stderr and "Traceback" not in done.stderr
