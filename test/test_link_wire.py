# SPDX-License-Identifier: Apache-2.0
"""What a message costs on the wire: the model, and the measurement that it stands on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nepi_ros.link.wire import packets, serialised_within, single_packet, wire_bytes

PROBE = Path(__file__).with_name("wire_probe.py")
NAMESPACE = ["unshare", "--user", "--map-root-user", "--net"]


def why_not_measurable() -> str:
    """What keeps this machine from measuring; empty when nothing does."""
    if os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp":
        return "another middleware than Fast DDS is in use"
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    tried = subprocess.run([*NAMESPACE, "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    return tried.stderr.strip() and f"no network namespace of one's own here: {tried.stderr.strip()}"


def test_the_model_gives_every_captured_packet() -> None:
    reason = why_not_measurable()
    if reason:
        pytest.skip(reason)
    run = subprocess.run(
        [*NAMESPACE, sys.executable, str(PROBE)],
        capture_output=True, text=True, timeout=90, env={**os.environ, "PYTHONPATH": str(PROBE.parent.parent)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    measured = json.loads(run.stdout.splitlines()[-1])
    assert {entry["type"] for entry in measured} == {"Epitome", "Results", "CompressedImage"}
    for entry in measured:
        assert tuple(entry["packets"]) == packets(entry["serialised"]), entry


# As captured; see the table in nepi_ros/link/wire.py.
@pytest.mark.parametrize(
    ("serialised", "count", "wire"),
    [
        (40, 1, 200),
        (68, 1, 228),
        (69, 1, 232),
        (1068, 1, 1228),
        (1340, 1, 1500),
        (1341, 2, 1524),
        (3068, 3, 3268),
        (10068, 7, 10348),
        (65324, 45, 66364),
        (65325, 46, 66552),
        (140068, 97, 142464),
    ],
)
def test_captured(serialised: int, count: int, wire: int) -> None:
    assert len(packets(serialised)) == count and wire_bytes(serialised) == wire


def test_no_packet_exceeds_the_mtu() -> None:
    for mtu in (576, 1280, 1500, 9000):
        for serialised in range(0, 20_000, 7):
            sizes = packets(serialised, mtu)
            assert max(sizes) <= mtu and min(sizes) > 0


def test_single_packet_is_the_most_in_one() -> None:
    for mtu in (576, 1280, 1492, 1500, 9000):
        most = single_packet(mtu)
        assert len(packets(most, mtu)) == 1 and len(packets(most + 1, mtu)) == 2


def test_serialised_within_is_the_inverse() -> None:
    for wire in [*range(0, 4000, 13), 66364, 66365, 66551, 66552, 200_000]:
        most = serialised_within(wire)
        assert most == 0 or wire_bytes(most) <= wire
        assert wire_bytes(most + 1) > wire


def test_more_bytes_never_cost_less() -> None:
    costs = [wire_bytes(serialised) for serialised in [*range(5000), *range(65_000, 66_000)]]
    assert costs == sorted(costs)
