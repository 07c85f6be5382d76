# SPDX-License-Identifier: Apache-2.0
"""Folders of labelled frames, read as one kind of thing whatever their layout.

| layout | recognised by | labels |
| --- | --- | --- |
| rgbd | `frame-NNNNNN.color.jpg` (or `.png`) | `.depth.png` (uint16 mm), `.segmentation.png`, `places.csv` |
| segmentation | folders `images/` and `labels/` | `labels/NAME.png`, 8 bit class ids |
| classes | one folder of images per class | the folder's name |
| plain | images in the folder itself | none |

Folders that begin with a dot or hold no images are no classes. Segmentation ids above 255 count as ignored.
A `set.json` in the folder (as `python -m nepi_ros.scenes` writes it) may say that depth and segmentation
are registered to the colour image; otherwise an rgbd set is taken for a 7-Scenes recording, whose depth
camera sits beside the colour camera, and is registered on loading.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from nepi_ros.errors import ConfigError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
IGNORED = 255
VIDEO_RUN = 5
"""Frames of a video that follow one another at least: fewer consecutive numbers in a row may be chance."""
_ASPECT_TOLERANCE = 0.02
_NUMBERED = re.compile(r"(.*?)(\d+)$")

# 7-Scenes (Kinect), at 640x480: intrinsics of both cameras and the colour camera's place in the depth camera's frame.
_DEPTH_FOCAL, _COLOUR_FOCAL, _FULL_WIDTH = 585.0, 525.0, 640.0
_COLOUR_OFFSET_M = (0.025, 0.005)


@dataclass(frozen=True)
class Sample:
    """One frame and what is known of it.

    rgb: uint8 [H, W, 3]. depth: float32 [h, w], metres along Z, 0 where unknown. segmentation: uint8 [h, w],
    255 where ignored. place: class index. Labels that the set lacks are None. Labels cover the same field
    of view as rgb, at a resolution of their own.
    """

    name: str
    rgb: np.ndarray
    depth: np.ndarray | None = None
    segmentation: np.ndarray | None = None
    place: int | None = None


@dataclass(frozen=True)
class _Entry:
    name: str
    image: Path
    depth: Path | None = None
    segmentation: Path | None = None
    place: int | None = None


@dataclass(frozen=True)
class FrameSet:
    """The frames of one folder, in order.

    >>> FrameSet.open("../shared/data/kitchen/val").load(0).rgb.shape  # doctest: +SKIP
    (480, 640, 3)
    """

    folder: Path
    layout: str
    entries: tuple[_Entry, ...]
    class_names: tuple[str, ...] = ()
    registered: bool = True
    info: dict = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | Path) -> FrameSet:
        """Recognise the layout of `folder`. Raises ConfigError when it holds no frames."""
        folder = Path(folder)
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder of frames")
        for reader in (_open_rgbd, _open_segmentation, _open_classes, _open_plain):
            found = reader(folder)
            if found is not None:
                return found
        raise ConfigError(f"{folder}: holds no images ({', '.join(IMAGE_SUFFIXES)})")

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(index) for index in range(len(self)))

    def numbered_by(self, classes: Sequence[str]) -> FrameSet:
        """The same frames, with the folders that name their classes numbered as in `classes`, some of which may have
        none; places that are numbers already stay. Raises ConfigError when a folder is none of the classes."""
        strange = [name for name in self.class_names if name not in classes]
        if strange:
            raise ConfigError(
                f"{self.folder}: the folders {', '.join(strange)} are not among the classes {', '.join(classes)}; "
                "rename them or the classes"
            )
        if not self.class_names:
            return self
        places = [classes.index(name) for name in self.class_names]
        entries = tuple(replace(entry, place=places[entry.place]) for entry in self.entries)
        return replace(self, entries=entries, class_names=tuple(classes))

    @property
    def paths(self) -> list[Path]:
        """The image files, in order."""
        return [entry.image for entry in self.entries]

    def load(self, index: int) -> Sample:
        """Read frame `index` with its labels.

        Raises ConfigError naming the file that cannot be read, or the frame over which its labels do not lie.
        """
        entry = self.entries[index]
        rgb = cv2.cvtColor(_read(entry.image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        depth = segmentation = None
        if entry.depth is not None:
            depth = _read(entry.depth, cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000.0
        if entry.segmentation is not None:
            segmentation = _read(entry.segmentation, cv2.IMREAD_UNCHANGED)
            segmentation = np.where(segmentation > IGNORED, IGNORED, segmentation).astype(np.uint8)
        for kind, labels in (("segmentation", segmentation), ("depth", depth)):
            if labels is not None:
                self._check_labels(entry.name, rgb, kind, labels)
        if depth is not None and not self.registered:
            depth, segmentation = register(depth, segmentation)
        return Sample(entry.name, rgb, depth, segmentation, entry.place)

    def _check_labels(self, name: str, rgb: np.ndarray, kind: str, labels: np.ndarray) -> None:
        height, width = rgb.shape[:2]
        if labels.ndim != 2 or abs(labels.shape[1] * height / (labels.shape[0] * width) - 1) > _ASPECT_TOLERANCE:
            size = " x ".join(map(str, labels.shape[1::-1])) + (" with colours" if labels.ndim > 2 else "")
            raise ConfigError(
                f"{self.folder}: frame {name} is {width} x {height}, its {kind} labels are {size}; "
                "labels must have one channel and the frame's proportions"
            )


def register(depth: np.ndarray, segmentation: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Project a 7-Scenes depth map (float32 [h, w], metres, 0 = none) and its labels into the colour image.

    The nearest point wins where several fall on one pixel; pixels without a point stay 0 (depth) and 255 (labels).
    """
    height, width = depth.shape
    scale = width / _FULL_WIDTH
    v, u = np.nonzero(depth > 0)
    z = depth[v, u]
    x = (u - width / 2) * z / (_DEPTH_FOCAL * scale) - _COLOUR_OFFSET_M[0]
    y = (v - height / 2) * z / (_DEPTH_FOCAL * scale) - _COLOUR_OFFSET_M[1]
    column = np.rint(x * _COLOUR_FOCAL * scale / z + width / 2).astype(int)
    row = np.rint(y * _COLOUR_FOCAL * scale / z + height / 2).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Far points first, so that of several assignments to one pixel the nearest is the last.
    order = np.argsort(-z[inside], kind="stable")
    row, column = row[inside][order], column[inside][order]
    moved_depth = np.zeros_like(depth)
    moved_depth[row, column] = z[inside][order]
    if segmentation is None:
        return moved_depth, None
    moved_labels = np.full_like(segmentation, IGNORED)
    moved_labels[row, column] = segmentation[v, u][inside][order]
    return moved_depth, moved_labels


def _read(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise ConfigError(f"{path}: not a readable image")
    return image


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _open_rgbd(folder: Path) -> FrameSet | None:
    images = [p for p in _images(folder) if p.stem.endswith(".color")]
    if not images:
        return None
    info, places = read_info(folder / "set.json"), read_places(folder / "places.csv")
    entries = []
    for image in images:
        name = image.name.split(".")[0]
        depth, segmentation = (_existing(folder / f"{name}.{kind}.png") for kind in ("depth", "segmentation"))
        entries.append(_Entry(name, image, depth, segmentation, places.get(name)))
    return FrameSet(folder, "rgbd", tuple(entries), registered=bool(info.get("registered", False)), info=info)


def read_info(path: Path) -> dict:
    """What a set.json says; nothing where there is none. Raises ConfigError naming a file that is damaged."""
    if not path.exists():
        return {}
    try:
        info = json.loads(path.read_text("utf-8"))
    except ValueError as error:  # no JSON, or no text at all
        raise ConfigError(f"{path}: no readable JSON ({error})") from error
    if not isinstance(info, dict):
        raise ConfigError(f"{path}: expected an object, as python -m nepi_ros.scenes writes it")
    return info


def consecutive(
    names: Sequence[str], kinds: Sequence[object] | None = None, step: int = 1
) -> tuple[tuple[int, ...], ...]:
    """Places grouped into runs whose names count up by `step` (and whose `kinds` are equal).

    >>> consecutive(["frame-007", "frame-008", "frame-050"])
    ((0, 1), (2,))
    """
    runs: list[list[int]] = []
    for place, name in enumerate(names):
        before = _NUMBERED.match(names[place - 1]) if place else None
        here = _NUMBERED.match(name)
        follows = before and here and before[1] == here[1] and int(before[2]) + step == int(here[2])
        if follows and (kinds is None or kinds[place - 1] == kinds[place]):
            runs[-1].append(place)
        else:
            runs.append([place])
    return tuple(map(tuple, runs))


def is_video(runs: Sequence[Sequence[int]]) -> bool:
    """Whether most frames of `consecutive`'s runs follow one another at the camera's rate.

    >>> is_video([(0, 1, 2, 3, 4, 5), (6,)]), is_video([(0, 1), (2,)])
    (True, False)
    """
    return 2 * sum(len(run) for run in runs if len(run) >= VIDEO_RUN) > sum(map(len, runs))


def read_places(path: Path) -> dict[str, int]:
    """Places by frame name; none where there is no file. Raises ConfigError naming a file that is damaged."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        try:
            return {row["frame"]: int(row["place"]) for row in csv.DictReader(file)}
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}: expected the columns frame,place with a whole number each ({error})") from error


def _open_segmentation(folder: Path) -> FrameSet | None:
    if not (folder / "images").is_dir() or not (folder / "labels").is_dir():
        return None
    labels = folder / "labels"
    images = _images(folder / "images")
    entries = tuple(_Entry(p.stem, p, segmentation=_existing(labels / f"{p.stem}.png")) for p in images)
    return FrameSet(folder, "segmentation", entries) if entries else None


def _open_classes(folder: Path) -> FrameSet | None:
    folders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    images = {p.name: found for p in folders if (found := _images(p))}
    entries = tuple(
        _Entry(f"{name}/{p.stem}", p, place=i) for i, (name, found) in enumerate(images.items()) for p in found
    )
    return FrameSet(folder, "classes", entries, class_names=tuple(images)) if entries else None


def _open_plain(folder: Path) -> FrameSet | None:
    entries = tuple(_Entry(p.stem, p) for p in _images(folder))
    return FrameSet(folder, "plain", entries) if entries else None
