# SPDX-License-Identifier: Apache-2.0
"""Measured points on disk: one JSON file each, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nepi_ros.bench.judge import Counts
from nepi_ros.bench.peers import Setting
from nepi_ros.files import write_atomic

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Point:
    """One method at one setting: per frame bytes [N], bytes on the wire [N], and counts task -> measure -> [N, D]."""

    method: str
    setting: Setting
    sizes: np.ndarray
    wire: np.ndarray
    counts: Mapping[str, Mapping[str, np.ndarray]]
    seconds: float

    @classmethod
    def of(
        cls, method: str, setting: Setting, coded: Sequence[tuple[int, int]], counts: Sequence[Counts], seconds: float
    ) -> Point:
        """From (bytes, bytes on the wire) and counts of every frame."""
        sizes, wire = np.array(coded, np.int64).reshape(-1, 2).T
        stacked = {
            task: {name: np.stack([frame[task][name] for frame in counts]) for name in measures}
            for task, measures in counts[0].items()
        }
        return cls(method, setting, sizes, wire, stacked, seconds)


def point_key(*parts: Any) -> str:
    """Identifies everything a point depends on."""
    return hashlib.sha256(json.dumps([_FORMAT, *parts], sort_keys=True).encode()).hexdigest()[:16]


class PointStore:
    """Points in a folder. A file whose key is another one was measured on something else and does not count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, method: str, setting: Setting, key: str) -> Point | None:
        """The point if it is there, whole and of this key."""
        data = self.load_json(self._name(method, setting, key), key)
        if data is None:
            return None
        try:
            counts = {t: {m: np.array(c) for m, c in measures.items()} for t, measures in data["counts"].items()}
            sizes, wire = np.array(data["bytes"]), np.array(data["wire"])
            return Point(method, setting, sizes, wire, counts, float(data["seconds"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def save(self, point: Point, key: str) -> None:
        """Keep a point. Raises ConfigError when the disk is full."""
        counts = {t: {m: _listed(c) for m, c in measures.items()} for t, measures in point.counts.items()}
        data = {
            "key": key,
            "method": point.method,
            "setting": point.setting,
            "bytes": point.sizes.tolist(),
            "wire": point.wire.tolist(),
            "seconds": round(point.seconds, 3),
            "counts": counts,
        }
        self.save_json(self._name(point.method, point.setting, key), data)

    def load_json(self, name: str, key: str) -> dict[str, Any] | None:
        """A file's content if it is whole and of this key."""
        try:
            data = json.loads((self.folder / name).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) and data.get("key") == key else None

    def save_json(self, name: str, data: dict[str, Any]) -> None:
        """Write a file so that it is there as a whole or not at all. Raises ConfigError when the disk is full."""
        write_atomic(self.folder / name, json.dumps(data, separators=(",", ":")).encode())

    def _name(self, method: str, setting: Setting, key: str) -> str:
        words = "-".join(f"{name}-{value}" for name, value in setting.items())
        return f"{method}/{re.sub(r'[^A-Za-z0-9.-]+', '', words) or 'whole'}-{key[:6]}.json"


def _listed(counts: np.ndarray) -> list:
    whole = counts.astype(np.int64)
    return whole.tolist() if np.array_equal(whole, counts) else counts.tolist()
