# SPDX-License-Identifier: Apache-2.0
"""Runs every method over its range on the same frames, in several processes, keeping each finished point."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from nepi_ros.bench.frames import BenchFrames, load_frames, load_probes
from nepi_ros.bench.judge import Judge, networks_id
from nepi_ros.bench.peers import PEERS, Peer, Setting, make_peers
from nepi_ros.bench.peers.base import thinned
from nepi_ros.bench.peers.grace import PROBES, Grace, Tables, measure_sensitivity
from nepi_ros.bench.peers.stills import SUBSAMPLINGS
from nepi_ros.bench.points import Point, PointStore, point_key
from nepi_ros.bundle import Bundle
from nepi_ros.demo.progress import progress_bar
from nepi_ros.errors import NepiError

UNTOUCHED = "untouched"


@dataclass(frozen=True)
class Setup:
    """What is to be measured. `limit` of frames and `steps` of each method's range: 0 is all of them."""

    bundle: Path
    data: Path
    out: Path
    peers: tuple[str, ...] = PEERS
    targets: str = "plain"
    blind: Path | None = None
    probes: Path | None = None
    limit: int = 0
    steps: int = 0


@dataclass(frozen=True, eq=False)
class Measured:
    """All points of a run: per method, and of the untouched frames. `problems`: why a method has no points."""

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


class Bench:
    """Bundle, frames and methods of a setup, in one process."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.bundle = Bundle.load(setup.bundle)
        self.networks_id = networks_id(self.bundle, setup.targets)
        self.frames = load_frames(setup.data, self.bundle, setup.limit)
        self._judge: Judge | None = None

    @property
    def judge(self) -> Judge:
        if self._judge is None:  # a run that finds all its points needs no networks
            self._judge = Judge(self.bundle, self.setup.targets)
        return self._judge

    def peers(self, names: Iterable[str], tables: Tables, no_tables: str = "") -> dict[str, Peer]:
        """The named methods."""
        return make_peers(names, self.bundle, self.setup.blind, tables, self.frames.is_video, no_tables)

    def point(self, method: str, setting: Setting, tables: Tables) -> Point:
        """Measure a method at a setting on all frames."""
        began = time.perf_counter()
        frames, coded, counts = self.frames.frames, [], []
        if method == UNTOUCHED:
            coded = [(0, 0)] * len(frames)
            counts = [self.judge.counts(frame, None) for frame in frames]
        else:
            peer = self.peers([method], tables)[method]
            for run in self.frames.runs:
                group = [frames[i] for i in run]
                for frame, done in zip(group, peer.code(group, setting), strict=True):
                    coded.append((done.size, done.wire))
                    counts.append(self.judge.counts(frame, done.image))
        return Point.of(method, setting, coded, counts, time.perf_counter() - began)

    def sensitivity(self, task: str, subsampling: str) -> list[list[float]]:
        """GRACE's probing of one task's network."""
        probes = load_probes(self.setup.probes, self.bundle, PROBES)
        return measure_sensitivity(self.judge.networks, task, probes, subsampling)


def measure(setup: Setup, workers: int) -> Measured:
    """Measure all that is not measured yet. Raises NepiError for what the user can put right."""
    bench = Bench(setup)
    store = PointStore(setup.out / "points" / setup.targets)
    plan = _Plan(bench, store)
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
    points = plan.points
    reference = points.pop(UNTOUCHED)[0]
    return Measured(bench, reference, points, plan.problems, plan.tables)


@dataclass(frozen=True)
class _Job:
    """A call of a Bench's method in some process, and what to do with the result in this one."""

    what: str
    arguments: tuple[Any, ...]
    keep: Callable[[Any], None]


class _Plan:
    """What is there and what has to be measured. GRACE comes after the rest, for its tables are measured first."""

    def __init__(self, bench: Bench, store: PointStore) -> None:
        self._bench, self._store, self._setup = bench, store, bench.setup
        self.points: dict[str, list[Point]] = {}
        self.problems: dict[str, str] = {}
        self.tables: Tables = {}
        self.found = 0

    def first(self) -> list[_Job]:
        """Everything but GRACE, and its probing; methods take turns, so that the time left is guessed well early."""
        names = [name for name in self._setup.peers if name != "grace"]
        jobs = [self._point_jobs(peer) for peer in self._bench.peers(names, {}).values()]
        jobs += [self._probe_jobs()] if "grace" in self._setup.peers else []
        mixed = [job for job in chain.from_iterable(zip_longest(*jobs)) if job]
        return self._jobs(UNTOUCHED, [{}], "") + mixed

    def fitted(self) -> list[_Job]:
        """GRACE, once its tables are there."""
        if "grace" not in self._setup.peers:
            return []
        why = "" if self.tables else "it needs images to probe the networks with; name a folder with --probes"
        return self._point_jobs(self._bench.peers(["grace"], self.tables, why)["grace"])

    def fitted_at_most(self) -> int:
        """How many points of GRACE there may be to measure; the tables decide which of them are known."""
        if "grace" not in self._setup.peers or self._setup.probes is None:
            return 0
        return len(thinned(Grace(dict.fromkeys(self._bench.bundle.tasks, {})).settings(), self._setup.steps))

    def _point_jobs(self, peer: Peer) -> list[_Job]:
        problem = peer.problem()
        if problem:
            self.problems[peer.name] = problem
            return []
        return self._jobs(peer.name, thinned(peer.settings(), self._setup.steps), peer.version)

    def _jobs(self, method: str, settings: Sequence[Setting], version: str) -> list[_Job]:
        places: list[Point | None] = [None] * len(settings)
        self.points[method] = places  # filled by the time it is read
        jobs = []
        for place, setting in enumerate(settings):
            tables = self.tables if method == "grace" else {}
            key = point_key(method, setting, version, self._identity(), tables)
            places[place] = self._store.load(method, setting, key)
            if places[place] is None:
                keep = _Keep(self._store, places, place, key)
                jobs.append(_Job("point", (method, setting, tables), keep))
            else:
                self.found += 1
        return jobs

    def _probe_jobs(self) -> list[_Job]:
        if self._setup.probes is None:
            return []
        jobs = []
        for task in self._bench.bundle.tasks:
            for subsampling in SUBSAMPLINGS:
                name = f"grace/sensitivity-{task}-{subsampling.replace(':', '')}.json"
                key = point_key(task, subsampling, self._bench.networks_id, str(self._setup.probes.resolve()), PROBES)
                known = self._store.load_json(name, key)
                if known is None:
                    keep = self._table_keeper(task, subsampling, name, key)
                    jobs.append(_Job("sensitivity", (task, subsampling), keep))
                else:
                    self._set_table(task, subsampling, known["sensitivity"])
        return jobs

    def _table_keeper(self, task: str, subsampling: str, name: str, key: str) -> Callable[[Any], None]:
        def keep(sensitivity: list[list[float]]) -> None:
            self._store.save_json(name, {"key": key, "sensitivity": sensitivity})
            self._set_table(task, subsampling, sensitivity)

        return keep

    def _set_table(self, task: str, subsampling: str, sensitivity: list[list[float]]) -> None:
        self.tables.setdefault(task, {})[subsampling] = sensitivity
        # In the tasks' order whatever was finished first: the points' keys depend on the tables.
        self.tables = {t: dict(sorted(self.tables[t].items())) for t in self._bench.bundle.tasks if t in self.tables}

    def _identity(self) -> list[Any]:
        bench = self._bench
        return [bench.networks_id, list(bench.bundle.input_size), bench.frames.fingerprint, _specs(bench.bundle)]


@dataclass(frozen=True, eq=False)
class _Keep:
    """Keeps a measured point, on disk and in its place."""

    store: PointStore
    places: list[Point | None]
    place: int
    key: str

    def __call__(self, point: Point) -> None:
        self.store.save(point, self.key)
        self.places[self.place] = point


def _specs(bundle: Bundle) -> dict[str, Any]:
    return {name: [spec.classes, spec.min_m, spec.max_m] for name, spec in bundle.tasks.items()}


_BENCH: Bench | None = None


def _start(setup: Setup) -> None:
    global _BENCH
    _BENCH = Bench(setup)


def _call(what: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_BENCH, what)(*arguments)


class _Pool:
    """Runs jobs in this process (one worker) or in others, which begin when there is a job."""

    def __init__(self, bench: Bench, workers: int) -> None:
        self._bench, self._workers = bench, workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def run(self, jobs: Sequence[_Job]) -> Iterator[None]:
        """Run all jobs, yielding after each; what is finished is kept even when a later one fails."""
        if self._workers == 1 or len(jobs) < 2:
            for job in jobs:
                job.keep(getattr(self._bench, job.what)(*job.arguments))
                yield
            return
        if self._pool is None:
            # Not fork: networks may already run in threads here.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, _start, (self._bench.setup,))
        waiting: dict[Future, _Job] = {self._pool.submit(_call, job.what, job.arguments): job for job in jobs}
        for future in as_completed(waiting):
            try:
                waiting[future].keep(future.result())
            except MemoryError as error:
                raise NepiError("not enough memory for so many processes; use fewer with --workers") from error
            yield
