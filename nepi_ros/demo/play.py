# SPDX-License-Identifier: Apache-2.0
"""Plays frames through the nodes and records what happens."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from nepi_ros.demo import system as names
from nepi_ros.demo.domain import environment, isolated_domain
from nepi_ros.demo.observer import Log, Observer
from nepi_ros.demo.processes import Supervisor, Usage, single_threaded
from nepi_ros.demo.readiness import Readiness, Topic
from nepi_ros.demo.system import System
from nepi_ros.errors import NepiError
from nepi_ros.progress import progress_bar

_READY_S = 60.0
_LINGER_S = 1.5


class StalledError(NepiError):
    """Frames stopped coming before all were played."""


@dataclass(frozen=True)
class Load:
    """What a node used while frames were played: percent of one core, peak resident memory in MB (None: unknown)."""

    cpu_percent: float | None
    memory_mb: float | None


@dataclass(frozen=True)
class Played:
    """A finished run. ready_s: from the start of the processes to all being ready; play_s: from then to the end."""

    log: Log
    loads: dict[str, Load]
    ready_s: float
    play_s: float


@dataclass(frozen=True)
class Plan:
    """What is to be played. patience_s: so long nothing may happen before the camera is taken for broken."""

    frames: int
    tasks: tuple[str, ...]
    rate_hz: float
    deadline_ms: float

    @property
    def patience_s(self) -> float:
        return max(10.0, 3 / self.rate_hz)

    @property
    def linger_s(self) -> float:
        """After the last frame, so long results are waited for."""
        return _LINGER_S + 2 * self.deadline_ms / 1e3


@dataclass(frozen=True)
class Stage:
    """What is started, and what is waited for. nodes: full names, the camera's among them. lifecycle: those that must
    be active. topics: what must be connected. ready: called then, just before the camera begins. variables: what the
    environment has besides a ROS domain of its own."""

    nodes: tuple[str, ...]
    lifecycle: tuple[str, ...]
    topics: Sequence[Topic]
    ready: Callable[[], None] = lambda: None
    variables: Mapping[str, str] = field(default_factory=dict)


def one_machine(tasks: tuple[str, ...]) -> Stage:
    """Robot, link and edge side by side."""
    return Stage((*names.LIFECYCLE, names.LINK, names.CAMERA), names.LIFECYCLE, names.radio_topics(tasks))


def play(system: System, plan: Plan, stage: Stage, logs: Path, check: Callable[[], None]) -> Played:
    """Start the nodes in a ROS domain of their own, wait for them, play the frames, stop everything. `check`, which
    may raise, is called all the while.

    Raises NodeDiedError, NotReadyError or StalledError.
    """
    started = time.monotonic()
    with isolated_domain() as domain, environment({**domain, **stage.variables}):
        child_environment = {**single_threaded(os.environ), "PYTHONUNBUFFERED": "1", "RCUTILS_COLORIZED_OUTPUT": "0"}
        with Supervisor(logs, child_environment) as nodes, _ros() as context:
            for node in stage.nodes:
                nodes.start(system.spec(node, may_finish=node == names.CAMERA))

            def check_all() -> None:
                check()
                nodes.check()

            with Observer(names.ROBOT, plan.tasks, context) as observer:
                Readiness(observer, stage.lifecycle, stage.topics).wait(_READY_S, check_all)
                stage.ready()
                ready, before = time.monotonic(), nodes.usage()
                observer.watch_images()
                _watch(observer, nodes, plan, check_all)
                seconds = time.monotonic() - ready
                loads = {name: _load(used, before.get(name), seconds) for name, used in nodes.usage().items()}
            return Played(observer.log, loads, ready - started, seconds)


@contextmanager
def _ros() -> Iterator[Context]:
    context = Context()
    # Ctrl-C belongs to this process's own clean-up.
    arguments = ["--ros-args", "--disable-external-lib-logs"]
    rclpy.init(args=arguments, context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield context
    finally:
        rclpy.try_shutdown(context=context)


def _watch(observer: Observer, nodes: Supervisor, plan: Plan, check: Callable[[], None]) -> None:
    """Show the progress until all frames are played and their results are in, or cannot be expected any more."""
    last_change = time.monotonic()
    sent = complete = 0
    with progress_bar(total=plan.frames, desc="playing") as progress:
        while complete < plan.frames:
            time.sleep(0.1)
            check()
            nodes.usage()  # while they live: the camera ends before the others
            now_sent, now_complete = observer.counts()
            if (now_sent, now_complete) != (sent, complete):
                last_change = time.monotonic()
            progress.set_postfix_str(f"{now_complete} with all results", refresh=False)
            progress.update(min(now_sent, plan.frames) - progress.n)
            sent, complete = now_sent, now_complete
            still_s = time.monotonic() - last_change
            if still_s > plan.linger_s and (sent >= plan.frames or nodes.finished("image_source_node")):
                return
            if still_s > plan.patience_s:
                raise StalledError(f"the camera stopped after {sent} of {plan.frames} frames; see {nodes.logs}")


def _load(used: Usage, before: Usage | None, seconds: float) -> Load:
    if used.cpu_s is None:
        return Load(None, used.memory_mb)
    earlier = before.cpu_s or 0.0 if before else 0.0
    return Load(round(100 * (used.cpu_s - earlier) / seconds, 1), used.memory_mb)
