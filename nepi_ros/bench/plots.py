# SPDX-License-Identifier: Apache-2.0
"""Accuracy over bytes as pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nepi_ros.bench.peers import VIDEO
from nepi_ros.bench.table import LABELS
from nepi_ros.files import write_atomic
from nepi_ros.tasks import REGISTRY

COLOURS = {
    "epitome": "#d1105a",
    "epitome_1_back": "#f3a6c0",
    "epitome_3_back": "#e8709a",
    "epitome_held": "#ff5fb0",
    "jpeg": "#8a6d3b",
    "jpeg_downscaled": "#c79a3a",
    "webp": "#3f8f4f",
    "avif": "#1d9a9a",
    "hevc_intra": "#3567b5",
    "grace": "#7a4fb5",
    "task_blind": "#777777",
    "h264": "#9ccb86",
    "hevc": "#86aee6",
    "av1": "#76cfd0",
    "hevc_held": "#4f7fd0",
    "av1_held": "#2fb3b5",
}
_FORMAT = "svg"


def write_plots(out: Path, results: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """A picture for each target networks and task in `out`; returns the files' names, targets -> task -> name."""
    names: dict[str, dict[str, str]] = {}
    for targets, curves in results["targets"].items():
        names[targets] = {}
        for task in curves["untouched"]:
            by = "accuracy" if "accuracy" in curves["untouched"][task] else "agreement"
            name = f"{task}.{_FORMAT}" if targets == "plain" else f"{task}-{targets}.{_FORMAT}"
            write_atomic(out / name, plot(results, targets, task, by))
            names[targets][task] = name
    return names


def plot(results: Mapping[str, Any], targets: str, task: str, by: str) -> bytes:
    """Accuracy over bytes (logarithmic) of all methods, with the target's accuracy and the headline's threshold."""
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    axes = figure.add_subplot()
    curves = results["targets"][targets]
    _thresholds(axes, curves["untouched"][task][by])
    for method, points in curves["methods"].items():
        _curve(axes, method, task, by, points)
    _label(axes, results, targets, task, by)
    return as_svg(figure)


def as_svg(figure: Figure) -> bytes:
    """The same file from the same figures, so that a repeated run changes none; text stays text."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "nepi_ros", "svg.fonttype": "none"}):
        figure.savefig(file, format=_FORMAT, metadata={"Date": None})
    return file.getvalue()


def _curve(axes: Axes, method: str, task: str, by: str, points: list[Mapping[str, Any]]) -> None:
    if not points:
        return
    ours, colour = method == "epitome", COLOURS.get(method, "black")
    axes.plot(
        [p["bytes"] for p in points], [p[task][by] for p in points],
        "o", color=colour, markersize=2.5, alpha=0.35, markeredgewidth=0,
    )  # fmt: skip
    best = [p for p in points if task in p["best_for"]]
    axes.plot(
        [p["bytes"] for p in best], [p[task][by] for p in best],
        "--" if method in VIDEO else "-", color=colour, linewidth=2.6 if ours else 1.4,
        marker="o", markersize=4.5 if ours else 3, label=LABELS.get(method, method), zorder=5 if ours else 3,
    )  # fmt: skip


def _thresholds(axes: Axes, target: float) -> None:
    axes.axhline(target, color="#444444", linewidth=1, zorder=1)
    axes.axhline(target * 0.99, color="#444444", linewidth=1, linestyle=":", zorder=1)
    where = axes.get_yaxis_transform()
    axes.text(0.005, target, " untouched", transform=where, va="bottom", fontsize=8, color="#444444")
    axes.text(0.005, target * 0.99, " 1 % below", transform=where, va="top", fontsize=8, color="#444444")


def _label(axes: Axes, results: Mapping[str, Any], targets: str, task: str, by: str) -> None:
    run = results["run"]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x < 1e4 else f"{x / 1e3:,.0f} k"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes per frame")
    axes.set_ylabel(REGISTRY[task].metric if by == "accuracy" else by)
    _useful_range(axes, results["targets"][targets], task, by)
    size = f"{run['input']['width']} x {run['input']['height']}"
    title = f"{task}, {run['set']}: {run['frames']} frames of {size}, {targets} targets"
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _useful_range(axes: Axes, curves: Mapping[str, Any], task: str, by: str) -> None:
    """Where decisions are made: not the collapse at the lowest qualities."""
    target = curves["untouched"][task][by]
    values = [p[task][by] for points in curves["methods"].values() for p in points if p[task][by] is not None]
    low = min(max(min(values, default=0.0), target * 0.5), target * 0.985)
    high = max(max(values, default=target), target)
    margin = max(0.05 * (high - low), 1e-3)
    axes.set_ylim(low - margin, high + margin)
