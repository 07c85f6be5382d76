# SPDX-License-Identifier: Apache-2.0
"""python -m nepi_ros.scenes: writes a data folder, or measures the speed."""

import argparse
import sys
import time
from pathlib import Path

import cv2
from tqdm import tqdm

from nepi_ros.errors import NepiError
from nepi_ros.scenes.export import export
from nepi_ros.scenes.patrol import Patrol


def _arguments(args: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nepi_ros.scenes", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder to write; a repeated call goes on where the last one stopped")
    parser.add_argument("--frames", type=int, default=600, help="frames to write (default %(default)s)")
    parser.add_argument("--start", type=int, default=0, help="index of the first frame (default %(default)s)")
    parser.add_argument("--step", type=int, default=1, help="frames from one to the next (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which building (default %(default)s)")
    parser.add_argument("--width", type=int, default=320, help="pixels (default %(default)s)")
    parser.add_argument("--height", type=int, default=240, help="pixels (default %(default)s)")
    parser.add_argument("--benchmark", action="store_true", help="measure frames/s on one core and exit")
    parsed = parser.parse_args(args)
    if not parsed.benchmark and parsed.out is None:
        parser.error("give --out DIR or --benchmark")
    if parsed.frames < 1 or parsed.step < 1 or parsed.start < 0 or min(parsed.width, parsed.height) < 16:
        parser.error("--frames and --step must be at least 1, --start at least 0, --width and --height at least 16")
    return parsed


def _benchmark(patrol: Patrol, frames: int = 100) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    for step in tqdm(range(frames), unit="frame"):
        patrol.frame(step * patrol.length // frames)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{frames / processor:.1f} frames per second of one core's time, {frames / wall:.1f} frames/s elapsed")


def main(args: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    options = _arguments(args)
    cv2.setNumThreads(1)
    try:
        return _run(options)
    except NepiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    patrol = Patrol(options.width, options.height, options.seed)
    ready = time.perf_counter() - started
    print(f"building of seed {options.seed}: {patrol.length} frames around, ready in {ready:.1f} s")
    if options.benchmark:
        _benchmark(patrol)
        return 0
    last = options.start + options.frames * options.step
    made = export(patrol, options.out, tqdm(range(options.start, last, options.step), unit="frame"))
    print(f"{made} frames written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
