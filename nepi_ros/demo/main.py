# SPDX-License-Identifier: Apache-2.0
"""`nepi demo`: plays a camera through robot, thin link and edge on this machine, and reports.

The nodes are those of the launch files, with the parameters of config/demo.yaml, each a process of its own in a
ROS domain of its own. What came back is compared with truth and with the target networks on the untouched frames.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.datasets import FrameSet
from nepi_ros.demo import system as names
from nepi_ros.demo.ending import Ending
from nepi_ros.demo.evaluate import evaluate
from nepi_ros.demo.frames import identify, open_frames, render_patrol
from nepi_ros.demo.links import DemoLink, made, recorded
from nepi_ros.demo.observer import assemble
from nepi_ros.demo.play import Plan, one_machine, play
from nepi_ros.demo.report import Run, write_report
from nepi_ros.demo.system import System, config_file
from nepi_ros.errors import ConfigError, NepiError
from nepi_ros.link.wire import wire_bytes
from nepi_ros.tasks import TASKS, task_mask, task_names

_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi demo`. What is not given is as config/demo.yaml says."""
    add = parser.add_argument
    add("--frames", type=_positive(int), default=200, metavar="N", help="frames to play (default %(default)s)")
    add("--frames-dir", type=Path, metavar="FOLDER", help="play the images of a folder instead of the patrol")
    add("--bundle", metavar="NAME", help="bundle, by folder or name")
    add("--tasks", type=_tasks, metavar="A,B", help=f"some of {','.join(TASKS)} (default: all that the bundle has)")
    add("--rate", type=_positive(float), metavar="HZ", help="frames per second")
    add("--deadline-ms", type=_positive(float), metavar="MS", help="from an image's capture to its results")
    held = "how long a frame's results may stand for others while the picture only moves (default: all are sent)"
    add("--hold-ms", type=_positive(float), metavar="MS", help=held)
    link = parser.add_mutually_exclusive_group()
    steady = "constant capacity of the link, each way (default: a link that swings and fails as cellular ones do)"
    link.add_argument("--capacity-kbps", type=_positive(float), metavar="KBPS", help=steady)
    recording = "Mahimahi trace as the link; NAME.up goes with NAME.down"
    link.add_argument("--trace", type=Path, metavar="FILE", help=recording)
    add("--seed", type=_natural, default=0, help="which building, and which link (default %(default)s)")
    add("--out", type=Path, default=Path("out/demo"), metavar="FOLDER", help="for the report (default %(default)s)")


def main(arguments: argparse.Namespace) -> int:
    """Run the demo; the exit status: 0 when results came back, 1 with the reason on stderr when not."""
    try:
        with Ending() as ending:
            return _run(arguments, ending)
    except NepiError as error:
        print(f"nepi demo: {error}", file=sys.stderr)
        return _FAILED


def _run(arguments: argparse.Namespace, ending: Ending) -> int:
    began = time.monotonic()
    system = System.load(config_file("demo.yaml"))
    bundle = Bundle.load(resolve_bundle(arguments.bundle or system.value(names.ENCODER, "bundle")))
    tasks = _tasks_of(bundle, arguments.tasks)
    rate_hz = arguments.rate or system.value(names.CAMERA, "rate_hz")
    link = _link(arguments, arguments.frames / rate_hz)
    if arguments.frames_dir is None:
        folder = arguments.out / "patrol"
        frame_set = render_patrol(folder, arguments.frames, rate_hz, arguments.seed)
    else:
        frame_set = open_frames(arguments.frames_dir, arguments.frames)
    system = system.with_overrides(_overrides(arguments, bundle, tasks, link, frame_set))
    deadline_ms = system.value(names.ENCODER, "deadline_ms")
    print(f"bundle {bundle.name}, {len(frame_set)} frames of {frame_set.folder}: starting the nodes", flush=True)
    plan = Plan(len(frame_set), tasks, rate_hz, deadline_ms)
    played = play(system, plan, one_machine(tasks), arguments.out / "logs", ending.check)
    records = assemble(played.log, identify(frame_set.paths), wire_bytes)
    quality = evaluate(records, frame_set, bundle, tasks)
    summary = write_report(arguments.out, Run(system, bundle, frame_set, plan, played, records, quality, began))
    if not summary["frames_with_results"]:
        raise NepiError(f"no frame came back with the results of all tasks; see {arguments.out / 'logs'}")
    return 0


def _tasks_of(bundle: Bundle, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    missing = [task for task in wanted or () if task not in bundle.tasks]
    if missing:
        raise ConfigError(f"--tasks: bundle {bundle.name} has no {', '.join(missing)}, only {', '.join(bundle.tasks)}")
    return wanted or tuple(bundle.tasks)


def _overrides(
    arguments: argparse.Namespace, bundle: Bundle, tasks: tuple[str, ...], link: DemoLink, frame_set: FrameSet
) -> Mapping[str, Mapping[str, Any]]:
    """What differs from the parameter file, by node; None leaves a value as it is."""
    path, deadline = str(bundle.path.resolve()), arguments.deadline_ms
    return {
        names.CAMERA: {
            "source": str(frame_set.folder.resolve()),
            "rate_hz": arguments.rate,
            "loop": False,
            "frames": len(frame_set),
            "subscribers": 2,  # encoder_node and, once everything is ready, the observer
        },
        names.ENCODER: {
            "bundle": path,
            "tasks": list(tasks),
            "deadline_ms": deadline,
            "hold_ms": arguments.hold_ms,
        },
        names.EDGE_NODE: {"bundle": path},
        names.RESULT: {"deadline_ms": deadline},
        names.LINK: link.overrides,
    }


def _link(arguments: argparse.Namespace, seconds: float) -> DemoLink:
    if arguments.trace is not None:
        return recorded(arguments.trace)
    if arguments.capacity_kbps is not None:
        return DemoLink(kbps=arguments.capacity_kbps)
    return made(arguments.out, seconds, arguments.seed)


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError(text)
        return value

    parse.__name__ = "number above zero"
    return parse


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


_natural.__name__ = "whole number, 0 or more"


def _tasks(text: str) -> tuple[str, ...]:
    try:
        return task_names(task_mask(name.strip() for name in text.split(",")))
    except ConfigError as error:
        raise ValueError(str(error)) from error


_tasks.__name__ = f"list of tasks ({','.join(TASKS)})"
