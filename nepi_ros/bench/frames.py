# SPDX-License-Identifier: Apache-2.0
"""The frames of a bench run, checked: same frames, same input, same labels for every method."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nepi_ros.bundle import Bundle
from nepi_ros.datasets import VIDEO_RUN, FrameSet, Sample, consecutive, is_video
from nepi_ros.errors import ConfigError
from nepi_ros.letterbox import Letterbox
from nepi_ros.measure import truth_of


@dataclass(frozen=True, eq=False)
class Frame:
    """A labelled frame as the networks take it: image uint8 [H, W, 3], letterboxed to the bundle's input size.

    The sample's rgb is that image too.
    """

    sample: Sample
    image: np.ndarray
    box: Letterbox

    @property
    def name(self) -> str:
        return self.sample.name

    @property
    def content(self) -> np.ndarray:
        """The image without the letterbox's bars, uint8 [h, w, 3]: what a peer has to code."""
        x, y, width, height = self.box.content
        return np.ascontiguousarray(self.image[y : y + height, x : x + width])

    def with_content(self, content: np.ndarray) -> np.ndarray:
        """The network's input with another content: uint8 [H, W, 3]."""
        x, y, width, height = self.box.content
        image = self.image.copy()
        image[y : y + height, x : x + width] = content
        return image


@dataclass(frozen=True, eq=False)
class BenchFrames:
    """Frames in order. `runs` are their places grouped into runs of consecutive video frames (or of one frame each).

    `fingerprint` changes with any name, image or label.
    """

    folder: Path
    frames: tuple[Frame, ...]
    runs: tuple[tuple[int, ...], ...]
    labelled: tuple[str, ...]
    fingerprint: str

    @property
    def is_video(self) -> bool:
        """Whether most frames follow one another at the camera's rate."""
        return is_video(self.runs)


def load_frames(folder: Path, bundle: Bundle, limit: int = 0) -> BenchFrames:
    """Read all frames of `folder`, or `limit` of them: the first of each run of a video, else spread over the set.

    Raises ConfigError when there are no frames, no labels for any of the bundle's tasks, or labels that do not lie
    over their frames.
    """
    found = FrameSet.open(folder)
    _check_classes(found, bundle)
    names = [entry.name for entry in found.entries]
    chosen = _limited(consecutive(names), limit)
    frames, digest = [], hashlib.sha256()
    for sample in (found.load(i) for i in chosen):
        _add_to(digest, sample)
        frames.append(_letterboxed(sample, bundle))
    labelled = tuple(task for task in bundle.tasks if any(truth_of(f.sample, task) is not None for f in frames))
    if not labelled:
        raise ConfigError(
            f"{folder}: has no labels for {', '.join(bundle.tasks)}, the tasks of bundle {bundle.name}; "
            "name a folder of labelled frames with --data (nepi_ros/datasets.py says how labels lie beside frames)"
        )
    runs = consecutive([frame.name for frame in frames], [frame.box.content for frame in frames])
    return BenchFrames(folder, tuple(frames), runs, labelled, digest.hexdigest()[:16])


def load_probes(folder: Path, bundle: Bundle, count: int) -> list[Frame]:
    """`count` frames spread over a folder; labels play no part."""
    found = FrameSet.open(folder)
    places = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return [_letterboxed(found.load(int(i)), bundle) for i in places]


def _limited(runs: Sequence[Sequence[int]], limit: int) -> list[int]:
    everything = [i for run in runs for i in run]
    if not 0 < limit < len(everything):
        return everything
    if max(map(len, runs)) >= VIDEO_RUN:
        count = min(len(runs), max(1, limit // VIDEO_RUN))
        picked = [runs[i] for i in np.linspace(0, len(runs) - 1, count).round().astype(int)]
        each = -(-limit // len(picked))
        return [i for run in picked for i in run[:each]][:limit]
    return [everything[i] for i in np.linspace(0, len(everything) - 1, limit).round().astype(int)]


def _check_classes(found: FrameSet, bundle: Bundle) -> None:
    spec = bundle.tasks.get("classification")
    if spec and found.class_names and found.class_names != spec.classes:
        raise ConfigError(
            f"{found.folder}: has the classes {', '.join(found.class_names)}, bundle {bundle.name} has "
            f"{', '.join(spec.classes)}; name the frames that belong to the bundle with --data"
        )


def _letterboxed(sample: Sample, bundle: Bundle) -> Frame:
    box = Letterbox(sample.rgb.shape[1::-1], bundle.input_size)
    image = box.apply(sample.rgb)
    return Frame(replace(sample, rgb=image), image, box)  # the source is no longer needed, and it is large


def add_array(digest: Any, array: np.ndarray) -> None:
    """Let a hash depend on an array's shape and content."""
    digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())


def _add_to(digest: Any, sample: Sample) -> None:
    for array in (sample.rgb, sample.segmentation, sample.depth):
        if array is not None:
            add_array(digest, array)
    digest.update(repr((sample.name, sample.place)).encode())
