# SPDX-License-Identifier: Apache-2.0
"""Trains the epitome's encoder and decoder against frozen target networks.

N-epitomizer (Nam et al., IEEE/ACM Transactions on Networking 2024): what is kept of a frame is what keeps the
target networks' outputs. Layers become ordered by importance by nested dropout (Rippel et al., ICML 2014):
each frame of a batch is decoded from a random prefix. No labels are used.

Three stages. A strong encoder reads the latents from what the target networks' own trunks see, together with a wide
decoder. The light encoder learns to put out the same latents (imitation.py). Then it and the slim decoder, which the
bundle gets, learn to paint the same images, and at last only to have the same effect on the target networks.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.training.answers import averaged_answers, learn_map
from nepi_ros.training.basis import basis_of
from nepi_ros.training.config import AugmentConfig, CodecConfig, StageConfig, TrainConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.eyes import Eyes, StrongEncoder
from nepi_ros.training.imitation import Lesson, Lessons, Pupil, difference, lesson_loss, mixed
from nepi_ros.training.latent import CELLS, MAP_CELL, LatentLayout
from nepi_ros.training.loop import Stage, mixed_precision
from nepi_ros.training.losses import FROM_TARGETS
from nepi_ros.training.networks import Decoder, Encoder

_LOG = logging.getLogger(__name__)

LATENT_LIMIT = 127
SLIM = 0.5
"""Width of the decoder that a bundle gets, of the strong one's."""
# Likeness of the decoded image to the frame gives the first steps a direction; then it fades to this weight.
_LIKENESS, _LIKENESS_END, _FADED = 20.0, 0.5, 0.3
# A task-blind codec has nothing but likeness; so weighted, it is about as large as the distances of the tasks.
_IMAGE_WEIGHT = 200.0
# How much the light encoder is held to the strong one's latents, at first and at last.
_IMITATION, _IMITATION_END = 1.0, 0.02
# Without a rate term for the first steps, so that no channel is starved before it carries anything.
_RATE_FREE = 0.1
# Share of the frames that come with one kind of layers alone, for each kind.
_ALONE = 0.2
# Bytes below which a size hardly matters: a message has a header too.
_SMALL = 8.0


class Prior(nn.Module):
    """Logistic distribution of each latent channel, for estimating bits while training.

    Factorised prior as in Balle et al. (ICLR 2018) with a logistic in place of a learned density; what goes over
    the wire is coded with the fitted tables of nepi_ros.codec instead.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(channels, 1, 1))

    def bits(self, latent: Tensor) -> Tensor:
        """Bits of every value of latent [N,C,h,w]."""
        distance = (latent - self.centre).abs()
        scale = self.log_scale.clamp(-5, 5).exp()
        # The two tails are taken on the side where the sigmoid does not saturate.
        mass = torch.sigmoid((0.5 - distance) / scale) - torch.sigmoid((-0.5 - distance) / scale)
        return -mass.clamp(min=1e-7).log2()


@dataclass(frozen=True)
class Kinds:
    """Which frames of a batch come with layers of numbers, and which with those of a map of classes: bool [N] each. One
    kind is enough where the tasks need no more: the map for segmentation alone, the numbers for all the others."""

    numbers: Tensor
    classes: Tensor

    @classmethod
    def random(cls, count: int, device: torch.device) -> Kinds:
        """For each of `count` frames both, or by chance one alone."""
        chance = torch.rand(count)
        return cls((chance >= _ALONE).to(device), (chance < 1 - _ALONE).to(device))

    def importance(self, weights: dict[str, Tensor], tasks: Iterable[str]) -> dict[str, Tensor]:
        """Weights [N] of the tasks, 0 in frames that come without what a task is read from."""
        told = {task: self.classes if task == "segmentation" else self.numbers for task in tasks}
        return {task: weights.get(task, 1.0) * sent for task, sent in told.items()}


@dataclass(frozen=True)
class Sizes:
    """Bytes [N] of epitomes with all their layers, and with those that are sent."""

    full: Tensor
    sent: Tensor


class Codec(nn.Module):
    """Encoder, decoder and priors, trained together. The encoder gives maps as of `networks.Heads`."""

    def __init__(self, layout: LatentLayout, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.layout, self.encoder, self.decoder = layout, encoder, decoder
        self.classes = decoder.map_classes
        self.priors = nn.ModuleList(Prior(layout.channels(cell)) for cell in CELLS)

    def sizes(self, maps: Sequence[Tensor], prefixes: Tensor) -> Sizes:
        """Estimated sizes of epitomes with all layers and with the first prefixes [N], with noise for rounding."""
        noisy = (map_ + torch.rand_like(map_) - 0.5 for map_ in maps)
        bits = [prior.bits(map_).sum((2, 3), keepdim=True) for prior, map_ in zip(self.priors, noisy, strict=True)]
        bits_sent = [channels * mask for channels, mask in zip(bits, self.layout.kept(prefixes), strict=True)]
        return Sizes(full=torch.cat(bits, 1).sum((1, 2, 3)) / 8, sent=torch.cat(bits_sent, 1).sum((1, 2, 3)) / 8)

    def decode(
        self, maps: Sequence[Tensor], prefixes: Tensor, logits: Tensor | None = None, kinds: Kinds | None = None
    ) -> Tensor:
        """The image [N,3,H,W] decoded from the first prefixes [N] layers, whose gradient passes the rounding. `logits`:
        of the map of classes, where there is one; no gradient passes it. `kinds`: of layers that are sent; all."""
        kept = self.layout.kept(prefixes)
        known = [rounded(map_) * mask for map_, mask in zip(maps, kept, strict=True)]
        if logits is None:
            return self.decoder(known)
        cells = self.layout.finest(prefixes)
        if kinds is not None:
            known, cells = [map_ * kinds.numbers[:, None, None, None] for map_ in known], cells * kinds.classes
        return self.decoder(known, one_hot(logits, cells))


def rounded(values: Tensor) -> Tensor:
    """The integers that are sent, with the gradient of the values themselves."""
    return values + (values.round().clamp(-LATENT_LIMIT, LATENT_LIMIT) - values).detach()


@torch.no_grad()
def one_hot(logits: Tensor, cells: Tensor) -> Tensor:
    """Maps [N,K,h,w] that are 1 for the likeliest class and 0 for the others, of which those places are known that lie
    on a grid of cells [N] pixels; the others are like the nearest of these. Where the cell is 0 nothing is known."""
    maps = torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)
    for index, cell in enumerate(cells.tolist()):
        step = cell // MAP_CELL
        rows, columns = (_nearest(side, step, logits.device) for side in maps.shape[2:])
        maps[index] = maps[index][:, rows[:, None], columns] if step else 0.0
    return maps


def _nearest(size: int, step: int, device: torch.device) -> Tensor:
    """For each of `size` numbers the nearest multiple of `step` below `size`."""
    step = max(step, 1)
    return ((torch.arange(size, device=device) + step // 2) // step * step).clamp(max=(size - 1) // step * step)


class RateControl:
    """Weight of the rate term, steered so that full epitomes come out at most at the wanted mean size."""

    LOWEST = 0.02
    """Bytes are never free, however small the epitomes are: early layers would spend what only late ones may."""

    def __init__(self, target_bytes: float) -> None:
        self.target_bytes, self.log_weight = target_bytes, math.log(self.LOWEST)

    def weight(self, mean_bytes: float) -> float:
        """Loss per factor e in bytes, after learning the mean size of the last batch's full epitomes."""
        error = math.log(max(mean_bytes, 1.0) / self.target_bytes)
        moved = self.log_weight + 0.01 * max(-1.0, min(1.0, error))
        self.log_weight = min(3.0, max(math.log(self.LOWEST), moved))
        return math.exp(self.log_weight)

    def state_dict(self) -> dict[str, float]:
        return {"log_weight": self.log_weight}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.log_weight = state["log_weight"]


def train_codec(config: TrainConfig, frames: Frames, targets: dict[str, nn.Module], folder: Path) -> Codec:
    """The light encoder and the slim decoder, trained to the end of the configured stages on the frames' device.

    Checkpoints go to `folder`; stages that are finished there are not repeated.
    """
    layout = LatentLayout.of(config.codec.layers)
    if config.codec.objective == "image":
        return _train_on_images(config, frames, layout, folder)
    eyes = Eyes(targets, config.codec.judged)
    basis = basis_of(config, frames, _augment(config), [targets[task] for task in config.targets.networks])
    teacher = _train_strong(config, frames, eyes, layout, folder, basis)
    return _train_light(config, frames, eyes, layout, teacher, folder, basis)


def light_codec(layout: LatentLayout, classes: int = 0) -> Codec:
    """What a bundle gets, untrained; with a map of so many `classes`, where the layout has one."""
    classes = classes if layout.has_map else 0
    return Codec(layout, Encoder(layout, classes), Decoder(layout, SLIM, classes))


def _train_strong(
    config: TrainConfig, frames: Frames, eyes: Eyes, layout: LatentLayout, folder: Path, basis: str
) -> Codec | None:
    """The teacher, frozen; None when the target networks do not show what their trunks see."""
    if not eyes.channels or not config.codec.strong.steps:
        _LOG.info("no strong encoder to learn from; the light one learns from the target networks alone")
        return None
    torch.manual_seed(config.seed)
    teacher = _placed(Codec(layout, StrongEncoder(layout, eyes.channels), Decoder(layout)), frames)
    control, stage = RateControl(config.codec.target_bytes), config.codec.strong

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        done = number / stage.steps
        image, prefixes = _drawn(config, frames, layout, stage, 2, number)
        with mixed_precision(image.device):
            sight = eyes.look(image)
            maps = _in_full(teacher.encoder(sight.features))
            decoded = teacher.decode(maps, prefixes)
        terms = eyes.distances(decoded, sight, importance(config.codec, layout, prefixes))
        terms["likeness"] = faded(done, _LIKENESS, _LIKENESS_END) * F.mse_loss(decoded.float(), image)
        return _with_rate(terms, teacher, maps, prefixes, control, done)

    Stage("strong", folder, teacher, stage, control, layout.text, orthogonal=True, basis=basis).run(step)
    return teacher.requires_grad_(False)


def _train_light(
    config: TrainConfig,
    frames: Frames,
    eyes: Eyes,
    layout: LatentLayout,
    teacher: Codec | None,
    folder: Path,
    basis: str,
) -> Codec:
    """The light codec, imitating `teacher` where there is one."""
    torch.manual_seed(config.seed)
    codec, answers, reads_on = _placed(light_codec(layout, _classes(config)), frames), None, False
    control, stage = RateControl(config.codec.target_bytes), config.codec.light
    if layout.has_map:
        answers = averaged_answers(eyes.targets["segmentation"], frames, config.codec.views)
        learn_map(config, frames, answers, codec.encoder, folder, basis)
        # Other tasks' latents are read from the same trunk, which then has to go on learning.
        reads_on = set(config.tasks) != {"segmentation"}
        codec.encoder.trunk.requires_grad_(reads_on)
        codec.encoder.classes.requires_grad_(reads_on)
    if teacher is not None:
        _imitate(config, frames, eyes, layout, teacher, codec, folder, basis)
        codec.priors.load_state_dict(teacher.priors.state_dict())

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        done = number / stage.steps
        image, prefixes, answer = _drawn_with(config, frames, layout, stage, 3, number, answers)
        model, terms = image, {}
        with mixed_precision(image.device):
            sight = eyes.look(image) if teacher else eyes.judge(image)
            maps, logits = codec.encoder(image)
            maps = _in_full(maps)
            kinds = Kinds.random(len(image), image.device) if reads_on else None
            decoded = codec.decode(maps, prefixes, logits, kinds)
            if logits is not None:
                sight = replace(sight, outputs=sight.outputs | {"segmentation": answer})
                terms["classes"] = FROM_TARGETS["segmentation"](logits, answer).mean()
            if teacher is not None:
                with torch.no_grad():
                    wanted = [map_.round() for map_ in _in_full(teacher.encoder(sight.features))]
                    model = teacher.decode(wanted, prefixes).float() if done < _FADED else image
                terms["imitation"] = faded(done, _IMITATION, _IMITATION_END) * difference(maps, wanted)
        weights = importance(config.codec, layout, prefixes)
        terms |= eyes.distances(decoded, sight, kinds.importance(weights, config.tasks) if kinds else weights)
        terms["likeness"] = faded(done, _LIKENESS, _LIKENESS_END) * F.mse_loss(decoded.float(), model)
        return _with_rate(terms, codec, maps, prefixes, control, done)

    Stage("light", folder, codec, stage, control, layout.text, orthogonal=True, basis=basis).run(step)
    return codec


def _imitate(
    config: TrainConfig,
    frames: Frames,
    eyes: Eyes,
    layout: LatentLayout,
    teacher: Codec,
    codec: Codec,
    folder: Path,
    basis: str,
) -> None:
    """Teach the light encoder of `codec` what the strong one of `teacher` puts out."""
    pupil = Pupil(codec.encoder, teacher.encoder.widths).to(frames.image.device, memory_format=torch.channels_last)
    stage = config.codec.imitation

    def prepare(number: int) -> Lesson:
        image = mixed(_drawn(config, frames, layout, stage, 4, number)[0])
        with torch.no_grad(), mixed_precision(image.device):
            features = teacher.encoder.reduced(eyes.look(image).features)
            maps = _in_full(teacher.encoder.heads(features))
        return Lesson(image, tuple(features), tuple(map_.round() for map_ in maps))

    lessons = Lessons(config.seed, prepare)

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        lesson = lessons.draw(number)
        with mixed_precision(lesson.image.device):
            terms = lesson_loss(pupil, lesson)
        return sum(terms.values()), {name: value.item() for name, value in terms.items()}

    Stage("imitation", folder, pupil, stage, meaning=layout.text, orthogonal=True, basis=basis).run(step)


def _train_on_images(config: TrainConfig, frames: Frames, layout: LatentLayout, folder: Path) -> Codec:
    """A task-blind codec: the same networks for the same number of steps, for the image's mean squared error."""
    torch.manual_seed(config.seed)
    codec, control = _placed(light_codec(layout), frames), RateControl(config.codec.target_bytes)
    stage = replace(config.codec.light, steps=config.codec.light.steps + config.codec.strong.steps)

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        image, prefixes = _drawn(config, frames, layout, stage, 3, number)
        with mixed_precision(image.device):
            maps = _in_full(codec.encoder(image)[0])
            decoded = codec.decode(maps, prefixes)
        terms = {"image": _IMAGE_WEIGHT * F.mse_loss(decoded.float(), image)}
        return _with_rate(terms, codec, maps, prefixes, control, number / stage.steps)

    basis = basis_of(config, frames, _augment(config))
    Stage("image", folder, codec, stage, control, layout.text, orthogonal=True, basis=basis).run(step)
    return codec


def _augment(config: TrainConfig) -> AugmentConfig:
    return config.codec.augment or config.augment


def _placed(codec: Codec, frames: Frames) -> Codec:
    return codec.to(frames.image.device, memory_format=torch.channels_last)


def _classes(config: TrainConfig) -> int:
    """Of a map of classes."""
    return len(config.spec("segmentation").classes) if "segmentation" in config.tasks else 0


def _drawn_with(
    config: TrainConfig,
    frames: Frames,
    layout: LatentLayout,
    stage: StageConfig,
    seed: int,
    number: int,
    answers: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """As `_drawn`, with what of the `answers` lies under the images."""
    if answers is None:
        return *_drawn(config, frames, layout, stage, seed, number), None
    image, answer = frames.seen(stage, config.seed + seed, number, _augment(config), answers)
    return *_ready(config, layout, image), answer


def _drawn(
    config: TrainConfig, frames: Frames, layout: LatentLayout, stage: StageConfig, seed: int, number: int
) -> tuple[Tensor, Tensor]:
    """Images [N,3,H,W] of a step, and of how many layers each is decoded."""
    return _ready(config, layout, frames.images(stage, config.seed + seed, number, _augment(config)))


def _ready(config: TrainConfig, layout: LatentLayout, image: Tensor) -> tuple[Tensor, Tensor]:
    prefixes = random_prefixes(layout, config.codec.full_share, len(image)).to(image.device)
    return image.contiguous(memory_format=torch.channels_last), prefixes


def _in_full(maps: Sequence[Tensor]) -> list[Tensor]:
    """Maps in float32: the integers of an epitome do not fit the 8 bits of a bfloat16."""
    return [map_.float() for map_ in maps]


def _with_rate(
    terms: dict[str, Tensor], codec: Codec, maps: Sequence[Tensor], prefixes: Tensor, control: RateControl, done: float
) -> tuple[Tensor, dict[str, float]]:
    """The loss with the rate term, and what to show of it.

    What is weighed is the logarithm of the bytes sent: ten bytes more are much for a short prefix and nothing for a
    long one.
    """
    sizes, loss = codec.sizes(maps, prefixes), sum(terms.values())
    mean_bytes = sizes.full.mean()
    if done > _RATE_FREE:
        loss = loss + control.weight(mean_bytes.item()) * (sizes.sent + _SMALL).log().mean()
    shown = {name: value.item() for name, value in terms.items()}
    return loss, {**shown, "bytes": mean_bytes.item(), "rate": math.exp(control.log_weight)}


def random_prefixes(layout: LatentLayout, full_share: float, count: int) -> Tensor:
    """Layers kept for each of `count` frames: all for a share of them, else uniform from 1 up."""
    prefixes = torch.randint(1, len(layout.layers) + 1, (count,))
    return torch.where(torch.rand(count) < full_share, len(layout.layers), prefixes)


def importance(config: CodecConfig, layout: LatentLayout, prefixes: Tensor) -> dict[str, Tensor]:
    """Weights [N] of the tasks that come `later` than others, in epitomes of the first prefixes [N] layers."""
    grown = (2 * (prefixes - 1) / len(layout.layers)).clamp(max=1.0)
    return {task: first + (1 - first) * grown for task, first in config.later.items()}


def faded(done: float, first: float, last: float) -> float:
    """A weight that goes from `first` to `last` in the first share of a training, after a share `done` of it."""
    fade = min(1.0, done / _FADED)
    return last + (first - last) * (0.5 + 0.5 * math.cos(math.pi * fade))
