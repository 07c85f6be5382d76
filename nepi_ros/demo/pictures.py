# SPDX-License-Identifier: Apache-2.0
"""`overlay.png`: a few frames side by side, what went in and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from nepi_ros.demo import canvas as draw
from nepi_ros.demo.canvas import Canvas
from nepi_ros.demo.record import FrameRecord
from nepi_ros.tasks import TaskSpec

COLUMNS = 6
_PANEL_WIDTH, _GAP, _GUTTER, _TOP, _CARD, _FOOT = 320, 12, 150, 92, 118, 58


@dataclass(frozen=True)
class Legend:
    """What colours and numbers mean in a run.

    title: one line on the run. classes, palette (uint8 [K, 3]): segmentation classes, empty without that task.
    near_m, far_m: the depth range to show. jpeg_bytes: mean JPEG size of the frames, None when not measured.
    """

    title: str
    tasks: tuple[str, ...]
    deadline_ms: float
    classes: tuple[str, ...]
    palette: np.ndarray
    near_m: float
    far_m: float
    jpeg_bytes: float | None = None


def depth_range(frames: Sequence[FrameRecord]) -> tuple[float, float]:
    """Metres, above 0, between which 98 % of all received depth lies; (0.1, 1) without any."""
    maps = [f.results["depth"][::4, ::4] for f in frames if "depth" in f.results]
    known = np.concatenate([m[np.isfinite(m) & (m > 0)] for m in maps]) if maps else np.empty(0)
    if not known.size:
        return 0.1, 1.0
    near, far = np.percentile(known, (1, 99))
    return float(near), float(max(far, 1.1 * near))


def choose(frames: Sequence[FrameRecord], tasks: tuple[str, ...], count: int = COLUMNS) -> list[int]:
    """Places of `count` frames spread over the run, of those with all results where there are enough."""
    complete = [i for i, frame in enumerate(frames) if all(task in frame.results for task in tasks)]
    candidates = complete if len(complete) >= count else list(range(len(frames)))
    if not candidates:
        return []
    picked = np.linspace(0, len(candidates) - 1, min(count, len(candidates))).round().astype(int)
    return [candidates[i] for i in picked]


def write_overlay(path: Path, frames: Sequence[tuple[np.ndarray, FrameRecord]], legend: Legend) -> None:
    """Draw one column per (rgb uint8 [H, W, 3], record): input, segmentation, depth, then class, bytes and latency."""
    rows = [("input", None)]
    rows += [(task, task) for task in ("segmentation", "depth") if task in legend.tasks]
    aspect = frames[0][0].shape[0] / frames[0][0].shape[1]
    panel_height = round(_PANEL_WIDTH * min(aspect, 1.5))
    width = _GUTTER + len(frames) * (_PANEL_WIDTH + _GAP) + _GAP
    height = _TOP + len(rows) * (panel_height + _GAP) + _CARD + _FOOT
    picture = Canvas(width, height)
    picture.text(_GAP * 2, 20, "nepi_ros", 34, draw.ACCENT)
    picture.text(_GAP * 2 + 160, 33, legend.title, 20, draw.MUTED)
    if legend.jpeg_bytes:
        words = f"the same frames as JPEG of quality 90: {legend.jpeg_bytes:,.0f} bytes"
        picture.text(width - 2 * _GAP, 33, words, 20, draw.MUTED, "ra")
    for column, (rgb, record) in enumerate(frames):
        x, y = _GUTTER + column * (_PANEL_WIDTH + _GAP), _TOP
        for _, task in rows:
            picture.image(x, y, draw.fitted(panel(rgb, record, task, legend), _PANEL_WIDTH, panel_height))
            if task and task not in record.results:
                no_result(picture, x, y, _PANEL_WIDTH, panel_height)
            y += panel_height + _GAP
        _card(picture, x, y, record, legend)
    for row, (name, _) in enumerate(rows):
        middle = _TOP + row * (panel_height + _GAP) + panel_height // 2
        picture.text(_GUTTER - _GAP, middle, name, 19, draw.MUTED, "rm")
    _foot(picture, height - _FOOT + 20, width, legend)
    Image.fromarray(picture.array).save(path)


def panel(rgb: np.ndarray, record: FrameRecord, task: str | None, legend: Legend) -> np.ndarray:
    """The frame as one task sees it; the plain frame without a task, a darkened one without its result."""
    if task is None:
        return rgb
    if task not in record.results:
        return rgb // 4
    if task == "segmentation":
        return draw.segmentation_overlay(rgb, record.results[task], legend.palette)
    depth = record.results[task]
    if np.isfinite(depth).all() and (depth > 0).all():
        depth = cv2.resize(depth, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return draw.depth_colours(depth, legend.near_m, legend.far_m)


def no_result(picture: Canvas, x: int, y: int, width: int, height: int) -> None:
    """Say in the middle of a panel that nothing came back."""
    picture.text(x + width / 2, y + height / 2, "no result", 22, draw.BAD, "mm")


def verdict(record: FrameRecord, legend: Legend) -> tuple[str, draw.Colour]:
    """The frame's latency in words, and the colour that says whether it was in time."""
    latency = record.completed_ms(legend.tasks)
    if latency is None:
        return "incomplete" if record.latency_ms else "no results", draw.BAD
    return (f"{latency:.0f} ms", draw.GOOD) if latency <= legend.deadline_ms else (f"{latency:.0f} ms, late", draw.BAD)


def ranking(record: FrameRecord) -> Sequence[tuple[str, float]]:
    """The frame's classes, best first; empty when none came back."""
    return record.results.get("classification", [])


def _card(picture: Canvas, x: int, y: int, record: FrameRecord, legend: Legend) -> None:
    picture.box(x, y, _PANEL_WIDTH, _CARD - _GAP)
    if "classification" in legend.tasks:
        name, probability = (ranking(record) or [("no class", 0.0)])[0]
        picture.text(x + 14, y + 12, name, 22)
        picture.text(x + _PANEL_WIDTH - 14, y + 12, f"{probability:.0%}", 22, draw.ACCENT, "ra")
        picture.bar(x + 14, y + 46, _PANEL_WIDTH - 28, 6, probability)
    words, colour = verdict(record, legend)
    sent = f"{record.epitome_bytes:,} bytes" if record.epitome_bytes else "not sent"
    picture.text(x + 14, y + 68, sent, 20, draw.TEXT)
    picture.text(x + _PANEL_WIDTH - 14, y + 68, words, 20, colour, "ra")


def _foot(picture: Canvas, y: int, width: int, legend: Legend) -> None:
    if len(legend.classes):
        draw.class_legend(picture, _GUTTER, y, legend.classes, legend.palette, 18)
    if "depth" in legend.tasks:
        draw.depth_legend(picture, width - 2 * _GAP - 370, y, 240, legend.near_m, legend.far_m, 18)


def legend_for(
    title: str,
    tasks: tuple[str, ...],
    deadline_ms: float,
    specs: Mapping[str, TaskSpec],
    frames: Sequence[FrameRecord],
    jpeg_bytes: float | None,
) -> Legend:
    """Put a legend together from a bundle's task specifications and the run's frames."""
    segmentation = specs.get("segmentation") if "segmentation" in tasks else None
    classes = tuple(segmentation.classes) if segmentation else ()
    palette = np.asarray(segmentation.palette, np.uint8).reshape(-1, 3) if segmentation else np.empty((0, 3), np.uint8)
    near, far = depth_range(frames)
    return Legend(title, tasks, deadline_ms, classes, palette, near, far, jpeg_bytes)
