# SPDX-License-Identifier: Apache-2.0
"""Start node processes, watch them, measure what they use, and leave none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nepi_ros.errors import NepiError
from nepi_ros.process import end_with_parent, peak_memory_mb

_LAST_LINES = 12


class NodeDiedError(NepiError):
    """A supervised node ended by itself."""


@dataclass(frozen=True)
class NodeSpec:
    """One process to run: `name` labels its log, `command` is its argument vector.

    may_finish: ending with status 0 is part of its work (a source that has played its last frame).
    """

    name: str
    command: tuple[str, ...]
    may_finish: bool = False


@dataclass(frozen=True)
class Usage:
    """What a process has used so far: processor seconds, peak resident memory in MB (None: unknown here)."""

    cpu_s: float | None = None
    memory_mb: float | None = None


@dataclass
class _Child:
    spec: NodeSpec
    process: subprocess.Popen
    log: Path
    usage: Usage = field(default_factory=Usage)


class Supervisor:
    """Runs node processes; leaving its `with` block stops them all.

    Each child's output goes to `logs/NAME.log`. Children sit in sessions of their own, so that Ctrl-C
    reaches only this process, which then stops them in order; should this process be killed, they get SIGTERM.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str] | None = None) -> None:
        self.logs = logs
        self._environment = dict(os.environ if environment is None else environment)
        self._children: list[_Child] = []
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, spec: NodeSpec) -> None:
        """Start one process. Raises NodeDiedError when it cannot be started at all."""
        log = self.logs / f"{spec.name}.log"
        try:
            with log.open("wb") as output:
                process = subprocess.Popen(
                    spec.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                    preexec_fn=end_with_parent,
                )
        except OSError as error:
            raise NodeDiedError(f"{spec.name}: cannot start {spec.command[0]}: {error}") from error
        self._children.append(_Child(spec, process, log))

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {child.spec.name: child.process.pid for child in self._children}

    def finished(self, name: str) -> bool:
        """Whether the process called `name` has ended."""
        return any(c.process.poll() is not None for c in self._children if c.spec.name == name)

    def check(self) -> None:
        """Raise NodeDiedError, with the last lines of its log, for a process that ended and should not have."""
        for child in self._children:
            status = child.process.poll()
            if status is None or (status == 0 and child.spec.may_finish):
                continue
            raise NodeDiedError(f"{child.spec.name} {_how_it_ended(status)}. {_log_excerpt(child.log)}")

    def usage(self) -> dict[str, Usage]:
        """What every process has used since its start; the last known values of those that ended."""
        for child in self._children:
            if child.process.poll() is None:
                child.usage = _usage_of(child.process.pid) or child.usage
        return {child.spec.name: child.usage for child in self._children}

    def stop(self, grace_s: float = 3.0) -> None:
        """End every process: interrupt, then terminate, then kill, `grace_s` seconds apart at most."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            running = [child.process for child in self._children if child.process.poll() is None]
            for process in running:
                _signal_session(process, number)
            deadline = time.monotonic() + grace_s
            for process in running:
                _wait(process, deadline - time.monotonic())


def single_threaded(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with math libraries held to one thread: several nodes share few cores."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {**environment, **{name: "1" for name in names}}


def _signal_session(process: subprocess.Popen, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _wait(process: subprocess.Popen, seconds: float) -> None:
    try:
        process.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        pass


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended by itself with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _log_excerpt(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    if not lines:
        return f"It wrote nothing to {log}"
    return "\n".join([f"Its last lines ({log}):", *("  | " + line for line in lines)])


def _usage_of(pid: int) -> Usage | None:
    """Read /proc; None where there is none or the process has just ended (a zombie has no memory)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    peak = peak_memory_mb(pid)
    return peak and Usage(ticks / os.sysconf("SC_CLK_TCK"), peak)
