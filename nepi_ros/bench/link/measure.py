# SPDX-License-Identifier: Apache-2.0
"""What frames and results really weigh, measured on frames at hand with a bundle; kept in a file between runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nepi_ros.bench.frames import BenchFrames, Frame
from nepi_ros.bench.judge import AGREEMENT, meters_of
from nepi_ros.bench.peers.stills import JPEG_QUALITIES
from nepi_ros.bench.points import Point, PointStore, point_key
from nepi_ros.bench.wire import epitome_room
from nepi_ros.bench.workbench import Bench, Setup
from nepi_ros.bundle import Bundle
from nepi_ros.codec import Encoder, untouched
from nepi_ros.letterbox import Letterbox
from nepi_ros.link.returns import DENSE, SCALES
from nepi_ros.progress import progress_bar
from nepi_ros.result_code import NEAREST_M, depth_levels, pack_depth, pack_labels, unpack_depth
from nepi_ros.tasks import REGISTRY, TaskSpec

_VERSION = 4
WIDTHS = {"segmentation": 160, "depth": 80}
"""Pixels of full results: what edge_node has by default."""
TOP_K = 5


@dataclass(frozen=True)
class Measured:
    """Sizes in bytes of F frames, and what sizes are worth.

    key: tells them from others. epitomes: [F][L] for each prefix its messages, as [layers so far, bytes of data]. jpeg:
    [F][Q], qualities ascending; jpeg_agreement: task -> [Q]. results: dense task -> [F][S] for SCALES; retention: dense
    task -> [S], agreement of a result of that scale, enlarged again, with the network's own result, relative to the
    largest scale.
    """

    key: str
    frames_id: str
    names: list[str]
    epitomes: list[list[list[list[int]]]]
    qualities: list[int]
    jpeg: list[list[int]]
    jpeg_agreement: dict[str, list[float]]
    results: dict[str, list[list[int]]]
    retention: dict[str, list[float]]


def measure(bundle: Path, data: Path, out: Path, limit: int) -> Measured:
    """Measure, or read what an earlier run has measured on the same bundle and frames.

    Raises ConfigError when `data` holds no frames that fit the bundle.
    """
    bench = Bench(Setup(bundle, data, out, limit=limit))
    store, version = PointStore(out / "points"), bench.peers(["jpeg"], {})["jpeg"].version
    key = point_key(_VERSION, f"{bench.bundle.id:016x}", bench.identity("plain"), SCALES, WIDTHS, version)
    known = store.load_json("payloads.json", key)
    if known is not None:
        return Measured(**known["measured"])
    jpeg = [_jpeg_point(bench, store, quality, version) for quality in _bar(JPEG_QUALITIES, "JPEG", "quality")]
    results, retention = _results(bench)
    measured = Measured(
        key,
        bench.frames.fingerprint,
        [frame.name for frame in bench.frames.frames],
        _epitomes(bench.bundle, bench.frames),
        list(JPEG_QUALITIES),
        np.stack([point.sizes for point in jpeg], axis=1).tolist(),
        {task: [_agreement(bench.bundle, task, point) for point in jpeg] for task in bench.bundle.tasks},
        results,
        retention,
    )
    store.save_json("payloads.json", {"key": key, "measured": asdict(measured)})
    return measured


def _bar(items, what: str, unit: str = "frame"):  # noqa: ANN001, ANN202 - as progress_bar
    return progress_bar(items, desc=f"measuring {what}", unit=unit)


def _jpeg_point(bench: Bench, store: PointStore, quality: int, version: str) -> Point:
    setting = {"quality": quality, "subsampling": "4:2:0"}
    key = point_key("jpeg", setting, version, bench.identity("plain"), {})
    point = store.load("jpeg", setting, key)
    if point is None:
        point = bench.point("jpeg", setting, {}, ("plain",))[0]
        store.save(point, key)
    return point


def _agreement(bundle: Bundle, task: str, point: Point) -> float:
    return float(meters_of(bundle)[task][AGREEMENT]().of(point.counts[task][AGREEMENT].sum(axis=0)))


def _epitomes(bundle: Bundle, frames: BenchFrames) -> list[list[list[list[int]]]]:
    """Messages of every prefix of every frame, split as encoder_node does."""
    encoder, prefixes = Encoder(bundle), range(1, bundle.layer_count + 1)
    encoded = (encoder.encode(frame.image) for frame in _bar(frames.frames, "epitomes"))
    return [
        [[[s.stop, len(s.stream)] for s in frame.segments(count, epitome_room())] for count in prefixes]
        for frame in encoded
    ]


def _results(bench: Bench) -> tuple[dict[str, list[list[int]]], dict[str, list[float]]]:
    """Sizes and retention of the dense results on the untouched frames."""
    bundle, networks = bench.bundle, bench.judge("plain").networks
    dense = [task for task in DENSE if task in bundle.tasks]
    sizes: dict[str, list[list[int]]] = {task: [] for task in dense}
    meters = {task: [REGISTRY[task].agreement(bundle.tasks[task]) for _ in SCALES] for task in dense}
    for frame in _bar(bench.frames.frames, "results"):
        outputs = networks.run(untouched(frame.image[None]))
        for task in dense:
            spec, output = bundle.tasks[task], outputs[task][0]
            row = []
            for scale, meter in zip(SCALES, meters[task], strict=True):
                result = _scaled(task, output, frame, spec, round(WIDTHS[task] * scale))
                packed, result = _packed(task, result, spec, scale)
                row.append(len(packed))
                meter.add(*_over_each_other(task, result, output, frame, spec))
            sizes[task].append(row)
    values = {task: [meter.value() for meter in meters[task]] for task in dense}
    return sizes, {task: [min(1.0, value / row[0]) for value in row] for task, row in values.items()}


def _scaled(task: str, output: np.ndarray, frame: Frame, spec: TaskSpec, width: int) -> np.ndarray:
    """A result `width` pixels wide over the frame's content, as the edge makes it."""
    x, y, *content = frame.box.content
    height = max(1, round(width * content[1] / content[0]))
    whole = tuple(
        max(1, round(side * i / c)) for side, i, c in zip((width, height), frame.box.input_size, content, strict=True)
    )
    return frame.box.crop(REGISTRY[task].result(output, whole, spec), (width, height))


def _packed(task: str, result: np.ndarray, spec: TaskSpec, scale: float) -> tuple[bytes, np.ndarray]:
    """A result as it goes over the radio, and as it comes out there."""
    if task == "segmentation":
        return pack_labels(result), result
    packed = pack_depth(result, max(spec.min_m, NEAREST_M), spec.max_m, depth_levels(scale))
    return packed, unpack_depth(packed)


def _over_each_other(
    task: str, result: np.ndarray, output: np.ndarray, frame: Frame, spec: TaskSpec
) -> tuple[np.ndarray, np.ndarray]:
    """A small result enlarged to the network's input, and the network's own result at that size."""
    own = frame.box.crop(REGISTRY[task].result(output, frame.box.input_size, spec))
    size = own.shape[1::-1]
    return Letterbox(result.shape[1::-1], result.shape[1::-1]).crop(result, size), own
