# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: a table on the terminal, summary.json, frames.csv, link.png, overlay.png and
overlay.mp4."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nepi_ros.bundle import Bundle
from nepi_ros.datasets import FrameSet
from nepi_ros.demo import system as names
from nepi_ros.demo.film import write_film
from nepi_ros.demo.link_picture import LinkRun, write_link_picture
from nepi_ros.demo.links import carried
from nepi_ros.demo.observer import statuses
from nepi_ros.demo.pictures import choose, legend_for, write_overlay
from nepi_ros.demo.play import Plan, Played
from nepi_ros.demo.record import FrameRecord
from nepi_ros.demo.summary import Quality, summarise, table
from nepi_ros.demo.system import System
from nepi_ros.files import write_atomic
from nepi_ros.progress import progress_bar
from nepi_ros.provenance import provenance


@dataclass(frozen=True)
class Run:
    """A finished run, judged. began: when the demo was started, on the monotonic clock."""

    system: System
    bundle: Bundle
    frame_set: FrameSet
    plan: Plan
    played: Played
    records: Sequence[FrameRecord]
    quality: Quality
    began: float


def write_report(out: Path, run: Run) -> Mapping[str, Any]:
    """Write everything into `out` and print the table; returns what is in summary.json."""
    summary = summarise(run.records, run.plan.tasks, run.plan.deadline_ms, run.quality)
    write_pictures(out, run, summary)
    summary.update(_circumstances(run))
    write_atomic(out / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    write_frames(out / "frames.csv", run)
    if run.records:
        write_link_picture(out / "link.png", _link_run(run, summary))
    print(table(summary))
    print(f"\nin {out}: summary.json, frames.csv, link.png, overlay.png, overlay.mp4, logs/")
    return summary


def write_pictures(out: Path, run: Run, summary: Mapping[str, Any]) -> None:
    """overlay.png and overlay.mp4 of the frames whose images are known."""
    known = [record for record in run.records if record.index is not None]
    if not known:
        return
    specs, jpeg = run.bundle.tasks, summary["jpeg_q90_bytes_mean"]
    legend = legend_for(_title(run, summary), run.plan.tasks, run.plan.deadline_ms, specs, known, jpeg)
    chosen = [known[place] for place in choose(known, run.plan.tasks)]
    write_overlay(out / "overlay.png", [(_rgb(run, record), record) for record in chosen], legend)
    shown = progress_bar(known, desc="drawing the film", leave=False)
    write_film(out / "overlay.mp4", ((_rgb(run, record), record) for record in shown), legend, run.plan.rate_hz)


def write_frames(path: Path, run: Run) -> None:
    """One line per frame: what was sent for it, and when each result was there (empty: never)."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        columns = ["stamp_ns", "index", "layers", "epitome_bytes", "wire_bytes"]
        lines.writerow([*columns, *(f"{task}_ms" for task in run.plan.tasks)])
        for r in run.records:
            times = [f"{r.latency_ms[t]:.2f}" if t in r.latency_ms else "" for t in run.plan.tasks]
            lines.writerow([r.stamp_ns, r.index, r.layers, r.epitome_bytes, r.wire_bytes, *times])


def _link_run(run: Run, summary: Mapping[str, Any]) -> LinkRun:
    told = statuses(run.played.log)
    rates = carried(_link(run.system))
    return LinkRun(_title(run, summary), run.plan.tasks, run.plan.deadline_ms, run.records, told, rates)


def _rgb(run: Run, record: FrameRecord) -> np.ndarray:
    return cv2.imread(str(run.frame_set.paths[record.index]), cv2.IMREAD_COLOR)[..., ::-1]


def _title(run: Run, summary: Mapping[str, Any]) -> str:
    link = _link(run.system)
    capacity = Path(link["up_trace"]).name if link["up_trace"] else f"{link['up_kbps']:,.0f} kbit/s"
    in_time = f"{summary['deadline_hit_rate']:.1%} of frames within {run.plan.deadline_ms:g} ms"
    return f"{run.bundle.name}  ·  {capacity}  ·  {run.plan.rate_hz:g} frames/s  ·  {in_time}"


def _link(system: System) -> dict[str, Any]:
    return {**system.parameters[names.LINK], **system.overrides.get(names.LINK, {})}


def _circumstances(run: Run) -> dict[str, Any]:
    """With what, where and when."""
    return {
        "nodes": {name: asdict(load) for name, load in run.played.loads.items()},
        "rate_hz": run.plan.rate_hz,
        "link": _link(run.system),
        "bundle": {"name": run.bundle.name, "id": f"{run.bundle.id:016x}"},
        "frames": {"folder": str(run.frame_set.folder), "layout": run.frame_set.layout},
        **provenance(),
        "seconds": {
            "nodes_ready": round(run.played.ready_s, 1),
            "play": round(run.played.play_s, 1),
            "all": round(time.monotonic() - run.began, 1),
        },
    }
