# SPDX-License-Identifier: Apache-2.0
"""Example pictures: what arrives with each method at the headline's accuracy, and what the networks see in it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from nepi_ros.bench.frames import Frame
from nepi_ros.bench.judge import Judge
from nepi_ros.bench.peers.base import Coded
from nepi_ros.bench.points import point_key
from nepi_ros.bench.workbench import Bench
from nepi_ros.codec import View
from nepi_ros.demo.canvas import depth_colours, segmentation_overlay
from nepi_ros.files import write_atomic
from nepi_ros.result_code import NEAREST_M
from nepi_ros.tasks import REGISTRY, TaskSpec

FOLDER = "examples"
_QUALITY = 88


@dataclass(frozen=True)
class Example:
    """A frame as one method brings it: setting, bytes, and files (relative to the page) of the picture that arrived, if
    any, and of the results."""

    method: str
    frame: str
    setting: Mapping[str, Any]
    size: int
    picture: str | None
    results: Mapping[str, str]
    words: Mapping[str, str]


def headline_settings(results: Mapping[str, Any], targets: str, task: str) -> dict[str, Mapping[str, Any]]:
    """method -> setting of its smallest point at the headline's threshold, or of its best point."""
    row, chosen = results["headline"][task], {}
    curves = results["targets"][targets]["methods"]
    for method in curves:
        # Epitomes with one kind of layers alone are no good to the other tasks, whose results are shown too.
        whole = (p for p in curves[method] if "alone" not in p["setting"])
        usable = [p for p in whole if p[task]["accuracy"] is not None]
        good = [p for p in usable if p[task]["accuracy"] >= row["threshold"]]
        if good:
            chosen[method] = min(good, key=lambda p: p["bytes"])["setting"]
        elif usable:
            chosen[method] = max(usable, key=lambda p: p[task]["accuracy"])["setting"]
    return chosen


def make_examples(
    bench: Bench, targets: str, settings: Mapping[str, Mapping[str, Any]], tables: Any, count: int = 3
) -> list[list[Example]]:
    """Code `count` frames of the set with each method's setting; one list for each frame, "untouched" first."""
    places = sorted(set(np.linspace(0, len(bench.frames.frames) - 1, count + 2).round().astype(int)[1:-1].tolist()))
    artist = _Artist(bench, targets)
    peers = bench.peers(settings, tables)
    rows = []
    for place in places:
        frame = bench.frames.frames[place]
        row = [artist.draw("untouched", frame, {}, Coded(0, 0, View.of(frame.image)))]
        for method, setting in settings.items():
            row.append(artist.draw(method, frame, setting, _code(bench, peers[method], setting, place)))
        rows.append(row)
    return rows


def _code(bench: Bench, peer: Any, setting: Mapping[str, Any], place: int) -> Coded:
    """A frame coded; of a video, all frames of its run until then are coded first."""
    run = next(run for run in bench.frames.runs if place in run)
    before = [bench.frames.frames[i] for i in run if i <= place] if peer.video else [bench.frames.frames[place]]
    return list(peer.code(before, setting))[-1]


class _Artist:
    def __init__(self, bench: Bench, targets: str) -> None:
        self._out = bench.setup.out
        self._specs = bench.bundle.tasks
        self._judge: Judge = bench.judge(targets)
        self._frames_id = bench.frames.fingerprint

    def draw(self, method: str, frame: Frame, setting: Mapping[str, Any], coded: Coded) -> Example:
        name = point_key(method, setting, self._frames_id, frame.name)[:10]
        if (arrived := coded.view.picture) is not None:
            arrived = frame.box.crop(arrived)
        results = self._judge.results(frame, coded.view, coded.motion)
        files, words = {}, {}
        for task, result in results.items():
            if REGISTRY[task].dense:
                below = frame.content if coded.view.settles(task) else arrived  # what a result is laid over
                files[task] = self._write(f"{name}-{task}", _coloured(task, below, result, self._specs[task]))
            else:
                best = int(result.argmax())
                words[task] = f"{self._specs[task].classes[best]} {result[best]:.0%}"
        picture = None if arrived is None else self._write(name, arrived)
        return Example(method, frame.name, setting, coded.size, picture, files, words)

    def _write(self, name: str, rgb: np.ndarray) -> str:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(rgb)).save(file, "JPEG", quality=_QUALITY)
        write_atomic(self._out / FOLDER / f"{name}.jpg", file.getvalue())
        return f"{FOLDER}/{name}.jpg"


def _coloured(task: str, rgb: np.ndarray, result: np.ndarray, spec: TaskSpec) -> np.ndarray:
    if task == "segmentation":
        return segmentation_overlay(rgb, result, np.array(spec.palette, np.uint8))
    return depth_colours(result, max(spec.min_m, NEAREST_M), _far(result, spec))


def _far(result: np.ndarray, spec: TaskSpec) -> float:
    return spec.max_m if spec.max_m > 0 else float(max(result.max(), 1.0))


def settings_words(setting: Mapping[str, Any]) -> str:
    """A setting in words."""
    return ", ".join(f"{name} {value}" for name, value in setting.items())
