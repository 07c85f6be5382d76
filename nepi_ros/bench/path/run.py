# SPDX-License-Identifier: Apache-2.0
"""One recorded link at one deadline, through the real nodes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from nepi_ros.bench.path.request import ANSWER, READY, Answer, Request
from nepi_ros.bench.path.robot import demo_system
from nepi_ros.bench.path.tunnel import ADDRESSES, SIDES, LinkSettings, PathError, Tunnel, tunnel, within
from nepi_ros.demo import system as names
from nepi_ros.demo.processes import NodeSpec, Supervisor, single_threaded
from nepi_ros.link.bottleneck import Counters
from nepi_ros.link.trace import Schedule

_SETTLE_S = 5.0
"""What is connected goes on talking for a while; a robot at work has that behind it."""


def travel(request: Request, up: Schedule, down: Schedule, settings: LinkSettings) -> tuple[Answer, Counters, Counters]:
    """Play a request over a link: the robot's answer, and what the ways up and down have carried.

    `request.variables` are filled in here.

    Raises PathError when this machine does not allow it or the robot's side failed, NodeDiedError when the edge did.
    """
    out = Path(request.out)
    out.mkdir(parents=True, exist_ok=True)
    robot, edge = (_radio(side) for side in SIDES)
    with tunnel(settings) as link:
        with Supervisor(out / "logs", single_threaded({**os.environ, **edge})) as nodes:
            spec = demo_system(request).spec(names.EDGE_NODE)
            nodes.start(NodeSpec(spec.name, within(link.names[1], spec.command)))
            try:
                _robot(link, replace(request, variables=robot), lambda: link.play(up, down))
            finally:
                nodes.check()  # an edge that died is the cause, and what the robot's side says the effect
        counted = link.counters()
    return Answer(**json.loads((out / ANSWER).read_text())), *counted


def _radio(side: str) -> dict[str, str]:
    """Variables that give a side its Fast DDS profile for a radio link, whose ports are those of domain 0."""
    own, other = SIDES.index(side), SIDES[1 - SIDES.index(side)]
    return {
        "ROS_DOMAIN_ID": "0",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
        "ROS_STATIC_PEERS": "",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(names.config_file(f"fastdds_radio_{side}.xml")),
        "NEPI_RADIO": ADDRESSES[own],
        f"NEPI_{other.upper()}": ADDRESSES[1 - own],
    }


def _robot(link: Tunnel, request: Request, begin: Callable[[], None]) -> None:
    """Run the robot's side to its end; `begin` is called just before the camera begins."""
    command = within(link.names[0], (sys.executable, "-m", "nepi_ros.bench.path.robot", request.text()))
    variables: Mapping[str, str] = {**os.environ, **request.variables}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables)
    try:
        if process.stdout.readline().strip() == READY:
            time.sleep(_SETTLE_S)
            begin()
            print(file=process.stdin, flush=True)
        if process.wait():
            raise PathError(f"the robot's side failed; see what it said above, and {request.out}/logs")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
