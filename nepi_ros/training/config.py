# SPDX-License-Identifier: Apache-2.0
"""What a training run is told: one YAML file, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from nepi_ros.bundle_files import checked_name
from nepi_ros.codec import class_layers
from nepi_ros.codec.classtables import MAX_CLASSES
from nepi_ros.codec.tables import MAX_LAYERS
from nepi_ros.errors import BundleError, ConfigError
from nepi_ros.tasks import TASKS, TaskSpec
from nepi_ros.training.latent import MAP_CELL, LatentLayout, grid
from nepi_ros.training.settings import is_number, is_whole, task_spec

T = TypeVar("T")


@dataclass(frozen=True)
class InputConfig:
    """Size in pixels of the images that encoder and target networks see; multiples of 16."""

    width: int = 320
    height: int = 240

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not is_whole(getattr(self, name), 32) or getattr(self, name) % 16:
                raise ConfigError(f"input.{name}: {getattr(self, name)!r} is not a multiple of 16 from 32 up")


@dataclass(frozen=True)
class ScenesConfig:
    """Frames to render from the built-in scenes instead of reading folders: buildings by their seeds, `frames` of
    each, `step` apart along the patrol; and of those to train on so many `films`, of frames that follow one another."""

    train_seeds: tuple[int, ...]
    val_seeds: tuple[int, ...]
    frames: int = 130
    step: int = 43
    films: int = 4

    def __post_init__(self) -> None:
        if not all(is_whole(value, 0) for value in (*self.train_seeds, *self.val_seeds)):
            raise ConfigError("scenes: seeds must be whole numbers from 0 up")
        for name in ("frames", "step"):
            if not is_whole(getattr(self, name), 1):
                raise ConfigError(f"scenes.{name}: {getattr(self, name)!r} is not a whole number from 1 up")
        if not is_whole(self.films, 0):
            raise ConfigError(f"scenes.films: {self.films!r} is not a whole number from 0 up")
        both = set(self.train_seeds) & set(self.val_seeds)
        if both or not self.train_seeds or not self.val_seeds:
            raise ConfigError(f"scenes: train_seeds and val_seeds must be given and differ; both hold {sorted(both)}")


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to training frames: zoom between two factors, turn up to degrees, mirror, share of colour
    change."""

    zoom_out: float = 1.0
    zoom: float = 1.35
    turn_deg: float = 5.0
    mirror: bool = False
    colour: float = 0.25

    def __post_init__(self) -> None:
        for name in ("zoom_out", "zoom", "turn_deg", "colour"):
            value, above = getattr(self, name), name.startswith("zoom")
            if not is_number(value) or value < 0 or (above and value == 0):
                raise ValueError(f"{name}: {value!r} is not a number {'above 0' if above else 'from 0 up'}")
        if not isinstance(self.mirror, bool):
            raise ValueError(f"mirror: {self.mirror!r} is neither true nor false")


@dataclass(frozen=True)
class StageConfig:
    """One optimisation: how many steps of how many frames, and the highest learning rate (one cosine).

    window: width and height in pixels of the random part of a frame that is trained on, multiples of 32; nothing
    for whole frames.
    """

    steps: int = 1000
    batch: int = 16
    rate: float = 1e-3
    decay: float = 1e-4
    window: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, lowest in (("steps", 0), ("batch", 1)):
            value = getattr(self, name)
            if not is_whole(value, lowest):
                raise ValueError(f"{name}: {value!r} is not a whole number from {lowest} up")
        for name in ("rate", "decay"):
            value = getattr(self, name)
            if not is_number(value) or value < 0:
                raise ValueError(f"{name}: {value!r} is not a number from 0 up")
        sides = self.window
        if sides is not None and not (len(sides) == 2 and all(is_whole(s, 32) and s % 32 == 0 for s in sides)):
            raise ValueError(f"window: {list(sides)} is not [width, height] in multiples of 32")


@dataclass(frozen=True)
class TargetsConfig:
    """Target networks: first one trunk for all tasks, then each task's own network from a copy of it.

    width scales the channels. networks names ONNX files to use instead, per task, seen from the configuration file's
    folder: they are frozen, and joint and tune then only tell how they were made. robust tunes copies of the networks
    with JPEG and downscaling among the augmentations, for `nepi train --only robust`.
    """

    width: float = 1.0
    joint: StageConfig = field(default_factory=StageConfig)
    tune: StageConfig = field(default_factory=StageConfig)
    robust: StageConfig | None = None
    networks: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_number(self.width) or self.width <= 0:
            raise ValueError(f"width: {self.width!r} is not a number above 0")
        if not isinstance(self.networks, dict) or not all(isinstance(file, str) for file in self.networks.values()):
            raise ValueError(f"networks: {self.networks!r} does not give tasks an ONNX file each")


@dataclass(frozen=True)
class ViewsConfig:
    """Which changed copies of a frame a network also sees, so that its answers' average is better than its answer: at
    each zoom, and mirrored too where `mirror` says so. What it was not trained for makes them worse."""

    zoom: tuple[float, ...] = (1.0,)
    mirror: bool = False

    def __post_init__(self) -> None:
        if not self.zoom or not all(is_number(value) and 0.25 <= value <= 4 for value in self.zoom):
            raise ValueError(f"zoom: {list(self.zoom)!r} are not numbers from 0.25 to 4")
        if not isinstance(self.mirror, bool):
            raise ValueError(f"mirror: {self.mirror!r} is neither true nor false")


@dataclass(frozen=True)
class AsideConfig:
    """From where else a frame is seen, in a `share` of a batch: up to move_m metres along each axis from where it was
    taken, and turned by up to turn_deg across and down. view_deg: the angle that the camera sees across."""

    share: float = 0.6
    move_m: float = 0.12
    turn_deg: float = 4.0
    view_deg: float = 63.0

    def __post_init__(self) -> None:
        for name, low, high in (("share", 0, 1), ("move_m", 0, 10), ("turn_deg", 0, 45), ("view_deg", 10, 170)):
            value = getattr(self, name)
            if not is_number(value) or not low <= value <= high:
                raise ValueError(f"{name}: {value!r} is not a number from {low} to {high}")


OBJECTIVES = ("targets", "answers", "image")


@dataclass(frozen=True)
class CodecConfig:
    """Encoder and decoder.

    layers: as LatentLayout.of reads them. later: tasks that the first layers may neglect, each with its weight in
    epitomes of one layer, which grows to 1 at half of the layers. target_bytes: mean size that full epitomes may have
    (by the training prior; the coder's contexts then save some of it; of windows, where a stage has one). byte_weight:
    the least that a factor e in bytes counts in the loss, however small epitomes are. named: whether with `answers` the
    decoder also answers what a whole frame is called, in place of painting an image for that network; seen: how much
    counts what it sees there, at first; at last a tenth of it. full_share: share of frames trained with all layers, the
    rest with a random prefix. objective: what must survive, the target networks' outputs on a decoded image
    (`targets`), their `answers`, which the decoder then gives itself, or the `image` itself (mean squared error: a
    task-blind autoencoder, to compare with, which trains for the steps of both stages). strong: training of the strong
    encoder and the wide decoder, left out with 0 steps; imitation: of the light encoder by the strong one's example,
    both for `targets` alone; light: of the light encoder and the slim decoder together; classes: before it, of what
    reads a map of classes, where `layers` has one, with a rectangle of another frame in a share of the frames
    (`pasted`); decoder: after it, of a decoder that gives `answers`, for an encoder that stays. aside: from where
    else frames are seen, by their depths. views: those of a frame whose answers are averaged. kept: how many of the
    layers, from the first, the bundle gets; all without it. Where later layers help training and hurt the answers,
    they are better left out. judged: the share of a batch's frames that a task's network judges, all without it:
    what is easily learnt needs few. augment: changes to the frames that the codec is trained on, where they are not
    those for the target networks: objects should be as large as in the frames to come. pictures: whether the
    bundle's layers go on with JPEGs of the frame, as far as these are worth more than the latent.
    """

    layers: str = "4/whole, 2 x 1/64, 2 x 2/64, 4 x 1/32, 2 x 2/32, 8 x 1/16, 8 x 2/16"
    later: dict[str, float] = field(default_factory=dict)
    target_bytes: float = 2500.0
    byte_weight: float = 0.02
    named: bool = False
    seen: float = 0.05
    full_share: float = 0.2
    objective: str = "targets"
    kept: int | None = None
    judged: dict[str, float] = field(default_factory=dict)
    augment: AugmentConfig | None = None
    pictures: bool = False
    strong: StageConfig = field(default_factory=StageConfig)
    imitation: StageConfig = field(default_factory=StageConfig)
    light: StageConfig = field(default_factory=StageConfig)
    classes: StageConfig = field(default_factory=StageConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    pasted: float = 0.0
    aside: AsideConfig | None = None
    decoder: StageConfig | None = None

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ConfigError(f"codec.objective: {self.objective!r}; choose from {', '.join(OBJECTIVES)}")
        for entry in ("pictures", "named"):
            if not isinstance(value := getattr(self, entry), bool):
                raise ConfigError(f"codec.{entry}: {value!r} is neither true nor false")
        if self.decoder is not None and self.objective != "answers":
            raise ConfigError("codec.decoder: needs objective: answers")
        if not self.target_bytes > 0 or not 0 <= self.full_share <= 1:
            raise ConfigError("codec: target_bytes must be more than 0, and full_share from 0 to 1")
        for entry in ("byte_weight", "seen"):
            if not is_number(weight := getattr(self, entry)) or not weight > 0:
                raise ConfigError(f"codec.{entry}: {weight!r} is not a number above 0")
        if not is_number(self.pasted) or not 0 <= self.pasted <= 1:
            raise ConfigError(f"codec.pasted: {self.pasted!r} is not a number from 0 to 1")
        for entry, shares in (("later", self.later), ("judged", self.judged)):
            if not isinstance(shares, dict):
                raise ConfigError(f"codec.{entry}: {shares!r} does not give tasks a number from 0 to 1 each")
            for task, share in shares.items():
                if not isinstance(share, (int, float)) or not 0 <= share <= 1 or not (share or entry == "later"):
                    raise ConfigError(f"codec.{entry}.{task}: {share!r} is not a number from 0 to 1")
        layout = LatentLayout.of(self.layers)
        if layout.has_map and (self.kept or self.objective != "answers"):
            raise ConfigError("codec.layers: a map of classes goes with objective: answers, and without kept")
        count = len(layout.layers)
        if self.kept is not None and not (isinstance(self.kept, int) and 1 <= self.kept <= count):
            raise ConfigError(f"codec.kept: {self.kept!r} is not a number of layers from 1 to {count}")


@dataclass(frozen=True)
class TrainConfig:
    """A whole run: from labelled frames to a bundle.

    train and val are folders as nepi_ros.datasets reads them, seen from the configuration file's folder;
    scenes takes their place. tasks holds each task's own settings: for segmentation its classes and a palette of one
    colour each, for depth min_m and max_m in metres, for classification its classes.
    """

    name: str
    tasks: dict[str, dict[str, Any]]
    train: str = ""
    val: str = ""
    scenes: ScenesConfig | None = None
    notice: str = ""
    seed: int = 0
    input: InputConfig = field(default_factory=InputConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)

    def __post_init__(self) -> None:
        for entry in ("train", "val", "notice"):
            if not isinstance(getattr(self, entry), str):
                raise ConfigError(f"{entry}: {getattr(self, entry)!r} is no text")
        try:
            checked_name(self.name)
        except BundleError as error:
            raise ConfigError(f"name: {error}") from error
        if not is_whole(self.seed, 0):
            raise ConfigError(f"seed: {self.seed!r} is not a whole number from 0 up")
        if not isinstance(self.tasks, dict):
            raise ConfigError(f"tasks: expected a mapping of tasks to their settings, not {self.tasks!r}")
        unknown = set(self.tasks) - set(TASKS)
        if unknown or not self.tasks:
            raise ConfigError(f"tasks: {', '.join(sorted(unknown)) or 'none'}; choose from {', '.join(TASKS)}")
        for task in self.tasks:
            self.spec(task)
        for entry, named in (("targets.networks", self.targets.networks), ("codec.later", self.codec.later),
                             ("codec.judged", self.codec.judged)):  # fmt: skip
            strange = set(named) - set(self.tasks)
            if strange:
                raise ConfigError(f"{entry}: {', '.join(sorted(strange))}: not among the tasks")
        layout = LatentLayout.of(self.codec.layers)
        if layout.has_map:
            self._check_map(layout)
        if self.codec.aside is not None and (self.codec.objective != "answers" or "depth" not in self.tasks):
            raise ConfigError("codec.aside: needs objective: answers, and the task depth, to see frames from elsewhere")
        if bool(self.train and self.val) == bool(self.scenes):
            raise ConfigError("train, val: name a folder each, or give scenes instead of both")

    def _check_map(self, layout: LatentLayout) -> None:
        """What a map of classes needs must show before hours of training."""
        classes = len(self.spec("segmentation").classes) if "segmentation" in self.tasks else 0
        if not 2 <= classes <= MAX_CLASSES:
            raise ConfigError(f"codec.layers: a map of classes needs the task segmentation, with 2 to {MAX_CLASSES}")
        map_size = grid(MAP_CELL, (self.input.width, self.input.height))
        numbers = sum(channels > 0 for channels, _ in layout.layers)
        most = MAX_LAYERS - len(class_layers(*map_size, classes))
        if numbers > most:
            raise ConfigError(f"codec.layers: {numbers} layers beside a map of classes, at most {most}")

    def spec(self, task: str) -> TaskSpec:
        """A task as the bundle will describe it."""
        return task_spec(task, self.tasks[task])

    @property
    def places(self) -> tuple[str, ...]:
        """The classes that whole frames belong to; empty without that task."""
        return self.spec("classification").classes if "classification" in self.tasks else ()

    @classmethod
    def load(cls, path: str | Path) -> TrainConfig:
        """Read a YAML file. Raises ConfigError naming the file and the entry that is wrong."""
        try:
            content = yaml.safe_load(Path(path).read_text("utf-8"))
            return _build(cls, content, "")
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ConfigError) as error:
            raise ConfigError(f"{path}: {error}") from error


_NESTED = {"input": InputConfig, "augment": AugmentConfig, "targets": TargetsConfig, "codec": CodecConfig,
           "scenes": ScenesConfig, "views": ViewsConfig, "aside": AsideConfig,
           **dict.fromkeys(("joint", "tune", "robust"), StageConfig),
           **dict.fromkeys(("strong", "imitation", "light", "classes", "decoder"), StageConfig),
           }  # fmt: skip


def _build(kind: type[T], content: Any, where: str) -> T:
    if not isinstance(content, dict):
        raise ConfigError(f"{where or 'the file'}: expected a mapping")
    known = {f.name for f in fields(kind)}
    for key in content:
        if key not in known:
            raise ConfigError(f"{where}{key}: unknown; known are {', '.join(sorted(known))}")
    values = {k: _build(_NESTED[k], v, f"{where}{k}.") if k in _NESTED else _plain(v) for k, v in content.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"{where or 'the file'}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{where}{error}") from error


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
