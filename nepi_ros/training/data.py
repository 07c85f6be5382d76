# SPDX-License-Identifier: Apache-2.0
"""Labelled frames in memory, and random batches of them that depend on seed and step alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from nepi_ros.datasets import IGNORED, FrameSet, Sample, consecutive, is_video, read_places
from nepi_ros.letterbox import Letterbox
from nepi_ros.scenes import Patrol
from nepi_ros.scenes.export import export
from nepi_ros.tasks import TaskSpec
from nepi_ros.training.aside import Asides, mirrored
from nepi_ros.training.config import AsideConfig, AugmentConfig, StageConfig, TrainConfig

# A film of the built-in scenes: every third frame at 30 frames/s, of one and a half seconds.
FILM_STEP, FILM_FRAMES = 3, 16
# Labels are kept at half the input's size: as fine as the loss needs.
LABEL_SHARE = 2


@dataclass
class Batch:
    """Frames with labels. image: float32 [N,3,H,W] in 0..1, depth: float32 [N,1,H/2,W/2] metres (0 unknown),
    segmentation: int64 [N,H/2,W/2] (255 ignored), place: int64 [N] (-1 unknown)."""

    image: Tensor
    depth: Tensor
    segmentation: Tensor
    place: Tensor


@dataclass(frozen=True)
class FrameFolders:
    """Where a run's frames lie. `films`: further ones to train on whose frames follow one another; empty where those of
    `train` may."""

    train: tuple[Path, ...]
    val: tuple[Path, ...]
    films: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: TrainConfig, config_file: Path, runs: Path) -> FrameFolders:
        """The configured folders; scenes are rendered to `runs` unless they are already there."""
        if config.scenes is None:
            return cls((config_file.parent / config.train,), (config_file.parent / config.val,))
        scenes, size = config.scenes, (config.input.width, config.input.height)
        every = range(0, scenes.frames * scenes.step, scenes.step)
        train, val = (
            tuple(_render(seed, every, f"{scenes.frames}-by-{scenes.step}", size, runs) for seed in seeds)
            for seeds in (scenes.train_seeds, scenes.val_seeds)
        )
        films = _films(every.stop, scenes.films)
        name = f"{scenes.films}-films-{FILM_FRAMES}-by-{FILM_STEP}-of-{every.stop}"
        return cls(train, val, tuple(_render(seed, films, name, size, runs) for seed in scenes.train_seeds if films))


def _films(length: int, count: int) -> list[int]:
    """The frames of films spread over a walk of so many frames."""
    starts = (length * film // count for film in range(count))
    return sorted({first + FILM_STEP * frame for first in starts for frame in range(FILM_FRAMES)})


def _render(seed: int, indices: Sequence[int], name: str, size: tuple[int, int], runs: Path) -> Path:
    """The folder of some frames of a building, which are rendered unless they are there."""
    folder = runs / "scenes" / f"{size[0]}x{size[1]}-{name}-seed-{seed}"
    if len(read_places(folder / "places.csv")) == len(indices):
        return folder
    export(Patrol(*size, seed=seed), folder, tqdm(indices, desc=f"rendering building {seed}", unit="frame"))
    return folder


@dataclass(frozen=True)
class FrameSets:
    """The frames of some folders, read anew whenever they are gone through: at full size they may not fit in memory."""

    sets: tuple[FrameSet, ...]

    @classmethod
    def open(cls, folders: Sequence[Path], classes: Sequence[str] = ()) -> FrameSets:
        """Folders that name the classes of their frames are numbered as in `classes`, where there are any.

        Raises ConfigError naming the folder.
        """
        found = (FrameSet.open(folder) for folder in folders)
        return cls(tuple(one.numbered_by(classes) if classes else one for one in found))

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    def runs(self, step: int = 1) -> list[tuple[int, ...]]:
        """The numbers of frames that follow one another, whose names count up by `step`, of folders that are videos."""
        found, first = [], 0
        for one in self.sets:
            runs = consecutive([entry.name for entry in one.entries], step=step)
            found += [tuple(first + place for place in run) for run in runs if is_video(runs)]
            first += len(one)
        return found

    def __iter__(self) -> Iterator[Sample]:
        return chain.from_iterable(self.sets)

    @property
    def digest(self) -> str:
        """Eight letters that change with the frames: their names, places and files' sizes."""
        digest = hashlib.sha256()
        for entry in chain.from_iterable(one.entries for one in self.sets):
            files = (entry.image, entry.depth, entry.segmentation)
            digest.update(repr((entry.name, entry.place, [file and file.stat().st_size for file in files])).encode())
        return digest.hexdigest()[:8]


class Frames:
    """All frames of some folders at the bundle's input size, as tensors on `device`. `digest` and `runs` are as of
    FrameSets."""

    def __init__(self, found: FrameSets, input_size: tuple[int, int], device: torch.device) -> None:
        self.size, self.digest, self.runs = input_size, found.digest, found.runs()
        rows = [self._fit(sample) for sample in found]
        image, depth, segmentation, place = (np.stack(column) for column in zip(*rows, strict=True))
        self.image = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous().to(device)
        self.depth = torch.from_numpy(depth)[:, None].to(device)
        self.segmentation = torch.from_numpy(segmentation).to(device)
        self.place = torch.from_numpy(place).to(device)

    def __len__(self) -> int:
        return len(self.image)

    def _fit(self, sample: Sample) -> tuple[np.ndarray, ...]:
        height, width = sample.rgb.shape[:2]
        box = Letterbox((width, height), self.size)
        small = (self.size[0] // LABEL_SHARE, self.size[1] // LABEL_SHARE)
        depth = _place(sample.depth, box, small, np.float32(0.0))
        labels = _place(sample.segmentation, box, small, np.uint8(IGNORED))
        return box.apply(sample.rgb), depth, labels, np.int64(-1 if sample.place is None else sample.place)

    def labelled(self, task: str, spec: TaskSpec) -> bool:
        """Whether any frame has a label for a task."""
        known = {
            "segmentation": self.segmentation < len(spec.classes),
            "depth": self.depth > 0,
            "classification": (self.place >= 0) & (self.place < len(spec.classes)),
        }
        return bool(known[task].any())

    def class_weights(self, classes: int) -> Tensor:
        """Weights for a segmentation loss: inverse square root of the classes' frequency, mean 1."""
        counts = torch.bincount(self.segmentation.flatten().long(), minlength=256)[:classes].float()
        weights = (counts.sum() / counts.clamp(min=1)).sqrt().clamp(max=20.0)
        return weights / weights.mean()

    def batch(self, stage: StageConfig, seed: int, step: int, augment: AugmentConfig) -> Batch:
        """Random frames for a step of a stage, randomly changed: the same for the same seed and step."""
        draw = self._draw(stage, seed, step, augment)
        small = (draw.window[0] // LABEL_SHARE, draw.window[1] // LABEL_SHARE)
        # The nearest camera with unchanged intrinsics that would see a zoomed frame stands closer by the zoom.
        depth = _warp(self.depth[draw.index], draw.affine, small) / draw.zoom[:, None, None, None]
        # Shifted by one, so that what comes from outside the frame is ignored rather than class 0.
        labels = _warp((self.segmentation[draw.index].float() + 1)[:, None] % 256, draw.affine, small)[:, 0]
        return Batch(self._images(draw), depth, (labels.long() - 1) % 256, self.place[draw.index])

    def images(self, stage: StageConfig, seed: int, step: int, augment: AugmentConfig) -> Tensor:
        """The images of `batch` alone."""
        return self._images(self._draw(stage, seed, step, augment))

    def seen(
        self,
        stage: StageConfig,
        seed: int,
        step: int,
        augment: AugmentConfig,
        answers: Mapping[str, Tensor],
        aside: AsideConfig | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The images of `batch`, and of answers as of `answers.averaged_answers` those for these images: some as a
        camera `aside` would see them, for which depths must be among the answers."""
        draw = self._draw(stage, seed, step, augment)
        every = {task: values[draw.index].float() for task, values in answers.items()}
        places = at = _places(draw.affine, self._window_of(next(iter(every.values())), draw))
        found: dict[str, Tensor] = {}
        if aside is not None:
            cameras = Asides.random(len(at), aside, self.size, draw.generator, at.device)
            at, found["depth"] = cameras.see(places, every.pop("depth"))
        found |= {task: mirrored(values, at) for task, values in every.items()}
        if "depth" in found:  # as in `batch`, what is zoomed is closer
            found["depth"] = found["depth"] - draw.zoom.log()[:, None, None, None]
        return self._images(draw, None if aside is None else at - places), found

    def _window_of(self, values: Tensor, draw: _Draw) -> tuple[int, int]:
        """Width and height of what a draw's window takes of values [N,C,h,w] of whole frames."""
        sides = zip(draw.window, values.shape[:1:-1], self.size, strict=True)
        return tuple(side * places // whole for side, places, whole in sides)

    def _draw(self, stage: StageConfig, seed: int, step: int, augment: AugmentConfig) -> _Draw:
        # A generator on the CPU, so that a run gives the same batches on every device.
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        size, window, device = stage.batch, stage.window or self.size, self.image.device
        index = torch.randint(len(self), (size,), generator=generator)
        affine, zoom = _random_affine(size, augment, self.size, window, generator)
        colour = _random_colour(size, augment.colour, generator)
        colour = tuple(part.to(device) for part in colour)
        return _Draw(window, index.to(device), affine.to(device), zoom.to(device), colour, generator)

    def _images(self, draw: _Draw, moved: Tensor | None = None) -> Tensor:
        """The images of a draw, each place taken from one that is `moved` [N,h,w,2] from there."""
        image = self.image[draw.index].float() / 255.0
        places = _places(draw.affine, draw.window)
        if moved is not None:
            places = places + _resized(moved, places.shape[1:3])
        return _recolour(mirrored(image, places), *draw.colour)


@dataclass(frozen=True)
class _Draw:
    """What is random about a batch: which frames, and how they are changed; `generator` gives what else is."""

    window: tuple[int, int]
    index: Tensor
    affine: Tensor
    zoom: Tensor
    colour: tuple[Tensor, ...]
    generator: torch.Generator


def _place(label: np.ndarray | None, box: Letterbox, size: tuple[int, int], unknown: np.generic) -> np.ndarray:
    """A label map laid into a map of `size` (width, height) as the letterbox lays the image into the input."""
    placed = np.full((size[1], size[0]), unknown)
    if label is not None:
        x, y, w, h = (v // LABEL_SHARE for v in box.content)
        placed[y : y + h, x : x + w] = cv2.resize(label, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
    return placed


def _random_affine(
    size: int, augment: AugmentConfig, frame: tuple[int, int], window: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Matrices for affine_grid that look at a random window [width, height] of the frame, and how much they zoom in."""
    uniform = torch.rand(5, size, generator=generator)
    zoom = augment.zoom_out + (augment.zoom - augment.zoom_out) * uniform[0]
    angle = math.radians(augment.turn_deg) * (2 * uniform[1] - 1)
    mirror = torch.where(uniform[2] < (0.5 if augment.mirror else 0.0), -1.0, 1.0)
    # affine_grid's coordinates go from -1 to 1 over the frame, whatever its shape.
    seen_x, seen_y = (window[0] / frame[0]) / zoom, (window[1] / frame[1]) / zoom
    across = frame[0] / frame[1]
    cos, sin = torch.cos(angle), torch.sin(angle)
    shift_x = (1 - seen_x).clamp(min=0) * (2 * uniform[3] - 1)
    shift_y = (1 - seen_y).clamp(min=0) * (2 * uniform[4] - 1)
    row_x = torch.stack([cos * mirror * seen_x, -sin / across * seen_y, shift_x], dim=1)
    row_y = torch.stack([sin * across * mirror * seen_x, cos * seen_y, shift_y], dim=1)
    return torch.stack([row_x, row_y], dim=1), zoom


def _random_colour(size: int, amount: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    uniform = 2 * torch.rand(size, 5, generator=generator) - 1
    gain = torch.exp(amount * uniform[:, :1]) * torch.exp(amount / 4 * uniform[:, 1:4])
    gamma = torch.exp(amount * uniform[:, 4])
    noise = 0.02 * torch.rand(size, generator=generator)
    return gain[:, :, None, None], gamma[:, None, None, None], noise[:, None, None, None]


def _recolour(image: Tensor, gain: Tensor, gamma: Tensor, noise: Tensor) -> Tensor:
    changed = (image * gain).clamp(1e-4, 1.0) ** gamma
    return (changed + noise * torch.randn_like(changed)).clamp(0.0, 1.0)


def _warp(labels: Tensor, affine: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels [N,1,H,W] as they are seen in views of `size` (width, height); 0 comes from outside the frame."""
    return F.grid_sample(labels, _places(affine, size), mode="nearest", align_corners=False)


def _places(affine: Tensor, size: tuple[int, int]) -> Tensor:
    """Places [N,h,w,2] in frames that are seen in views of `size` (width, height)."""
    return F.affine_grid(affine, [len(affine), 1, size[1], size[0]], align_corners=False)


def _resized(places: Tensor, size: tuple[int, ...]) -> Tensor:
    """Places [N,h,w,2] laid out on a grid of another height and width."""
    return F.interpolate(places.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
