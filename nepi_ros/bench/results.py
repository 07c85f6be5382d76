# SPDX-License-Identifier: Apache-2.0
"""From measured points to results.json. reports/README.md describes every field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nepi_ros.bench.curves import CONFIDENCE, RESAMPLES, bytes_at, frontier, interval, resampling
from nepi_ros.bench.judge import ACCURACY, AGREEMENT, meters_of
from nepi_ros.bench.peers.base import families
from nepi_ros.bench.points import Point
from nepi_ros.bench.runner import Measured
from nepi_ros.provenance import provenance
from nepi_ros.tasks import REGISTRY

SCHEMA = 1
OURS = "epitome"
HEADLINE_DROP = 0.01
DROPS = (0.005, 0.01, 0.03)
COUNTED = ("payload", "wire")

class Figures:
    """Bytes and metrics of a run's points, for the set and its resamples alike (row 0 is the set itself)."""

    def __init__(self, measured: Measured, resamples: int = RESAMPLES) -> None:
        self.measured = measured
        self._weights = resampling(len(measured.frames.frames), resamples)
        self._meters = {task: {n: make() for n, make in m.items()} for task, m in meters_of(measured.bundle).items()}
        self._cache: dict[tuple[int, str, str], np.ndarray] = {}

    @property
    def measures(self) -> dict[str, list[str]]:
        """task -> measures that have a value on these frames."""
        reference = self.measured.untouched
        return {
            task: [name for name in meters if np.isfinite(self.metric(reference, task, name)[0])]
            for task, meters in self._meters.items()
        }

    def metric(self, point: Point, task: str, measure: str) -> np.ndarray:
        """A metric [1 + resamples] at a point."""
        place = (id(point), task, measure)
        if place not in self._cache:
            counts = self._weights @ point.counts[task][measure].astype(np.float64)
            self._cache[place] = self._meters[task][measure].of(counts)
        return self._cache[place]

    def sizes(self, point: Point, counted: str) -> np.ndarray:
        """Mean bytes per frame [1 + resamples] at a point, of the payload or on the wire."""
        return self._weights @ (point.sizes if counted == "payload" else point.wire) / len(point.sizes)

    def points(self, method: str) -> list[Point]:
        """A method's points. JPEG with downscaling may also leave the scale as it is."""
        points = self.measured.points
        return points.get(method, []) + (points.get("jpeg", []) if method == "jpeg_downscaled" else [])

    def at_threshold(self, method: str, task: str, by: str, drop: float, counted: str) -> np.ndarray:
        """Bytes [1 + resamples] of a method where the metric is `drop` (relative) below that on untouched frames."""
        threshold = self.metric(self.measured.untouched, task, by) * (1 - drop)
        curves = families(self.points(method), lambda point: point.setting)
        if not curves:
            return np.full(len(threshold), np.nan)
        return np.min([self._curve_at(points, task, by, threshold, counted) for points in curves], axis=0)

    def _curve_at(
        self, points: Sequence[Point], task: str, by: str, threshold: np.ndarray, counted: str
    ) -> np.ndarray:
        sizes = np.stack([self.sizes(point, counted) for point in points], axis=-1)
        metrics = np.stack([self.metric(point, task, by) for point in points], axis=-1)
        return bytes_at(sizes, metrics, threshold)


def results(measured: Mapping[str, Measured], methods: Sequence[str], resamples: int = RESAMPLES) -> dict[str, Any]:
    """results.json for the target networks measured ("plain", "robust"); the first of them makes the headline."""
    figures = {targets: Figures(one, resamples) for targets, one in measured.items()}
    main = next(iter(figures))
    labelled = {task: names for task, names in figures[main].measures.items() if ACCURACY in names}
    return {
        "schema": SCHEMA,
        "headline": {
            task: _row(figures[main], methods, task, ACCURACY, HEADLINE_DROP, "payload") for task in labelled
        },
        "beside": [
            {"targets": targets, **_row(each, methods, task, by, drop, counted)}
            for targets, each in figures.items()
            for task, names in each.measures.items()
            for by in (ACCURACY, AGREEMENT)
            if by in names
            for counted in COUNTED
            for drop in DROPS
        ],
        "targets": {targets: _curves(each, methods) for targets, each in figures.items()},
        "problems": dict(measured[main].problems),
        "grace": _grace(measured[main]),
        "run": _run(measured, main),
    }


def _row(figures: Figures, methods: Sequence[str], task: str, by: str, drop: float, counted: str) -> dict[str, Any]:
    target = float(figures.metric(figures.measured.untouched, task, by)[0])
    reached = {method: figures.at_threshold(method, task, by, drop, counted) for method in methods}
    ratios = {method: np.full(values.shape, np.nan) for method, values in reached.items()}
    if OURS in reached and np.isfinite(reached[OURS][0]):
        with np.errstate(invalid="ignore"):
            ratios = {method: values / reached[OURS] for method, values in reached.items()}
    return {
        "task": task,
        "by": by,
        "metric": REGISTRY[task].metric if by == ACCURACY else AGREEMENT,
        "drop": drop,
        "counted": counted,
        "target_accuracy": _number(target),
        "threshold": _number(target * (1 - drop)),
        "bytes": {method: _number(values[0]) for method, values in reached.items()},
        "ratio": {method: _number(values[0]) for method, values in ratios.items()},
        "bytes_interval": {method: _interval(values) for method, values in reached.items()},
        "ratio_interval": {method: _interval(values) for method, values in ratios.items()},
        "best": {method: _best(figures, method, task, by, counted) for method in methods},
        "at_smallest": [
            method for method in methods if _at_smallest(figures, method, float(reached[method][0]), counted)
        ],
    }


def _interval(values: np.ndarray) -> list[float | None] | None:
    """Of a value that exists: a method that does not get there has no interval."""
    if not np.isfinite(values[0]):
        return None
    ends = interval(values[1:])
    return None if ends is None else [_number(end) for end in ends]


def _best(figures: Figures, method: str, task: str, by: str, counted: str) -> dict[str, float | None] | None:
    """The method's best point, and the smallest of several."""
    points = figures.points(method)
    if not points:
        return None
    best = max(points, key=lambda p: (figures.metric(p, task, by)[0], -figures.sizes(p, counted)[0]))
    return {"bytes": _number(figures.sizes(best, counted)[0]), "accuracy": _number(figures.metric(best, task, by)[0])}


def _at_smallest(figures: Figures, method: str, size: float, counted: str) -> bool:
    """Whether the method's smallest point is good enough already, so that it might do with less."""
    points = figures.points(method)
    return bool(points) and math.isclose(min(figures.sizes(p, counted)[0] for p in points), size)


def _curves(figures: Figures, methods: Sequence[str]) -> dict[str, Any]:
    measures = figures.measures
    untouched = {
        task: {name: _number(figures.metric(figures.measured.untouched, task, name)[0]) for name in names}
        for task, names in measures.items()
    }
    return {"untouched": untouched, "methods": {m: _points(figures, m, measures) for m in methods}}


def _points(figures: Figures, method: str, measures: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    points = sorted(figures.measured.points.get(method, []), key=lambda p: p.sizes.mean())
    shown = {
        task: {place for place in frontier(_means(points), _metrics(figures, points, task, names))}
        for task, names in measures.items()
    }
    return [
        {
            "setting": point.setting,
            "bytes": _number(point.sizes.mean()),
            "wire": _number(point.wire.mean()),
            "best_for": [task for task, places in shown.items() if place in places],
            **{
                task: {name: _number(figures.metric(point, task, name)[0]) for name in names}
                for task, names in measures.items()
            },
        }
        for place, point in enumerate(points)
    ]


def _means(points: Sequence[Point]) -> np.ndarray:
    return np.array([point.sizes.mean() for point in points])


def _metrics(figures: Figures, points: Sequence[Point], task: str, names: Sequence[str]) -> np.ndarray:
    by = ACCURACY if ACCURACY in names else AGREEMENT
    return np.array([figures.metric(point, task, by)[0] for point in points])


def _grace(measured: Measured) -> dict[str, Any]:
    """GRACE's measured sensitivities, from which a bound gives its tables."""
    return {
        task: {s: [[float(f"{v:.4g}") for v in channel] for channel in table] for s, table in tables.items()}
        for task, tables in measured.tables.items()
    }


def _run(measured: Mapping[str, Measured], main: str) -> dict[str, Any]:
    one = measured[main]
    width, height = one.bundle.input_size
    return {
        "bundle": {"name": one.bundle.name, "id": f"{one.bundle.id:016x}", "answers": list(one.bundle.answers)},
        "set": "/".join(one.frames.folder.resolve().parts[-2:]),
        "frames": len(one.frames.frames),
        "frames_id": one.frames.fingerprint,
        "runs": len(one.frames.runs) if one.frames.is_video else None,
        "input": {"width": width, "height": height},
        "targets": list(measured),
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "measuring_seconds": round(sum(p.seconds for m in measured.values() for ps in m.points.values() for p in ps)),
        **provenance(),
    }


def _number(value: float) -> float | None:
    """Six digits, as JSON has them: null for what is not there or infinite."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
