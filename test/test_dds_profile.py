# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profiles for a radio link: robot and edge find each other, and nothing else crosses."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from radio_hosts import Host, Probe, ending, robot_and_edge, why_not_possible
from ros_process import wait_until

ROOT = Path(__file__).resolve().parent.parent
PROFILES = {side: ROOT / "config" / f"fastdds_radio_{side}.xml" for side in ("robot", "edge")}
WIRE_BYTES = 712
"""Of one epitome of radio_probe.py: 500 bytes of data, message, RTPS, UDP and IP headers."""

pytestmark = pytest.mark.skipif(
    os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp",
    reason="another middleware than Fast DDS is in use",
)


def profile(side: str, robot: str, edge: str, radio: str, file: Path | None = None) -> dict[str, str]:
    """The environment that doc/dds.md tells to set; `radio` is an interface or its address."""
    return {
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(file or PROFILES[side]),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
        "NEPI_RADIO": radio,
        "NEPI_ROBOT": robot,
        "NEPI_EDGE": edge,
    }


def test_robot_and_edge_find_each_other_over_the_loopback(tmp_path: Path) -> None:
    # Needs no rights at all. In the domain of this run, so with the ports that the files say to take there.
    files = {side: in_domain(file, int(os.environ["ROS_DOMAIN_ID"]), tmp_path) for side, file in PROFILES.items()}
    sides = {side: profile(side, "127.0.0.1", "127.0.0.1", "127.0.0.1", file) for side, file in files.items()}
    robot, edge = Probe("robot", sides["robot"]), Probe("edge", sides["edge"])
    with ending(robot, edge):
        robot.wait_to_hear("/epitome", edge)
        edge.wait_to_hear("/epitome", robot)
        expect_logs_and_parameters_at_home(robot, edge)
    assert not [line for line in robot.other + edge.other if "Error" in line]


def in_domain(file: Path, domain: int, folder: Path) -> Path:
    """A copy of a profile with the ports of another ROS domain than 0."""
    text = file.read_text()
    for port in (7458, 7460):
        text = text.replace(f"<port>{port}</port>", f"<port>{port + 250 * domain}</port>")
    copy = folder / file.name
    copy.write_text(text)
    return copy


def expect_logs_and_parameters_at_home(robot: Probe, edge: Probe) -> None:
    """Each is heard where it was said, for a while in which epitomes cross, and not on the other side."""
    for probe, other in ((robot, edge), (edge, robot)):
        for topic in ("/rosout", "/parameter_events"):
            probe.wait_to_hear(topic, probe, times=10)
            assert other.name not in probe.senders(topic)
        probe.wait_to_hear("/epitome", other, times=5)


@pytest.fixture(scope="module")
def namespaces() -> None:
    reason = why_not_possible()
    if reason:
        pytest.skip(f"two computers cannot be had here, neither as root nor in a user namespace: {reason}")


@pytest.fixture
def hosts(namespaces: None) -> Iterator[tuple[Host, Host]]:
    with robot_and_edge() as pair:
        # As with Docker: an address that the edge cannot reach, so that what is sent there goes over the radio.
        pair[0].run("ip", "link", "add", "docker0", "type", "veth", "peer", "name", "container")
        pair[0].run("ip", "addr", "add", "172.17.0.1/16", "dev", "docker0")
        for interface in ("docker0", "container"):
            pair[0].run("ip", "link", "set", interface, "up")
        yield pair


def radio(side: str) -> dict[str, str]:
    return {"ROS_DOMAIN_ID": "0", **profile(side, "10.9.0.1", "10.9.0.2", "radio")}


DEFAULTS = {
    "ROS_DOMAIN_ID": "0",
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
    "FASTRTPS_DEFAULT_PROFILES_FILE": "",
}


def test_only_epitomes_cross_the_radio_once_and_without_multicast(hosts: tuple[Host, Host]) -> None:
    robot = Probe("robot", radio("robot"), hosts[0])
    neighbour = Probe("neighbour", radio("robot"), hosts[0], quiet=True)
    edge = Probe("edge", radio("edge"), hosts[1])
    with ending(robot, neighbour, edge):
        for probe, sender in ((robot, edge), (neighbour, edge), (edge, robot)):
            probe.wait_to_hear("/epitome", sender)
        # Within the robot logs go on as ever.
        neighbour.wait_to_hear("/rosout", robot)
        neighbour.wait_to_hear("/parameter_events", robot)
        expect_logs_and_parameters_at_home(robot, edge)
        assert "edge" not in neighbour.senders("/rosout") | neighbour.senders("/parameter_events")
        before = hosts[1].sent()
        robot.wait_to_hear("/epitome", edge, times=20)
        # To two subscribers, and at most two announcements to each: not once more to the robot's other address.
        assert hosts[1].sent() - before < 1.5 * 2 * 20 * WIRE_BYTES
    assert [host.multicast_sent() for host in hosts] == [0, 0]


def test_by_default_the_rest_crosses_too(hosts: tuple[Host, Host]) -> None:
    # What the profiles are for; and the proof that the other tests would see it.
    robot, edge = Probe("robot", DEFAULTS, hosts[0]), Probe("edge", DEFAULTS, hosts[1])
    with ending(robot, edge):
        for topic in ("/epitome", "/rosout", "/parameter_events"):
            robot.wait_to_hear(topic, edge)
            edge.wait_to_hear(topic, robot)
        before = hosts[1].sent()
        robot.wait_to_hear("/epitome", edge, times=20)
        assert hosts[1].sent() - before > 2 * 20 * WIRE_BYTES
    assert min(host.multicast_sent() for host in hosts) > 0


def test_at_rest_the_radio_is_nearly_silent(hosts: tuple[Host, Host]) -> None:
    watched_s = 20.0
    robot = Probe("robot", radio("robot"), hosts[0])
    neighbour = Probe("neighbour", radio("robot"), hosts[0], quiet=True)
    edge = Probe("edge", radio("edge"), hosts[1])
    with ending(robot, neighbour, edge):
        for probe, sender in ((robot, edge), (neighbour, edge), (edge, robot)):
            probe.wait_to_hear("/epitome", sender)
        # Past the announcements that each makes at its start.
        neighbour.wait_to_hear("/epitome", edge, times=20)
        robot.hush()
        edge.hush()
        wait_until(lambda: min(robot.seconds_without(edge), edge.seconds_without(robot)) > 1, "both are silent")
        before = [host.sent() for host in hosts]
        time.sleep(watched_s)
        # Two announcements of two participants, each twice, in any 20 s or one more; without profiles it is 700.
        assert all((host.sent() - sent) / watched_s < 400 for host, sent in zip(hosts, before, strict=True))


def test_an_edge_that_was_killed_is_replaced_by_its_successor(hosts: tuple[Host, Host]) -> None:
    robot, edge = Probe("robot", radio("robot"), hosts[0]), Probe("edge", radio("edge"), hosts[1])
    with ending(robot):
        robot.wait_to_hear("/epitome", edge)
        edge.end(signal.SIGKILL)
        successor = Probe("successor", radio("edge"), hosts[1])
        with ending(successor):
            successor.wait_to_hear("/rosout", successor)
            started = time.monotonic()
            for probe, sender in ((robot, successor), (successor, robot)):
                probe.wait_to_hear("/epitome", sender)
            # Mostly at once; when the robot's only answer is lost, with its next announcement. Never with the lease.
            assert time.monotonic() - started < 13


def test_after_an_outage_data_flow_on_without_discovery(hosts: tuple[Host, Host]) -> None:
    robot, edge = Probe("robot", radio("robot"), hosts[0]), Probe("edge", radio("edge"), hosts[1])
    with ending(robot, edge):
        robot.wait_to_hear("/epitome", edge)
        edge.wait_to_hear("/epitome", robot)
        hosts[0].run("ip", "link", "set", "radio", "down")
        # Longer than the 20 s after which participants forget each other without the profiles.
        time.sleep(23)
        before = hosts[0].sent()
        hosts[0].run("ip", "link", "set", "radio", "up")
        edge.wait_to_hear("/epitome", robot, times=10)
        assert hosts[0].sent() - before < 2 * 10 * WIRE_BYTES + 3000
