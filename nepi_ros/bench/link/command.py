# SPDX-License-Identifier: Apache-2.0
"""`nepi bench link`: how many frames are back in time, and how accurate, on recorded links."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nepi_ros.bench.link.jobs import VERSION, measure_pair
from nepi_ros.bench.link.measure import Measured, measure
from nepi_ros.bench.link.payloads import Payloads, make_payloads
from nepi_ros.bench.link.pictures import write_pictures
from nepi_ros.bench.link.replay import Conditions
from nepi_ros.bench.link.summary import compared, summary_text
from nepi_ros.bench.points import PointStore, point_key
from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.errors import ConfigError, TraceError
from nepi_ros.files import write_atomic
from nepi_ros.link.trace import Trace
from nepi_ros.progress import progress_bar
from nepi_ros.provenance import provenance

SUMMARY = "measure how many frames are back by a deadline on recorded links, with link control and without"
SCHEMA = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi bench link`."""
    parser.add_argument("--traces", required=True, type=Path, help="folder of pairs NAME.up, NAME.down (Mahimahi)")
    parser.add_argument("--bundle", required=True, help="the bundle: a folder, or a name as in models/")
    data = "folder of frames that are sent (default: BUNDLE/val beside the traces' folder)"
    parser.add_argument("--data", type=Path, help=data)
    parser.add_argument("-o", "--out", required=True, type=Path, help="folder for results.json and plots")
    parser.add_argument("--deadline-ms", default="100,200", metavar="MS[,MS]", help="deadlines (default: 100,200)")
    options = (
        ("--rtt-ms", 40.0, "delay of both ways together, without queues"),
        ("--fps", 10.0, "frames per second"),
        ("--encode-ms", 10.0, "from capture to hand-over"),
        ("--edge-ms", 10.0, "from the last arrival to the results"),
        ("--loss", 0.0, "probability that a packet is lost, 0 to 1; the oracle loses none"),
        ("--seconds", 0.0, "play so much of each trace (0: all of it)"),
    )
    for name, default, meaning in options:
        parser.add_argument(name, type=float, default=default, metavar="X", help=f"{meaning} (default: {default:g})")
    parser.add_argument("--frames", type=int, default=50, metavar="N", help="measure sizes on N frames (default: 50)")
    parser.add_argument("--pictures", action="store_true", help="let epitomes go on with pictures")


def main(arguments: argparse.Namespace) -> int:
    """Play what was not played yet, write everything into the folder, print the table."""
    conditions = _conditions(arguments)
    pairs = find_pairs(arguments.traces)
    path = resolve_bundle(arguments.bundle)
    bundle = Bundle.load(path)
    measured = measure(path, _data(arguments, bundle), arguments.out, arguments.frames)
    payloads = make_payloads(bundle, measured, arguments.pictures)
    found = _play(pairs, payloads, measured, conditions, bundle, arguments)
    results = _results(found, measured, bundle, conditions, arguments)
    write_atomic(arguments.out / "results.json", json.dumps(results, indent=1) + "\n")
    write_pictures(arguments.out, results, [job["series"] for job in found])
    print(summary_text(results))
    print(f"\nin {arguments.out}: results.json, in_time.svg, a plot for each trace and deadline")
    return 0


@dataclass(frozen=True)
class Pair:
    """Both directions of a recorded link."""

    name: str
    up: Trace
    down: Trace

    def seconds(self, most: float) -> float:
        """How long to play it: the longer direction, the other one repeating; at most `most` (0: no limit)."""
        whole = max(self.up.length_s, self.down.length_s)
        return min(whole, most) if most else whole


def find_pairs(folder: Path) -> list[Pair]:
    """All pairs of traces in a folder. Raises TraceError naming what is missing or cannot be read."""
    if not folder.is_dir():
        raise TraceError(f"{folder}: no such folder of traces; name one with --traces")
    files = {path for path in folder.iterdir() if path.suffix in (".up", ".down") and path.is_file()}
    if not files:
        raise TraceError(f"{folder}: holds no traces (NAME.up and NAME.down); name another folder with --traces")
    for path in sorted(files):
        other = path.with_suffix(".down" if path.suffix == ".up" else ".up")
        if other not in files:
            raise TraceError(f"{other}: is missing; {path.name} has no other direction")
    names = sorted(path.stem for path in files if path.suffix == ".up")
    return [Pair(name, Trace.load(folder / f"{name}.up"), Trace.load(folder / f"{name}.down")) for name in names]


def _conditions(arguments: argparse.Namespace) -> list[Conditions]:
    """One for each deadline. Raises ConfigError naming the option."""
    try:
        deadlines = [float(word) for word in arguments.deadline_ms.split(",")]
    except ValueError:
        raise ConfigError(f"--deadline-ms {arguments.deadline_ms}: must be milliseconds, separated by commas") from None
    above = {"deadline-ms": deadlines, "fps": [arguments.fps], "frames": [arguments.frames]}
    for name, value in ((name, value) for name, values in above.items() for value in values):
        if not 0 < value < math.inf:
            raise ConfigError(f"--{name} must be above 0, not {value:g}")
    for name in ("rtt_ms", "encode_ms", "edge_ms", "seconds"):
        if not 0 <= getattr(arguments, name) < math.inf:
            raise ConfigError(f"--{name.replace('_', '-')} must not be negative")
    if not 0 <= arguments.loss < 1:
        raise ConfigError(f"--loss must be 0 to 1, not {arguments.loss:g}")
    rtt, encode, edge = (value / 1e3 for value in (arguments.rtt_ms, arguments.encode_ms, arguments.edge_ms))
    shared = Conditions(0.0, rtt, arguments.fps, encode, edge, loss=arguments.loss)
    return [replace(shared, deadline_s=deadline / 1e3) for deadline in sorted(set(deadlines))]


def _data(arguments: argparse.Namespace, bundle: Bundle) -> Path:
    if arguments.data is not None:
        return arguments.data
    beside = arguments.traces.resolve().parent / bundle.name / "val"
    if not beside.is_dir():
        raise ConfigError(f"{beside}: no such folder; name frames for bundle {bundle.name} with --data")
    return beside


def _play(
    pairs: Sequence[Pair],
    payloads: Payloads,
    measured: Measured,
    conditions: Sequence[Conditions],
    bundle: Bundle,
    arguments: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Every pair at every deadline; what an earlier run has played is read."""
    store, found = PointStore(arguments.out / "points"), []
    jobs = [(pair, c) for pair in pairs for c in conditions]
    with progress_bar(total=len(jobs), desc="playing", unit="link") as bar:
        for pair, c in jobs:
            seconds = pair.seconds(arguments.seconds)
            traces = [pair.up.times_ms.tolist(), pair.down.times_ms.tolist()]
            key = point_key(
                "link", VERSION, pair.name, traces, asdict(c), seconds, measured.key, arguments.pictures
            )
            name = f"link/{pair.name}-{c.deadline_s * 1e3:g}ms.json"
            known = store.load_json(name, key)
            if known is None:
                known = {"key": key, **measure_pair(pair.name, pair.up, pair.down, seconds, payloads, c)}
                store.save_json(name, known)
            found.append(known)
            bar.update()
    return found


def _results(
    found: Sequence[dict[str, Any]],
    measured: Measured,
    bundle: Bundle,
    conditions: Sequence[Conditions],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    rows = [row for job in found for row in job["rows"]]
    shared = {name: value for name, value in asdict(conditions[0]).items() if name != "deadline_s"}
    run = {
        "bundle": {"name": bundle.name, "id": f"{bundle.id:016x}"},
        "frames_id": measured.frames_id,
        "frames": len(measured.names),
        "tasks": list(bundle.tasks),
        "retention": measured.retention,
        "conditions": shared,
        "pictures": arguments.pictures,
        "traces": [job["trace"] for job in found if job["deadline_ms"] == found[0]["deadline_ms"]],
        **provenance(),
    }
    two = [job["two_robots"] for job in found]
    return {"schema": SCHEMA, "rows": rows, "compared": compared(rows), "two_robots": two, "run": run}
