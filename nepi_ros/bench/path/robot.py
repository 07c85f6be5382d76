# SPDX-License-Identifier: Apache-2.0
"""The robot's side of a run, in its network namespace: camera, encoder_node, result_node, and an observer of them.

A program of its own, which nepi_ros.bench.path.run starts with a Request on its command line. It says READY on
stdout once everything is connected, begins to play when it is sent a line, and leaves its Answer in a file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rclpy.serialization import deserialize_message

from nepi_ros.bench.path.request import ANSWER, READY, Answer, Request
from nepi_ros.demo import system as names
from nepi_ros.demo.ending import Ending
from nepi_ros.demo.observer import Log, assemble
from nepi_ros.demo.play import Plan, Stage, play
from nepi_ros.demo.readiness import Topic
from nepi_ros.demo.system import System, config_file
from nepi_ros.errors import NepiError
from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import EncoderStatus


def demo_system(request: Request) -> System:
    """The demo's nodes, with the edge serving /robot itself: there is no emulated link between them."""
    return System.load(config_file("demo.yaml")).with_overrides(
        {
            names.CAMERA: {
                "source": request.data,
                "rate_hz": request.rate_hz,
                "loop": True,
                "frames": request.frames,
                "subscribers": 2,  # encoder_node and, once everything is ready, the observer
            },
            names.ENCODER: {
                "bundle": request.bundle, "tasks": list(request.tasks), "deadline_ms": request.deadline_ms,
                "inter_frame": request.inter_frame, "hold_ms": request.hold_ms,
            },
            names.EDGE_NODE: {"bundle": request.bundle, "robots": [names.ROBOT]},
            names.RESULT: {"deadline_ms": request.deadline_ms},
        }
    )  # fmt: skip


def _answer(log: Log, tasks: tuple[str, ...]) -> Answer:
    records = assemble(log, {}, wire_bytes)
    told = [deserialize_message(data, EncoderStatus) for _, data in log.statuses]
    return Answer(
        [record.wire_bytes for record in records],
        [record.completed_ms(tasks) for record in records],
        _median([status.encode_ms for status in told]),
        _median([status.edge_ms for status in told]),
    )


def _median(values: list[float]) -> float | None:
    known = [value for value in values if value == value]
    return round(median(known), 2) if known else None


def _topics(tasks: tuple[str, ...]) -> list[Topic]:
    """All that crosses the link, seen from the robot, and what is made of it."""
    return [
        Topic(f"{names.ROBOT}/image"),
        Topic(f"{names.ROBOT}/epitome", 1, 2),  # to the edge and the observer
        *names.results_topics(tasks),
    ]


def _ready() -> None:
    print(READY, flush=True)
    if not sys.stdin.readline():
        raise SystemExit("nobody waits for this run any more")


def main() -> int:
    """Play, and leave the answer."""
    request = Request.read(sys.argv[1])
    out, nodes = Path(request.out), (names.ENCODER, names.RESULT, names.CAMERA)
    plan = Plan(request.frames, request.tasks, request.rate_hz, request.deadline_ms)
    stage = Stage(nodes, (names.ENCODER, names.RESULT), _topics(request.tasks), _ready, request.variables)
    try:
        with Ending() as ending:
            played = play(demo_system(request), plan, stage, out / "logs", ending.check)
    except NepiError as error:
        print(f"robot: {error}", file=sys.stderr)
        return 1
    (out / ANSWER).write_text(json.dumps(asdict(_answer(played.log, request.tasks))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
