# SPDX-License-Identifier: Apache-2.0
"""Capacity, budget and latency over time, and frames in time, as pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from nepi_ros.bench.link.methods import LABELS, METHODS
from nepi_ros.files import write_atomic

COLOURS = {
    "epitome": "#d1105a", "jpeg": "#8a6d3b", "fixed_epitome": "#7a4fb5", "jpeg_q50": "#c79a3a", "gcc": "#3567b5",
    "oracle": "#777777",
}  # fmt: skip


def write_pictures(out: Path, results: Mapping[str, Any], series: Sequence[Mapping[str, Any]]) -> None:
    """in_time.svg, and for each trace and deadline a minute of it."""
    write_atomic(out / "in_time.svg", _drawn(lambda: _bars(results["rows"]), "svg"))
    for one in series:
        # Thousands of dots: as vectors they would be ten times as large.
        name = f"{one['trace']}-{one['deadline_ms']:g}ms.png"
        write_atomic(out / name, _drawn(lambda one=one: _minute(one), "png"))


def _drawn(draw: Callable[[], Figure], kind: str) -> bytes:
    # The same picture from the same figures, so that a repeated run changes no file; text stays text.
    with matplotlib.rc_context({"svg.hashsalt": "nepi_ros", "svg.fonttype": "none"}):
        file = io.BytesIO()
        draw().savefig(file, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else None)
        return file.getvalue()


def _bars(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Frames in time and accuracy delivered of every method."""
    places = list(dict.fromkeys((row["trace"], row["deadline_ms"]) for row in rows))
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    for axes, measure, words in zip(
        figure.subplots(2, sharex=True), ("in_time", "accuracy"), ("frames in time", "mean accuracy"), strict=True
    ):
        for k, method in enumerate(METHODS):
            found = {(row["trace"], row["deadline_ms"]): row[measure] for row in rows if row["method"] == method}
            at = np.arange(len(places)) + (k - 2.5) * 0.14
            axes.bar(at, [found[place] for place in places], 0.13, color=COLOURS[method], label=LABELS[method])
        axes.set_ylabel(words)
        axes.set_ylim(0, 1)
        axes.grid(axis="y", alpha=0.3)
    axes.set_xticks(range(len(places)), [f"{trace}\n{deadline:g} ms" for trace, deadline in places], fontsize=6)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    return figure


def _minute(series: Mapping[str, Any]) -> Figure:
    """Capacity of both ways, bytes spent on each frame, and when its results were back."""
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    capacity, budget, latency = figure.subplots(3, sharex=True)
    for way, colour in (("up", "#333333"), ("down", "#9a9a9a")):
        capacity.step(series["at_s"], series["kbps"][way], where="post", color=colour, lw=1, label=way)
    capacity.set_ylabel("link, kbit/s")
    capacity.legend(frameon=False, fontsize=8)
    for method in ("oracle", "gcc", "epitome"):
        one, colour = series["methods"][method], COLOURS[method]
        budget.plot(one["at_s"], one["bytes"], ".", ms=3, color=colour, label=LABELS[method])
        times = [np.nan if value is None else value for value in one["latency_ms"]]
        latency.plot(one["at_s"], times, ".", ms=3, color=colour)
    budget.set_ylabel("bytes sent per frame")
    budget.legend(frameon=False, fontsize=8, ncols=3)
    latency.axhline(series["deadline_ms"], color="black", lw=0.8)
    latency.set_yscale("log")
    latency.set_ylabel("latency, ms")
    latency.set_xlabel(f"seconds of {series['trace']}, deadline {series['deadline_ms']:g} ms")
    for axes in (capacity, budget, latency):
        axes.grid(alpha=0.3)
    return figure
