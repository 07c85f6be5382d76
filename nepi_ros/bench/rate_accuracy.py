# SPDX-License-Identifier: Apache-2.0
"""`nepi bench rate-accuracy`: bytes and accuracy of every method on the same frames, with the same networks."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nepi_ros.bench.examples import headline_settings, make_examples
from nepi_ros.bench.judge import TARGETS
from nepi_ros.bench.page import page
from nepi_ros.bench.peers import PEERS
from nepi_ros.bench.plots import write_plots
from nepi_ros.bench.results import results
from nepi_ros.bench.runner import Measured, measure
from nepi_ros.bench.table import headline_text
from nepi_ros.bench.workbench import Setup
from nepi_ros.bundle import resolve_bundle
from nepi_ros.datasets import FrameSet
from nepi_ros.errors import ConfigError
from nepi_ros.files import write_atomic

SUMMARY = "measure bytes and accuracy of epitomes, JPEG, WebP, AVIF, HEVC, GRACE and others on labelled frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi bench rate-accuracy`."""
    parser.add_argument("--bundle", required=True, help="the bundle: a folder, or a name as in models/")
    parser.add_argument("--data", required=True, type=Path, help="folder of labelled frames that trained nothing")
    parser.add_argument("-o", "--out", required=True, type=Path, help="folder for results.json, plots and index.html")
    chosen = f"methods to measure (default: all): {', '.join(PEERS)}"
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, metavar="METHOD", help=chosen)
    kinds = "networks that judge: the bundle's own, those in BUNDLE-robust beside it, or both (default: plain)"
    parser.add_argument("--targets", choices=(*TARGETS, "both"), default="plain", help=kinds)
    parser.add_argument("--task-blind", type=Path, metavar="BUNDLE", help="bundle of a task-blind autoencoder")
    probes = "folder of training frames with which GRACE probes the networks (default: train beside --data)"
    parser.add_argument("--probes", type=Path, metavar="DIR", help=probes)
    parser.add_argument("--frames", type=int, default=0, metavar="N", help="measure on N frames (default: all)")
    steps = "points of each curve of a method (default: its whole range)"
    parser.add_argument("--points", type=int, default=0, metavar="N", help=steps)
    workers = "processes that measure (default: one for each core)"
    parser.add_argument("--workers", type=int, default=_cores(), metavar="N", help=workers)


def main(arguments: argparse.Namespace) -> int:
    """Measure what is not measured yet, write everything into the folder, print the headline."""
    measured = measure(_setup(arguments), max(1, arguments.workers))
    found = write_report(arguments.out, measured)
    print(headline_text(found))
    for method, why in found["problems"].items():
        print(f"{method}: not measured, {why}")
    print(f"\nin {arguments.out}: index.html, results.json, a plot for each task")
    return 0


def write_report(out: Path, measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Write results.json, plots, example pictures and index.html; returns what is in results.json."""
    main_targets, main_run = next(iter(measured.items()))
    found = results(measured, main_run.bench.setup.peers)
    write_atomic(out / "results.json", (json.dumps(found, indent=1) + "\n").encode())
    plots = write_plots(out, found)
    examples = []
    if found["headline"]:
        chosen = headline_settings(found, main_targets, next(iter(found["headline"])))
        examples = make_examples(main_run.bench, main_targets, chosen, main_run.tables)
    write_atomic(out / "index.html", page(found, plots, examples).encode())
    return found


def _setup(arguments: argparse.Namespace) -> Setup:
    if min(arguments.frames, arguments.points) < 0:
        raise ConfigError("--frames and --points must not be negative")
    FrameSet.open(arguments.data)
    peers = tuple(name for name in PEERS if name in {"epitome", *arguments.peers})
    return Setup(
        bundle=resolve_bundle(arguments.bundle),
        data=arguments.data,
        out=arguments.out,
        peers=peers,
        targets=TARGETS if arguments.targets == "both" else (arguments.targets,),
        blind=resolve_bundle(arguments.task_blind) if arguments.task_blind else None,
        probes=_probes(arguments),
        limit=arguments.frames,
        steps=arguments.points,
    )


def _probes(arguments: argparse.Namespace) -> Path | None:
    """The folder of probe images: never the frames that are measured."""
    folder = arguments.probes or arguments.data.resolve().parent / "train"
    if arguments.probes is not None and arguments.probes.resolve() == arguments.data.resolve():
        raise ConfigError(f"--probes {arguments.probes}: the frames that are measured; name a folder of other frames")
    if arguments.probes is None and (not folder.is_dir() or folder == arguments.data.resolve()):
        return None
    return FrameSet.open(folder).folder


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
