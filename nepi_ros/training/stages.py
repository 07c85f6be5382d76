# SPDX-License-Identifier: Apache-2.0
"""Trains the epitome's encoder and decoder against frozen target networks, by their outputs, without labels.

Where the decoder paints images for the networks to see, there are three stages. A strong encoder reads the latents from
what the target networks' own trunks see, together with a wide decoder. The light encoder learns to put out the same
latents (imitation.py). Then it and the slim decoder, which the bundle gets, learn to paint the same images, and at last
only to have the same effect on the target networks. A decoder that gives their answers itself is trained by
answering.py.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.training.answering import train_answers
from nepi_ros.training.basis import basis_of
from nepi_ros.training.codec import Codec, painting_codec
from nepi_ros.training.config import TrainConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.eyes import Eyes, StrongEncoder
from nepi_ros.training.imitation import Lesson, Lessons, Pupil, difference, lesson_loss, mixed
from nepi_ros.training.latent import LatentLayout
from nepi_ros.training.loop import Stage, mixed_precision
from nepi_ros.training.networks import Painter
from nepi_ros.training.steps import (
    FADED,
    augment_of,
    drawn,
    faded,
    importance,
    in_full,
    likeness,
    placed,
    rate_control,
    with_rate,
)

_LOG = logging.getLogger(__name__)

# A task-blind codec has nothing but likeness; so weighted, it is about as large as the distances of the tasks.
_IMAGE_WEIGHT = 200.0
# How much the light encoder is held to the strong one's latents, at first and at last.
_IMITATION, _IMITATION_END = 1.0, 0.02


def train_codec(config: TrainConfig, frames: Frames, targets: dict[str, nn.Module], folder: Path) -> Codec:
    """The light encoder and the slim decoder, trained to the end of the configured stages on the frames' device.

    Checkpoints go to `folder`; stages that are finished there are not repeated.
    """
    layout = LatentLayout.of(config.codec.layers)
    if config.codec.objective == "image":
        return _train_on_images(config, frames, layout, folder)
    basis = basis_of(config, frames, augment_of(config), [targets[task] for task in config.targets.networks])
    if config.codec.objective == "answers":
        return train_answers(config, frames, targets, layout, folder, basis)
    eyes = Eyes(targets, config.codec.judged)
    teacher = _train_strong(config, frames, eyes, layout, folder, basis)
    return _train_light(config, frames, eyes, layout, teacher, folder, basis)


def _train_strong(
    config: TrainConfig, frames: Frames, eyes: Eyes, layout: LatentLayout, folder: Path, basis: str
) -> Codec | None:
    """The teacher, frozen; None when the target networks do not show what their trunks see."""
    if not eyes.channels or not config.codec.strong.steps:
        _LOG.info("no strong encoder to learn from; the light one learns from the target networks alone")
        return None
    torch.manual_seed(config.seed)
    teacher = placed(Codec(layout, StrongEncoder(layout, eyes.channels), Painter(layout)), frames)
    control, stage = rate_control(config), config.codec.strong

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        done = number / stage.steps
        image, prefixes = drawn(config, frames, layout, stage, 2, number)
        with mixed_precision(image.device):
            sight = eyes.look(image)
            maps = in_full(teacher.encoder(sight.features))
            decoded = teacher.decode(maps, prefixes)
        terms = eyes.distances(decoded, sight, importance(config.codec, layout, prefixes))
        terms["likeness"] = likeness(decoded, image, done)
        return with_rate(terms, teacher, maps, prefixes, control, done)

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
    codec = placed(painting_codec(layout), frames)
    control, stage = rate_control(config), config.codec.light
    if teacher is not None:
        _imitate(config, frames, eyes, layout, teacher, codec, folder, basis)
        codec.priors.load_state_dict(teacher.priors.state_dict())

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        done = number / stage.steps
        image, prefixes = drawn(config, frames, layout, stage, 3, number)
        model, terms = image, {}
        with mixed_precision(image.device):
            sight = eyes.look(image) if teacher else eyes.judge(image)
            maps = in_full(codec.encoder(image)[0])
            decoded = codec.decode(maps, prefixes)
            if teacher is not None:
                with torch.no_grad():
                    wanted = [map_.round() for map_ in in_full(teacher.encoder(sight.features))]
                    model = teacher.decode(wanted, prefixes).float() if done < FADED else image
                terms["imitation"] = faded(done, _IMITATION, _IMITATION_END) * difference(maps, wanted)
        terms |= eyes.distances(decoded, sight, importance(config.codec, layout, prefixes))
        terms["likeness"] = likeness(decoded, model, done)
        return with_rate(terms, codec, maps, prefixes, control, done)

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
        image = mixed(drawn(config, frames, layout, stage, 4, number)[0])
        with torch.no_grad(), mixed_precision(image.device):
            features = teacher.encoder.reduced(eyes.look(image).features)
            maps = in_full(teacher.encoder.heads(features))
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
    codec, control = placed(painting_codec(layout), frames), rate_control(config)
    stage = replace(config.codec.light, steps=config.codec.light.steps + config.codec.strong.steps)

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        image, prefixes = drawn(config, frames, layout, stage, 3, number)
        with mixed_precision(image.device):
            maps = in_full(codec.encoder(image)[0])
            decoded = codec.decode(maps, prefixes)
        terms = {"image": _IMAGE_WEIGHT * F.mse_loss(decoded.float(), image)}
        return with_rate(terms, codec, maps, prefixes, control, number / stage.steps)

    basis = basis_of(config, frames, augment_of(config))
    Stage("image", folder, codec, stage, control, layout.text, orthogonal=True, basis=basis).run(step)
    return codec
