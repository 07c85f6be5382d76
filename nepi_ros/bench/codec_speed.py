# SPDX-License-Identifier: Apache-2.0
"""`nepi bench codec`: what making and reading an epitome costs, beside JPEG and the target networks themselves, and how
closely it can be cut to a budget."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nepi_ros.bench.complexity import complexity
from nepi_ros.bench.cutting import cutting
from nepi_ros.bench.memory import peak_memory
from nepi_ros.bench.speed_plot import speed_plot
from nepi_ros.bench.stopwatch import GIVEN, HOLDING, JPEG, JPEG_QUALITY, MAKING, READING, Stopwatch
from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.datasets import FrameSet
from nepi_ros.errors import ConfigError
from nepi_ros.files import write_atomic
from nepi_ros.letterbox import Letterbox
from nepi_ros.provenance import provenance

SUMMARY = "time making and reading epitomes beside JPEG and the target networks; count arithmetic and memory"
_SCHEMA = 1
_MEMORY_FRAMES = 10
_KEYS = ("median", "p10", "p90")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `nepi bench codec`."""
    name = "a bundle: a folder, or a name as in models/; may be repeated, with a --data for each"
    parser.add_argument("--bundle", required=True, action="append", help=name)
    parser.add_argument("--data", required=True, action="append", type=Path, metavar="DIR", help="its folder of frames")
    parser.add_argument("-o", "--out", required=True, type=Path, help="folder for results.json and plots")
    parser.add_argument("--frames", type=int, default=30, metavar="N", help="frames of each set (default: %(default)s)")
    rounds = "how often each frame is timed (default: %(default)s)"
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help=rounds)


def main(arguments: argparse.Namespace) -> int:
    """Measure every bundle, print tables, write results.json and a plot for each."""
    if len(arguments.bundle) != len(arguments.data):
        raise ConfigError(f"{len(arguments.bundle)} --bundle, {len(arguments.data)} --data; give as many of each")
    if min(arguments.frames, arguments.rounds) < 1:
        raise ConfigError("--frames and --rounds must be at least 1")
    found = {}
    for name, data in zip(arguments.bundle, arguments.data, strict=True):
        bundle = Bundle.load(resolve_bundle(name))
        if bundle.name in found:
            raise ConfigError(f"--bundle {name}: a second bundle of the name {bundle.name}; time it on its own")
        found[bundle.name] = measure(bundle, data, arguments.frames, arguments.rounds)
        print(f"{speed_text(bundle.name, found[bundle.name])}\n")
        write_atomic(arguments.out / f"{bundle.name}.svg", speed_plot(bundle.name, found[bundle.name]))
    results = {"schema": _SCHEMA, "bundles": found, "run": provenance()}
    write_atomic(arguments.out / "results.json", (json.dumps(results, indent=1) + "\n").encode())
    print(f"in {arguments.out}: results.json, {', '.join(f'{name}.svg' for name in found)}")
    return 0


def measure(bundle: Bundle, data: Path, count: int, rounds: int) -> dict[str, Any]:
    """Times, arithmetic and memory of one bundle on up to `count` frames of a folder."""
    frames = _frames(data, count)
    stopwatch = Stopwatch(bundle)
    seconds = stopwatch.run(frames, rounds)
    few = [Letterbox(rgb.shape[1::-1], bundle.input_size).apply(rgb) for rgb in frames[:_MEMORY_FRAMES]]
    epitomes = [stopwatch.encoder.encode(image, len(bundle.layers)).segment() for image in few]
    files = {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}
    files |= {task: spec.network for task, spec in bundle.tasks.items()}
    networks = {name: complexity(bundle.path / file, bundle.input_size) for name, file in files.items()}
    return {
        "bundle_id": f"{bundle.id:016x}",
        "set": str(data),
        "frames": len(frames),
        "rounds": rounds,
        "source": dict(zip(("width", "height"), frames[0].shape[1::-1], strict=True)),
        "input": dict(zip(("width", "height"), bundle.input_size, strict=True)),
        "steps_ms": {name: _spread(1000 * values) for name, values in seconds.items()},
        "ratios": {name: _spread(values) for name, values in _ratios(seconds, stopwatch.targets).items()},
        "networks": {name: asdict(counted) for name, counted in networks.items()},
        "cut_to_budget": cutting(stopwatch.encoder, few),
        "peak_memory_mb": peak_memory(bundle.path, few, epitomes),
    }


def _frames(folder: Path, count: int) -> list[np.ndarray]:
    found = FrameSet.open(folder)
    places = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return [found.load(int(place)).rgb for place in places]


def _ratios(seconds: Mapping[str, np.ndarray], targets: Sequence[str]) -> dict[str, np.ndarray]:
    making, reading, local = (sum(seconds[name] for name in names) for names in (MAKING, READING, targets))
    quality = f"JPEG q{JPEG_QUALITY}"
    given = {}
    if GIVEN[0] in seconds:
        making_given = making - seconds[MAKING[-1]] + seconds[GIVEN[0]]
        given = {"target networks / making, given an earlier frame": local / making_given}
    return {
        f"making / {quality} encoding": making / seconds[JPEG[0]],
        f"making / {quality} encoding, input size": making / seconds[JPEG[2]],
        f"reading / {quality} decoding": reading / seconds[JPEG[1]],
        f"reading / {quality} decoding, input size": reading / seconds[JPEG[3]],
        "target networks / making": local / making,
        **given,
        "target networks / holding": local / (seconds[MAKING[0]] + seconds[HOLDING]),
        "target networks / reading": local / reading,
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    """Median and the middle 80 % of the rounds."""
    return {key: round(float(value), 4) for key, value in zip(_KEYS, np.percentile(values, (50, 10, 90)), strict=True)}


def speed_text(name: str, found: Mapping[str, Any]) -> str:
    """One bundle's figures as tables for the terminal."""
    source, size = ("{width} x {height}".format(**found[key]) for key in ("source", "input"))
    lines = [f"{name}: {found['frames']} frames of {source}, networks at {size}; one core, {found['rounds']} rounds"]
    lines += _rows("step", "ms", found["steps_ms"])
    lines += _rows("ratio", "", found["ratios"])
    lines.append(f"{'network':44}{'M MAC':>10}{'k params':>10}{'kB':>10}")
    for network, size in found["networks"].items():
        counts = (size["macs"] / 1e6, size["parameters"] / 1e3, size["file_bytes"] / 1e3)
        lines.append(f"{network:44}" + "".join(f"{value:10,.1f}" for value in counts))
    cut = found["cut_to_budget"]
    lines.append(
        f"cut to budgets of 3 to 100 % of an epitome: {cut['unused_mean']:.1%} unused on average, "
        f"at most a tenth of {cut['within_tenth']:.0%} of them"
    )
    peaks = (f"{role.replace('_', ' ')} {peak or 'not known'}" for role, peak in found["peak_memory_mb"].items())
    return "\n".join([*lines, f"peak memory in MB: {', '.join(peaks)}"])


def _rows(title: str, unit: str, rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    head = f"{title:44}{f'median {unit}'.strip():>10}{'p10':>10}{'p90':>10}"
    return [head, *(f"{name:44}" + "".join(f"{row[key]:10.2f}" for key in _KEYS) for name, row in rows.items())]
