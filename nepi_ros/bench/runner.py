# SPDX-License-Identifier: Apache-2.0
"""Runs every method over its range on the same frames, in several processes, keeping each finished point."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from nepi_ros.bench.frames import BenchFrames
from nepi_ros.bench.peers.grace import Tables
from nepi_ros.bench.plan import Job, Plan
from nepi_ros.bench.points import Point
from nepi_ros.bench.workbench import UNTOUCHED, Bench, Setup
from nepi_ros.bundle import Bundle
from nepi_ros.errors import NepiError
from nepi_ros.process import worker_pool
from nepi_ros.progress import progress_bar


@dataclass(frozen=True, eq=False)
class Measured:
    """All points of a run with one set of target networks: per method, and of the untouched frames.

    `problems`: why a method has no points.
    """

    bench: Bench
    untouched: Point
    points: dict[str, list[Point]]
    problems: dict[str, str]
    tables: Tables = field(default_factory=dict)

    @property
    def bundle(self) -> Bundle:
        return self.bench.bundle

    @property
    def frames(self) -> BenchFrames:
        return self.bench.frames


def measure(setup: Setup, workers: int) -> dict[str, Measured]:
    """Measure all that is not measured yet; a result for each of the setup's targets.

    Raises NepiError for what the user can put right.
    """
    bench = Bench(setup)
    plan = Plan(bench)
    jobs = plan.first()
    later = plan.fitted_at_most()
    total = len(jobs) + later
    with _Pool(bench, workers) as pool, progress_bar(desc="measuring", unit="point", total=total) as bar:
        for _ in pool.run(jobs):
            bar.update()
        jobs = plan.fitted()
        bar.total += len(jobs) - later
        for _ in pool.run(jobs):
            bar.update()
        bar.set_postfix_str(f"{plan.found} were there")
    return {targets: _measured(bench, plan, targets) for targets in setup.targets}


def _measured(bench: Bench, plan: Plan, targets: str) -> Measured:
    points = plan.points(targets)
    reference = points.pop(UNTOUCHED)[0]
    return Measured(bench, reference, points, plan.problems, plan.tables[targets])


_BENCH: Bench | None = None


def _start(setup: Setup) -> None:
    global _BENCH
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the first process's to act upon
    _BENCH = Bench(setup)


def _call(what: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_BENCH, what)(*arguments)


class _Pool:
    """Runs jobs in this process (one worker) or in others, which begin when there is a job."""

    def __init__(self, bench: Bench, workers: int) -> None:
        self._bench, self._workers = bench, workers
        self._pool: ProcessPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def run(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Run all jobs, yielding after each; what is finished is kept even when a later one fails."""
        if self._workers == 1 or len(jobs) < 2:
            for job in jobs:
                job.keep(getattr(self._bench, job.what)(*job.arguments))
                yield
            return
        if self._pool is None:
            self._pool = self._stack.enter_context(worker_pool(self._workers, _start, self._bench.setup))
        waiting: dict[Future, Job] = {self._pool.submit(_call, job.what, job.arguments): job for job in jobs}
        for future in as_completed(waiting):
            try:
                waiting[future].keep(future.result())
            except (MemoryError, BrokenProcessPool) as error:
                raise NepiError(
                    "a measuring process ended, perhaps for want of memory; use fewer with --workers: "
                    "what is measured is kept"
                ) from error
            yield
