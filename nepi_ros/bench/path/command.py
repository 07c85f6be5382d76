# SPDX-License-Identifier: Apache-2.0
"""`nepi bench path`: recorded links through the real nodes, beside what the simulation says of them."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nepi_ros.bench.link.measure import measure
from nepi_ros.bench.link.methods import Link
from nepi_ros.bench.link.methods import run as simulate
from nepi_ros.bench.link.metrics import row as figures
from nepi_ros.bench.link.payloads import Payloads, make_payloads
from nepi_ros.bench.link.replay import Conditions
from nepi_ros.bench.path.request import Answer, Request
from nepi_ros.bench.path.tunnel import LinkSettings, demand_privileges
from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.errors import ConfigError
from nepi_ros.files import write_atomic
from nepi_ros.link.trace import Trace
from nepi_ros.provenance import provenance

SUMMARY = "send frames through the real nodes over recorded links, between two network namespaces; needs root"
SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi bench path`."""
    trace = "a recorded link, either direction of the pair NAME.up, NAME.down (Mahimahi); may be repeated"
    parser.add_argument("--trace", required=True, action="append", type=Path, metavar="FILE", help=trace)
    parser.add_argument("--bundle", required=True, help="the bundle: a folder, or a name as in models/")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of frames, played in a loop")
    parser.add_argument("-o", "--out", required=True, type=Path, help="folder for results.json and the nodes' logs")
    options = (
        ("--deadline-ms", 200.0, "from an image's capture to its results"),
        ("--rtt-ms", 40.0, "delay of both ways together, without queues"),
        ("--fps", 10.0, "frames per second"),
        ("--loss", 0.0, "probability that a packet is lost, 0 to 1"),
        ("--seconds", 60.0, "play so much of each trace"),
        ("--hold-ms", 0.0, "hold frames for so long after one, which the simulation knows nothing of"),
    )
    for name, default, meaning in options:
        parser.add_argument(name, type=float, default=default, metavar="X", help=f"{meaning} (default: {default:g})")
    parser.add_argument("--frames", type=int, default=50, metavar="N", help="simulate with N frames (default: 50)")
    given = "let frames be coded given an earlier one, which the simulation knows nothing of"
    parser.add_argument("--inter-frame", action="store_true", help=given)


def main(arguments: argparse.Namespace) -> int:
    """Play and simulate every trace, write results.json, print the table."""
    from nepi_ros.bench.path.run import travel  # here, for the other benches need no ROS

    _check(arguments)
    demand_privileges()
    pairs = [(file.stem, *(Trace.load(file.with_suffix(way)) for way in (".up", ".down"))) for file in arguments.trace]
    path = resolve_bundle(arguments.bundle)
    bundle = Bundle.load(path)
    payloads = make_payloads(bundle, measure(path, arguments.data, arguments.out, arguments.frames))
    rows = []
    for name, up, down in pairs:
        print(f"{name}: {arguments.seconds:g} s", flush=True)
        answer, *carried = travel(_request(arguments, path, bundle, name), up, down, _settings(arguments))
        row = _row(name, answer, payloads, Link(up, down, arguments.seconds), arguments)
        rows.append(row | {"carried": dict(zip(("up", "down"), map(asdict, carried), strict=True))})
    results = {"schema": SCHEMA, "rows": rows, "run": _circumstances(arguments, bundle)}
    write_atomic(arguments.out / "results.json", json.dumps(results, indent=1) + "\n")
    print(table(rows))
    print(f"\nin {arguments.out}: results.json, and logs of every trace")
    return 0


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Real path beside simulation, as lines for a terminal."""
    lines = [
        "                                in time, %            p50 ms           p95 ms        bytes",
        f"{'trace':<26}{'path':>6}{'sim':>6}{'diff':>6}{'path':>10}{'sim':>7}{'path':>10}{'sim':>7}{'path':>9}{'sim':>7}",
    ]
    for r in rows:
        path, simulated = r["path"], r["simulation"]
        shares = f"{100 * path['in_time']:6.1f}{100 * simulated['in_time']:6.1f}{r['difference_points']:6.1f}"
        times = "".join(f"{_words(path[k]):>10}{_words(simulated[k]):>7}" for k in ("p50_ms", "p95_ms"))
        lines.append(f"{r['trace']:<26}{shares}{times}{path['bytes_mean']:9.0f}{simulated['bytes_mean']:7.0f}")
    return "\n".join(lines)


def _check(arguments: argparse.Namespace) -> None:
    for name in ("deadline_ms", "fps", "seconds", "frames"):
        if not 0 < getattr(arguments, name) < math.inf:
            raise ConfigError(f"--{name.replace('_', '-')} must be above 0, not {getattr(arguments, name):g}")
    if not 0 <= arguments.rtt_ms < math.inf:
        raise ConfigError("--rtt-ms must not be negative")
    if not 0 <= arguments.loss < 1:
        raise ConfigError(f"--loss must be 0 to 1, not {arguments.loss:g}")


def _request(arguments: argparse.Namespace, path: Path, bundle: Bundle, name: str) -> Request:
    frames = math.ceil(arguments.seconds * arguments.fps)
    data, out = str(arguments.data.resolve()), str((arguments.out / name).resolve())
    tasks = tuple(bundle.tasks)
    played = data, frames, arguments.fps, arguments.deadline_ms
    how = arguments.inter_frame, arguments.hold_ms
    return Request(str(path.resolve()), tasks, *played, *how, out, {})


def _settings(arguments: argparse.Namespace) -> LinkSettings:
    return LinkSettings(arguments.rtt_ms / 2e3, loss=arguments.loss)


def _row(
    name: str, answer: Answer, payloads: Payloads, link: Link, arguments: argparse.Namespace
) -> dict[str, Any]:
    """A trace's figures; the simulation takes encoding and the edge for as slow as they were."""
    conditions = Conditions(
        arguments.deadline_ms / 1e3, arguments.rtt_ms / 1e3, arguments.fps, (answer.encode_ms or 0.0) / 1e3,
        (answer.edge_ms or 0.0) / 1e3, loss=arguments.loss,
    )  # fmt: skip
    path = path_figures(answer, arguments.deadline_ms)
    simulated = figures(simulate("epitome", payloads, link, conditions), conditions.deadline_s)
    return {
        "trace": name,
        "deadline_ms": arguments.deadline_ms,
        "path": path,
        "simulation": {key: simulated[key] for key in path},
        "difference_points": round(100 * (path["in_time"] - simulated["in_time"]), 2),
        "encode_ms": answer.encode_ms,
        "edge_ms": answer.edge_ms,
    }


def path_figures(answer: Answer, deadline_ms: float) -> dict[str, Any]:
    """What the robot saw: share of frames in time, milliseconds, bytes per captured frame, frames."""
    back = [latency for latency in answer.latency_ms if latency is not None]
    times = np.percentile(back, (50, 95, 99)) if back else (math.nan,) * 3
    rounded = [None if math.isnan(time) else round(float(time), 1) for time in times]
    return {
        "in_time": round(sum(latency <= deadline_ms for latency in back) / max(len(answer.latency_ms), 1), 4),
        **dict(zip(("p50_ms", "p95_ms", "p99_ms"), rounded, strict=True)),
        "bytes_mean": round(float(np.mean(answer.wire_bytes or [0])), 1),
        "frames": len(answer.latency_ms),
    }


def _words(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _circumstances(arguments: argparse.Namespace, bundle: Bundle) -> dict[str, Any]:
    names = "deadline_ms", "rtt_ms", "fps", "loss", "seconds", "frames", "inter_frame", "hold_ms"
    given = {name: getattr(arguments, name) for name in names}
    return {"bundle": {"name": bundle.name, "id": f"{bundle.id:016x}"}, **given, **provenance()}
