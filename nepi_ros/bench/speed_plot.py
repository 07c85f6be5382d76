# SPDX-License-Identifier: Apache-2.0
"""Where the time goes, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from nepi_ros.bench.plots import as_svg
from nepi_ros.bench.stopwatch import GIVEN, HOLDING, JPEG, MAKING, PICTURE, READING

_SHADES = ("#d1105a", "#e86a9b", "#f3b3cc", "#7a4fb5")


def speed_plot(name: str, found: Mapping[str, Any]) -> bytes:
    """SVG with a bar of median milliseconds for making, reading, JPEG and the target networks."""
    steps = found["steps_ms"]
    targets = [step for step in steps if step not in (*MAKING, *READING, *GIVEN, *PICTURE, *JPEG, HOLDING)]
    bars = {"make an epitome": MAKING, "read an epitome": READING, "JPEG q90, encode": JPEG[:1],
            "JPEG q90, decode": JPEG[1:2], "target networks": targets}  # fmt: skip
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for row, names in enumerate(bars.values()):
        left = 0.0
        for index, step in enumerate(names):
            width = steps[step]["median"]
            axes.barh(row, width, left=left, color=_SHADES[index % len(_SHADES)], edgecolor="white", linewidth=0.8)
            left += width
        parts = f" ({', '.join(names)})" if len(names) > 1 else ""
        axes.text(left, row, f"  {left:.1f} ms{parts}", va="center", fontsize=7)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.margins(x=0.45)
    axes.set_xlabel("median milliseconds per frame on one core, stacked in the order of the names")
    axes.set_title(f"{name}, {found['source']['width']} x {found['source']['height']} frames", fontsize=10, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return as_svg(figure)
