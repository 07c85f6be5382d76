# SPDX-License-Identifier: Apache-2.0
"""What a bench run is told, and one process's bundle, frames, methods and judges."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nepi_ros.bench.frames import Frame, add_array, load_frames, load_probes
from nepi_ros.bench.judge import Counts, Judge, networks_id
from nepi_ros.bench.peers import PEERS, Coded, Peer, Setting, make_peers
from nepi_ros.bench.peers.grace import PROBES, Tables, measure_sensitivity
from nepi_ros.bench.points import Point
from nepi_ros.bundle import Bundle

UNTOUCHED = "untouched"


@dataclass(frozen=True)
class Setup:
    """What is to be measured. `limit` of frames and `steps` of each method's range: 0 is all of them."""

    bundle: Path
    data: Path
    out: Path
    peers: tuple[str, ...] = PEERS
    targets: tuple[str, ...] = ("plain",)
    blind: Path | None = None
    probes: Path | None = None
    limit: int = 0
    steps: int = 0


class Bench:
    """Bundle, frames and methods of a setup, in one process."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.bundle = Bundle.load(setup.bundle)
        self.networks_ids = {targets: networks_id(self.bundle, targets) for targets in setup.targets}
        self.frames = load_frames(setup.data, self.bundle, setup.limit)
        self._judges: dict[str, Judge] = {}

    def identity(self, targets: str) -> list[Any]:
        """What every figure that `targets` judge depends on: networks, frames, and how both fit together."""
        specs = {name: [spec.classes, spec.min_m, spec.max_m] for name, spec in self.bundle.tasks.items()}
        return [self.networks_ids[targets], list(self.bundle.input_size), self.frames.fingerprint, specs]

    def judge(self, targets: str) -> Judge:
        """The judge with these target networks."""
        if targets not in self._judges:  # a run that finds all its points needs no networks
            self._judges[targets] = Judge(self.bundle, targets)
        return self._judges[targets]

    def peers(self, names: Iterable[str], tables: Tables, no_tables: str = "") -> dict[str, Peer]:
        """The named methods."""
        return make_peers(names, self.bundle, self.setup.blind, tables, self.frames.is_video, no_tables)

    def point(self, method: str, setting: Setting, tables: Tables, targets: Sequence[str]) -> list[Point]:
        """Measure a method at a setting on all frames: coded once, judged by each of `targets`."""
        began = time.perf_counter()
        judges = [self.judge(name) for name in targets]
        coded: list[tuple[int, int]] = []
        counts: list[list[Counts]] = [[] for _ in judges]
        for frame, done in self._code(method, setting, tables):
            coded.append((done.size, done.wire) if done else (0, 0))
            for judge, kept in zip(judges, counts, strict=True):
                kept.append(judge.counts(frame, done))
        seconds = (time.perf_counter() - began) / len(judges)
        return [Point.of(method, setting, coded, kept, seconds) for kept in counts]

    def _code(self, method: str, setting: Setting, tables: Tables) -> Iterator[tuple[Frame, Coded | None]]:
        if method == UNTOUCHED:
            yield from ((frame, None) for frame in self.frames.frames)
            return
        peer = self.peers([method], tables)[method]
        for run in self.frames.runs:
            group = [self.frames.frames[i] for i in run]
            yield from zip(group, peer.code(group, setting), strict=True)

    @cached_property
    def probes(self) -> list[Frame]:
        """The images that GRACE probes the networks with."""
        return load_probes(self.setup.probes, self.bundle, PROBES)

    def probes_id(self) -> str:
        """Changes when one of the probes does, as the networks see it."""
        digest = hashlib.sha256()
        for probe in self.probes:
            add_array(digest, probe.image)
        return digest.hexdigest()[:16]

    def sensitivity(self, targets: str, task: str, subsampling: str) -> list[list[float]]:
        """GRACE's probing of one task's network."""
        return measure_sensitivity(self.judge(targets).networks, task, self.probes, subsampling)
