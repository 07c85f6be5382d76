# SPDX-License-Identifier: Apache-2.0
"""What has to be measured, and what is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from nepi_ros.bench.peers import Peer, Setting
from nepi_ros.bench.peers.base import thinned
from nepi_ros.bench.peers.grace import Grace, Tables
from nepi_ros.bench.peers.stills import SUBSAMPLINGS
from nepi_ros.bench.points import Point, PointStore, point_key
from nepi_ros.bench.workbench import UNTOUCHED, Bench


@dataclass(frozen=True)
class Job:
    """A call of a Bench's method in some process, and what to do with the result in this one."""

    what: str
    arguments: tuple[Any, ...]
    keep: Callable[[Any], None]


class Plan:
    """What is there and what has to be measured. GRACE comes after the rest, for its tables are measured first."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._setup = bench, bench.setup
        self._stores = {name: PointStore(bench.setup.out / "points" / name) for name in bench.setup.targets}
        self._points: dict[str, dict[str, list[Point | None]]] = {name: {} for name in bench.setup.targets}
        self.tables: dict[str, Tables] = {name: {} for name in bench.setup.targets}
        self.problems: dict[str, str] = {}
        self.found = 0

    def points(self, targets: str) -> dict[str, list[Point]]:
        """The points with some target networks, once all jobs are done: method -> points, UNTOUCHED among them."""
        return dict(self._points[targets])

    def first(self) -> list[Job]:
        """Everything but GRACE, and its probing; methods take turns, so that the time left is guessed well early."""
        names = [name for name in self._setup.peers if name != "grace"]
        jobs = [self._peer_jobs(peer, self._setup.targets, {}) for peer in self._bench.peers(names, {}).values()]
        jobs += [self._probe_jobs(targets) for targets in self._setup.targets if "grace" in self._setup.peers]
        mixed = [job for job in chain.from_iterable(zip_longest(*jobs)) if job]
        return self._jobs(UNTOUCHED, [{}], "", self._setup.targets, {}) + mixed

    def fitted_at_most(self) -> int:
        """How many points of GRACE there may be to measure; the tables decide which of them are known."""
        if "grace" not in self._setup.peers or self._setup.probes is None:
            return 0
        settings = Grace(dict.fromkeys(self._bench.bundle.tasks, {})).settings()
        return len(thinned(settings, self._setup.steps)) * len(self._setup.targets)

    def fitted(self) -> list[Job]:
        """GRACE, once its tables are there; each of the target networks has its own."""
        if "grace" not in self._setup.peers:
            return []
        why = "" if self._setup.probes else "it needs images to probe the networks with; name a folder with --probes"
        jobs = []
        for targets, tables in self.tables.items():
            # In the tasks' order whatever was finished first: the points' keys depend on the tables.
            ordered = {t: dict(sorted(tables[t].items())) for t in self._bench.bundle.tasks if t in tables}
            jobs += self._peer_jobs(self._bench.peers(["grace"], ordered, why)["grace"], (targets,), ordered)
        return jobs

    def _peer_jobs(self, peer: Peer, targets: Sequence[str], tables: Tables) -> list[Job]:
        problem = peer.problem()
        if problem:
            self.problems[peer.name] = problem
            return []
        return self._jobs(peer.name, thinned(peer.settings(), self._setup.steps), peer.version, targets, tables)

    def _jobs(
        self, method: str, settings: Sequence[Setting], version: str, targets: Sequence[str], tables: Tables
    ) -> list[Job]:
        """Jobs for the points that are not there yet; those that are, are put into their places."""
        for name in targets:
            self._points[name][method] = [None] * len(settings)
        jobs = []
        for place, setting in enumerate(settings):
            slots = []
            for name in targets:
                key = point_key(method, setting, version, self._bench.identity(name), tables)
                slot = _Slot(self._stores[name], self._points[name][method], place, key)
                if not slot.fill(method, setting):
                    slots.append((name, slot))
            self.found += len(targets) - len(slots)
            if slots:
                missing = tuple(name for name, _ in slots)
                keep = _Keep([slot for _, slot in slots])
                jobs.append(Job("point", (method, setting, tables, missing), keep))
        return jobs

    def _probe_jobs(self, targets: str) -> list[Job]:
        if self._setup.probes is None:
            return []
        jobs, store = [], self._stores[targets]
        probed = [self._bench.networks_ids[targets], self._bench.probes_id()]
        for task in self._bench.bundle.tasks:
            for subsampling in SUBSAMPLINGS:
                name = f"grace/sensitivity-{task}-{subsampling.replace(':', '')}.json"
                key = point_key(task, subsampling, probed)
                known = store.load_json(name, key)
                place = self.tables[targets].setdefault(task, {})
                if known is None:
                    keep = _KeepTable(store, name, key, place, subsampling)
                    jobs.append(Job("sensitivity", (targets, task, subsampling), keep))
                else:
                    place[subsampling] = known["sensitivity"]
        return jobs


@dataclass(frozen=True, eq=False)
class _Slot:
    """Where a point goes: a file, and a place in a list."""

    store: PointStore
    places: list[Point | None]
    place: int
    key: str

    def fill(self, method: str, setting: Setting) -> bool:
        """Take the point from its file if it is there."""
        self.places[self.place] = self.store.load(method, setting, self.key)
        return self.places[self.place] is not None

    def keep(self, point: Point) -> None:
        """Keep a measured point."""
        self.store.save(point, self.key)
        self.places[self.place] = point


@dataclass(frozen=True, eq=False)
class _Keep:
    """Keeps the points of a job."""

    slots: Sequence[_Slot]

    def __call__(self, points: Sequence[Point]) -> None:
        for slot, point in zip(self.slots, points, strict=True):
            slot.keep(point)


@dataclass(frozen=True, eq=False)
class _KeepTable:
    """Keeps the sensitivities of one network and subsampling."""

    store: PointStore
    name: str
    key: str
    place: dict[str, list[list[float]]]
    subsampling: str

    def __call__(self, sensitivity: list[list[float]]) -> None:
        self.store.save_json(self.name, {"key": self.key, "sensitivity": sensitivity})
        self.place[self.subsampling] = sensitivity


