# SPDX-License-Identifier: Apache-2.0
"""results.json as tables: text for the terminal, cells for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LABELS = {
    "epitome": "epitome",
    "epitome_1_back": "epitome, given the frame before",
    "epitome_3_back": "epitome, given the third frame before",
    "epitome_held": "epitome, most frames held",
    "jpeg": "JPEG",
    "jpeg_downscaled": "JPEG, downscaled",
    "webp": "WebP",
    "avif": "AVIF",
    "hevc_intra": "HEVC intra",
    "grace": "GRACE",
    "task_blind": "task-blind autoencoder",
    "h264": "H.264, low delay",
    "hevc": "HEVC, low delay",
    "av1": "AV1, low delay",
    "hevc_held": "HEVC, most frames held",
    "av1_held": "AV1, most frames held",
}
HEADER = ("method", "bytes", "95 % interval", "x epitome", "95 % interval", "")


def headline_text(results: Mapping[str, Any]) -> str:
    """The headline of every task, as text."""
    return "\n\n".join(_task_text(task, row, results["problems"]) for task, row in results["headline"].items())


def headline_title(task: str, row: Mapping[str, Any]) -> str:
    """What a headline's table shows, in a line."""
    return (
        f"{task}: bytes per frame where {row['metric']} is {row['threshold']:.4f}, "
        f"{row['drop']:.1%} below the target network's {row['target_accuracy']:.4f} on untouched frames"
    )


def cells(row: Mapping[str, Any], problems: Mapping[str, str]) -> list[tuple[str, ...]]:
    """A line of cells (as HEADER) for every method, the smallest first, those that never get there last."""
    methods = sorted(row["bytes"], key=lambda m: (row["bytes"][m] is None, row["bytes"][m] or 0))
    return [_cells(method, row, problems) for method in methods]


def _cells(method: str, row: Mapping[str, Any], problems: Mapping[str, str]) -> tuple[str, ...]:
    size, ratio = row["bytes"][method], row["ratio"].get(method)
    return (
        LABELS.get(method, method),
        "-" if size is None else f"{size:,.0f}",
        _span(row["bytes_interval"][method], ",.0f"),
        "-" if ratio is None else f"{ratio:.2f}",
        _span(row["ratio_interval"].get(method), ".2f") if method != "epitome" else "",
        _remark(method, row, problems),
    )


def _remark(method: str, row: Mapping[str, Any], problems: Mapping[str, str]) -> str:
    if method in problems:
        return f"not measured: {problems[method]}"
    if row["bytes"][method] is None:
        best = row["best"][method]
        return f"never gets there; best {best['accuracy']:.4f} at {best['bytes']:,.0f} bytes" if best else ""
    return "its smallest point is good enough already" if method in row["at_smallest"] else ""


def _span(ends: Sequence[float | None] | None, form: str) -> str:
    if ends is None:
        return ""
    low, high = ("never" if end is None else format(end, form) for end in ends)
    return f"{low} to {high}"


def _task_text(task: str, row: Mapping[str, Any], problems: Mapping[str, str]) -> str:
    lines = [HEADER, *cells(row, problems)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER) - 1)]
    shown = [
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:-1], widths[1:], strict=True)), line[-1]]
        ).rstrip()
        for line in lines
    ]
    return "\n".join([headline_title(task, row), *shown])


def beside_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One line for every other way to ask the same: what is asked, then the bytes of epitome and each peer's ratio."""
    return [
        (
            row["task"],
            "labels" if row["by"] == "accuracy" else "agreement",
            f"{row['drop']:.1%}",
            "on the wire" if row["counted"] == "wire" else "payload",
            row["targets"],
            "-" if row["bytes"].get("epitome") is None else f"{row['bytes']['epitome']:,.0f}",
            *(_ratio_or_bytes(row, method) for method in row["bytes"] if method != "epitome"),
        )
        for row in results["beside"]
    ]


def _ratio_or_bytes(row: Mapping[str, Any], method: str) -> str:
    size, ratio = row["bytes"][method], row["ratio"].get(method)
    if size is None:
        return "-"
    return f"{size:,.0f} B" if ratio is None else f"{ratio:.2f}"
