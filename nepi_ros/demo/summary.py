# SPDX-License-Identifier: Apache-2.0
"""The figures of a run, and the table that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from nepi_ros.demo.record import FrameRecord

METRICS = {
    "segmentation": ("mean IoU", "same class per pixel"),
    "depth": ("delta-1", "delta-1"),
    "classification": ("top-1", "same class"),
}


@dataclass(frozen=True)
class Quality:
    """How good the results were: by task, 0 to 1, or None with the reason in `notes` under the same path.

    accuracy: received results against truth. agreement: received results against the target network on the
    untouched frame. target_accuracy: the target network on the untouched frame against truth.
    jpeg_q90_bytes_mean: the same frames as JPEG of quality 90. frames: how many frames were compared.
    """

    accuracy: Mapping[str, float | None]
    agreement: Mapping[str, float | None]
    target_accuracy: Mapping[str, float | None]
    jpeg_q90_bytes_mean: float | None
    frames: int
    notes: Mapping[str, str] = field(default_factory=dict)


def summarise(frames: Sequence[FrameRecord], tasks: tuple[str, ...], deadline_ms: float, quality: Quality) -> dict:
    """Reduce the frames to figures.

    A frame counts as a hit when all of its tasks' results were on the robot within the deadline; frames without
    results count as misses. Percentiles are over the frames with all results.

    >>> frame = FrameRecord(0, 0, 300, 420, 4, {"depth": 80.0})
    >>> quality = Quality({}, {}, {}, None, 0)
    >>> summarise([frame, FrameRecord(1)], ("depth",), 150.0, quality)["deadline_hit_rate"]
    0.5
    """
    completed = [latency for f in frames if (latency := f.completed_ms(tasks)) is not None]
    in_time = sum(latency <= deadline_ms for latency in completed)
    encoded = [f for f in frames if f.epitome_bytes]
    epitome_bytes = _mean([f.epitome_bytes for f in encoded])
    jpeg_bytes = quality.jpeg_q90_bytes_mean
    return {
        "frames_sent": len(frames),
        "frames_with_results": len(completed),
        "tasks": list(tasks),
        "deadline_ms": deadline_ms,
        "deadline_hit_rate": round(in_time / len(frames), 4) if frames else 0.0,
        "latency_ms": _percentiles(completed),
        "epitome_bytes_mean": epitome_bytes,
        "wire_bytes_mean": _mean([f.wire_bytes for f in encoded]),
        "jpeg_q90_bytes_mean": jpeg_bytes,
        "accuracy": _rounded(quality.accuracy),
        "agreement": _rounded(quality.agreement),
        "target_accuracy": _rounded(quality.target_accuracy),
        "metrics": {task: dict(zip(("accuracy", "agreement"), METRICS[task], strict=True)) for task in tasks},
        "frames_encoded": len(encoded),
        "frames_in_time": in_time,
        "frames_late": len(completed) - in_time,
        "frames_compared": quality.frames,
        "layers_mean": _mean([f.layers for f in encoded]),
        "jpeg_q90_to_epitome": round(jpeg_bytes / epitome_bytes, 1) if jpeg_bytes and epitome_bytes else None,
        "latency_ms_by_task": {t: _percentiles([f.latency_ms[t] for f in frames if t in f.latency_ms]) for t in tasks},
        "notes": dict(quality.notes),
    }


def table(summary: Mapping) -> str:
    """The summary as lines for a terminal."""
    latency = summary["latency_ms"]
    rows = [
        ("frames sent", f"{summary['frames_sent']}"),
        ("with all results", f"{summary['frames_with_results']}"),
        ("within the deadline", f"{summary['deadline_hit_rate']:.1%} of frames in {summary['deadline_ms']:g} ms"),
        ("capture to results", " · ".join(f"{k} {_number(v, ' ms')}" for k, v in latency.items())),
        ("epitome", f"{_number(summary['epitome_bytes_mean'], ' bytes')} a frame"),
        ("on the wire", f"{_number(summary['wire_bytes_mean'], ' bytes')} a frame, headers included"),
        ("JPEG quality 90", _jpeg(summary)),
    ]
    lines = _boxed(rows, "robot to edge and back")
    lines += ["", *_quality_lines(summary)]
    nodes = summary.get("nodes", {})
    if nodes:
        lines += ["", f"{'node':<22}{'memory MB':>12}{'CPU % of a core':>18}"]
        lines += [f"{n:<22}{_number(u['memory_mb']):>12}{_number(u['cpu_percent']):>18}" for n, u in nodes.items()]
    lines += [f"note: {path}: {reason}" for path, reason in summary["notes"].items()]
    return "\n".join(lines)


def _quality_lines(summary: Mapping) -> list[str]:
    lines = [f"{'against truth':<27}{'results':>9}{'target network':>17}{'agreement of the two':>34}"]
    for task in summary["tasks"]:
        truth, target, agreement = (
            _share(summary[key].get(task)) for key in ("accuracy", "target_accuracy", "agreement")
        )
        metric, same = METRICS[task]
        lines.append(f"{task:<16}{metric:<11}{truth:>9}{target:>17}{same:>25}{agreement:>9}")
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _boxed(rows: Sequence[tuple[str, str]], title: str) -> list[str]:
    left, right = (max(len(row[i]) for row in rows) for i in (0, 1))
    top = f"┌─ {title} " + "─" * max(left + right + 3 - len(title) - 2, 0)
    width = max(len(top), left + right + 6)
    body = [f"│ {name:<{left}}  {value:<{width - left - 5}} │" for name, value in rows]
    return [top.ljust(width, "─") + "┐", *body, "└" + "─" * (width - 1) + "┘"]


def _jpeg(summary: Mapping) -> str:
    ratio = summary["jpeg_q90_to_epitome"]
    times = f", {ratio:g} times the epitome" if ratio else ""
    return f"{_number(summary['jpeg_q90_bytes_mean'], ' bytes')} for the same frames{times}"


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}{unit}" if abs(value) >= 100 else f"{value:.1f}{unit}"


def _mean(values: Sequence[float]) -> float | None:
    return round(fmean(values), 1) if values else None


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None, "p99": None}
    return {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 95, 99)}


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {task: None if value is None else round(float(value), 4) for task, value in values.items()}
