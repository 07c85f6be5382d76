# SPDX-License-Identifier: Apache-2.0
"""The link emulator as a process of its own, between topics of two robots and an edge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from ros_process import Client, NodeProcess, ros_session, wait_until

from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import Epitome, LinkReport, Results
from nepi_ros.nodes.topics import newest

NODE = "/link_emulator_node"
SETTINGS = {"up_kbps": 1000.0, "down_kbps": 1000.0, "up_trace": "", "down_trace": "", "delay_ms": 10.0, "loss": 0.0}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ros_session(tmp_path_factory.mktemp("link")) as both:
        yield both


@pytest.fixture(scope="module")
def process(session) -> NodeProcess:
    return session[1]("link_emulator_node", {"robots": ["/r1", "/r2"], "queue_bytes": 20_000, **SETTINGS})


@pytest.fixture
def client(session, process: NodeProcess) -> Client:
    """The test's own node, the emulator with its settings as at the beginning."""
    client = session[0]
    assert all(result.successful for result in client.set_parameters(NODE, queue_bytes=20_000, **SETTINGS))
    return client


def epitome(sequence: int, size: int = 1000) -> Epitome:
    message = Epitome(sequence=sequence, data=np.random.default_rng(sequence).bytes(size))
    message.header.frame_id = "camera"
    return message


class Probe:
    """Sends on one side and collects, with arrival times, on the other."""

    def __init__(self, client: Client, kind: type, source: str, target: str) -> None:
        self.arrived: list[tuple[float, Any]] = []
        self._client = client
        self._subscription = client.node.create_subscription(
            kind, target, lambda message: self.arrived.append((time.monotonic(), message)), newest(100)
        )
        wait_until(lambda: client.node.count_publishers(target), f"the emulator publishes {target}")
        self._publisher = client.advertise(kind, source)
        # Nothing is carried to where nobody listens, so first see that somebody is heard.
        wait_until(self._try, f"something gets from {source} to {target}")
        time.sleep(0.1)
        self.arrived.clear()
        self._kind = kind

    def _try(self) -> bool:
        self._publisher.publish(self._publisher.msg_type())
        time.sleep(0.05)
        return bool(self.arrived)

    def send(self, message: Any) -> float:
        self._publisher.publish(message)
        return time.monotonic()

    def wait(self, count: int) -> list[tuple[float, Any]]:
        wait_until(lambda: len(self.arrived) >= count, f"{count} messages", 5.0)
        return self.arrived

    def close(self) -> None:
        self._client.node.destroy_subscription(self._subscription)


@pytest.fixture
def up(client: Client) -> Iterator[Probe]:
    probe = Probe(client, Epitome, "/r1/epitome", "/edge/r1/epitome")
    yield probe
    probe.close()


def test_epitomes_pass_unchanged_and_in_time(up: Probe) -> None:
    late = []
    for sequence in range(15):
        message = epitome(sequence)
        sent = up.send(message)
        arrival, received = up.wait(sequence + 1)[-1]
        assert received == message
        late.append(arrival - sent - 0.010 - wire_bytes(len(serialize_message(message))) * 8e-6)
    assert min(late) > -0.002 and np.median(late) < 0.010


def test_results_come_back(client: Client) -> None:
    probe = Probe(client, Results, "/edge/r2/results", "/r2/results")
    message = Results(names=["hall"], scores=[0.5], segmentation=bytes(range(200)), report=[LinkReport(sequence=7)])
    probe.send(message)
    assert probe.wait(1)[0][1] == message
    probe.close()


def test_rate_changes_at_run_time(client: Client, up: Probe) -> None:
    client.set_parameters(NODE, up_kbps=100.0)
    size = wire_bytes(len(serialize_message(epitome(0))))
    sent = [up.send(epitome(sequence)) for sequence in range(5)]
    arrivals = [arrival for arrival, _ in up.wait(5)]
    assert np.median(np.diff(arrivals)) == pytest.approx(size * 8 / 100_000, rel=0.1)
    assert arrivals[-1] - sent[0] == pytest.approx(5 * size * 8 / 100_000 + 0.01, rel=0.15)


def test_an_outage_holds_back_and_drops(client: Client, up: Probe) -> None:
    client.set_parameters(NODE, up_kbps=0.0)
    before = client.count_of(NODE, "up_packets_dropped")
    for sequence in range(30):
        up.send(epitome(sequence))
        time.sleep(0.005)
    time.sleep(0.1)
    assert up.arrived == []
    client.set_parameters(NODE, up_kbps=1000.0)
    room = 20_000 // wire_bytes(len(serialize_message(epitome(0))))
    assert [message.sequence for _, message in up.wait(room)] == list(range(room))
    client.wait_for_diagnostic(
        NODE, lambda values: int(values["up_packets_dropped"]) == before + 30 - room, "the packets that were dropped"
    )


def test_loss(client: Client, up: Probe) -> None:
    client.set_parameters(NODE, loss=0.5, up_kbps=1e6)
    for sequence in range(200):
        up.send(epitome(sequence, 10))
        time.sleep(0.002)
    time.sleep(0.2)
    assert 60 < len(up.arrived) < 140


def test_trace(client: Client, up: Probe, tmp_path: Path) -> None:
    trace = tmp_path / "link.up"
    trace.write_text("50\n")
    assert client.set_parameters(NODE, up_trace=str(trace))[0].successful
    for sequence in range(5):
        up.send(epitome(sequence, 1300))
    assert np.median(np.diff([arrival for arrival, _ in up.wait(5)])) == pytest.approx(0.05, abs=0.01)


def test_refused_values_name_themselves(client: Client, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("1\nx\n")
    for values, reason in (
        ({"up_trace": "/nowhere"}, "parameter up_trace: /nowhere: the trace cannot be read"),
        ({"down_trace": str(tmp_path / "bad")}, "line 2 is not a time"),
        ({"loss": 1.5}, "parameter loss is from 0 to 1, not 1.5"),
        ({"up_kbps": -1.0}, "parameter up_kbps is from 0 to"),
    ):
        (result,) = client.set_parameters(NODE, **values)
        assert not result.successful and reason in result.reason


def test_diagnostics_count_bytes_on_the_wire(client: Client, up: Probe) -> None:
    def sent() -> tuple[int, int]:
        client.diagnostics.pop(NODE.lstrip("/"), None)
        status = client.wait_for_diagnostic(NODE, lambda values: True, "its state")
        values = {pair.key: pair.value for pair in status.values}
        return int(values["up_items_arrived"]), int(values["up_bytes_served"])

    items, size = sent()
    for sequence in range(10):
        up.send(epitome(sequence))
    up.wait(10)
    wire = wire_bytes(len(serialize_message(epitome(0))))
    assert sent() == (items + 10, size + 10 * wire)


def test_nothing_is_sent_to_where_nobody_listens(client: Client, process: NodeProcess) -> None:
    publisher = client.advertise(Epitome, "/r2/epitome")

    def carried() -> int:
        client.diagnostics.pop(NODE.lstrip("/"), None)
        client.wait_for_diagnostic(NODE, lambda values: True, "its state")
        return client.count_of(NODE, "up_items_sent")

    before = carried()
    for sequence in range(5):
        publisher.publish(epitome(sequence))
    time.sleep(0.2)
    assert carried() == before
    assert process.alive


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"robots": ["robot"]}, "parameter robots: 'robot' is not an absolute namespace"),
        ({"robots": ["/a", "/a"]}, "names a robot twice"),
        ({"edge": "/edge/"}, "parameter edge: '/edge/' is not an absolute namespace"),
        ({"up_trace": "/nowhere"}, "parameter up_trace: /nowhere: the trace cannot be read"),
    ],
)
def test_a_clear_line_when_it_cannot_start(session, parameters: dict, line: str) -> None:
    node = session[1]("link_emulator_node", parameters, name="refused")
    wait_until(lambda: not node.alive, "the node gives up")
    assert node.stop() == 1 and len(node.lines) == 1 and line in node.lines[0]
