# SPDX-License-Identifier: Apache-2.0
"""Stands for the radio between robots and edge on one machine: a thin, slow, lossy link in each direction.

For a robot /robot and an edge /edge: /robot/epitome goes to /edge/robot/epitome, and /edge/robot/results comes back to
/robot/results. Messages pass as they are, and count with what they cost on a real wire
(nepi_ros.link.wire). All robots share the link. What nobody at the far end subscribes to is not sent, as with DDS.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos_overriding_options import QoSOverridingOptions

from nepi_ros.errors import ConfigError
from nepi_ros.link.trace import ConstantRate, Schedule, Trace
from nepi_ros.msg import Epitome, Results
from nepi_ros.nodes.carrier import Carrier
from nepi_ros.nodes.lifecycle import run
from nepi_ros.nodes.parameters import Parameter, declare
from nepi_ros.nodes.status import OK, WARN, DiagnosticsPublisher
from nepi_ros.nodes.topics import FRAME_MESSAGES, newest

UP = (("epitome", Epitome),)
DOWN = (("results", Results),)


def check_trace(path: str) -> None:
    """Raise TraceError unless this is a Mahimahi trace, or empty."""
    if path:
        Trace.load(path)


def check_namespaces(names: Sequence[str]) -> None:
    """Raise ConfigError unless these are absolute namespaces, each given once."""
    for name in names:
        if not name.startswith("/") or name.endswith("/"):
            raise ConfigError(f"{name!r} is not an absolute namespace as in /robot")
    if len(set(names)) < len(names):
        raise ConfigError(f"names a robot twice: {', '.join(names)}")


def _check_edge(name: str) -> None:
    check_namespaces([name])


_TRACE = "Mahimahi trace for the way {}, in place of a constant rate; empty for none."

PARAMETERS = (
    Parameter("robots", ("/robot",), "Namespaces of the robots.", read_only=True, check=check_namespaces),
    Parameter("edge", "/edge", "Namespace of the edge; it serves /robot in /edge/robot.", read_only=True,
              check=_check_edge),
    Parameter("up_kbps", 1000.0, "Rate from robots to edge; 0 carries nothing.", "kbit/s", (0.0, 1e7)),
    Parameter("down_kbps", 1000.0, "Rate from edge to robots; 0 carries nothing.", "kbit/s", (0.0, 1e7)),
    Parameter("up_trace", "", _TRACE.format("up"), check=check_trace),
    Parameter("down_trace", "", _TRACE.format("down"), check=check_trace),
    Parameter("delay_ms", 10.0, "Delay each way, on top of queue and rate.", "ms", (0.0, 60000.0)),
    Parameter("queue_bytes", 65536, "Longest queue each way; what does not fit is dropped.", "bytes", (0, 2**31 - 1)),
    Parameter("loss", 0.0, "Share of IP packets that are lost, each by itself.", range=(0.0, 1.0)),
    Parameter("seed", 0, "Which packets are lost.", range=(0, 2**31 - 1), read_only=True),
)  # fmt: skip


class LinkEmulatorNode(Node):
    """One link in each direction, shared by all robots."""

    def __init__(self) -> None:
        super().__init__("link_emulator_node")
        self.parameters = declare(self, PARAMETERS, self._on_change)
        self._diagnostics = DiagnosticsPublisher(self)
        self._carriers = {way: self._carrier(way, seed) for seed, way in enumerate(("up", "down"))}
        self._reported = {way: (time.monotonic(), 0, 0) for way in self._carriers}
        for robot in self.parameters.robots:
            at_edge = self.parameters.edge + robot
            self._connect("up", UP, robot, at_edge)
            self._connect("down", DOWN, at_edge, robot)
        # Wall time on purpose: the link is as slow as it is, whatever the simulation's clock says.
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Deliver nothing more."""
        for carrier in self._carriers.values():
            carrier.close()

    def _carrier(self, way: str, number: int) -> Carrier[tuple[Publisher, bytes]]:
        seed = 2 * self.parameters.seed + number
        return Carrier(way, _deliver, self._schedule(way), **self._settings(), seed=seed)

    def _connect(self, way: str, topics: Sequence[tuple[str, type]], source: str, target: str) -> None:
        overriding = QoSOverridingOptions.with_default_policies()
        qos = newest(FRAME_MESSAGES)
        for name, kind in topics:
            publisher = self.create_publisher(
                kind, f"{target}/{name}", qos, qos_overriding_options=overriding
            )
            self.create_subscription(
                kind, f"{source}/{name}", partial(self._on_message, way, publisher), qos,
                qos_overriding_options=overriding, raw=True,
            )  # fmt: skip

    def _on_message(self, way: str, publisher: Publisher, data: bytes) -> None:
        if publisher.get_subscription_count():
            self._carriers[way].send(len(data), (publisher, data))

    def _on_change(self, names: frozenset[str]) -> None:
        for way, carrier in self._carriers.items():
            # A change of anything else does not begin a trace anew.
            is_new = bool(names & {f"{way}_kbps", f"{way}_trace"})
            carrier.change(self._schedule(way) if is_new else None, **self._settings())

    def _schedule(self, way: str) -> Schedule:
        trace = self.parameters[f"{way}_trace"]
        return Trace.load(trace) if trace else ConstantRate(self.parameters[f"{way}_kbps"])

    def _settings(self) -> dict[str, float | int]:
        p = self.parameters
        return {"delay_s": p.delay_ms / 1e3, "queue_bytes": p.queue_bytes, "loss": p.loss}

    def _report(self) -> None:
        values: dict[str, object] = {}
        failing = []
        for way, carrier in self._carriers.items():
            counters, queued = carrier.counters()
            before, served, failed = self._reported[way]
            now = time.monotonic()
            values |= {f"{way}_{name}": value for name, value in vars(counters).items()}
            values[f"{way}_queue_bytes"] = queued
            values[f"{way}_kbps"] = (counters.bytes_served - served) * 8e-3 / max(now - before, 1e-3)
            if counters.items_lost > failed:
                failing.append(f"{counters.items_lost - failed} {way}")
            self._reported[way] = now, counters.bytes_served, counters.items_lost
        message = f"messages lost in the last second: {', '.join(failing)}" if failing else "carrying"
        self._diagnostics.publish(WARN if failing else OK, message, values)


def _deliver(item: tuple[Publisher, bytes]) -> None:
    publisher, data = item
    if rclpy.ok():
        publisher.publish(data)


def main(args: Sequence[str] | None = None) -> None:
    """Run the node until it is told to stop."""
    run(LinkEmulatorNode, args)


if __name__ == "__main__":
    main()
