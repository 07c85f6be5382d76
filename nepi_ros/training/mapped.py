# SPDX-License-Identifier: Apache-2.0
"""Trains a codec whose light encoder says a map of classes beside its latents.

First the map is learnt, from answers worked out before: no other network is in these steps, so they can be many. Then
the decoder learns to paint from the map as it is, and the latents what it does not say.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.training.answers import averaged_answers, pasted
from nepi_ros.training.codec import Codec, Kinds, RateControl, light_codec, one_hot
from nepi_ros.training.config import TrainConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.eyes import Eyes
from nepi_ros.training.latent import LatentLayout
from nepi_ros.training.loop import Stage, mixed_precision
from nepi_ros.training.losses import FROM_TARGETS
from nepi_ros.training.networks import Encoder
from nepi_ros.training.steps import augment_of, importance, in_full, likeness, placed, ready, with_rate

# Share of the frames that come with one kind of layers alone, for each kind.
_ALONE = 0.2
# How much the map counts beside the network's answer: less than it will, so that the decoder learns from both.
_COUNTED = 4.0
# How much the map is held to the answers while its trunk learns for other tasks too.
_HELD = 4.0


def train_beside_map(
    config: TrainConfig, frames: Frames, eyes: Eyes, layout: LatentLayout, folder: Path, basis: str
) -> Codec:
    """The light codec of a layout that has a map of classes."""
    torch.manual_seed(config.seed)
    codec = placed(light_codec(layout, len(config.spec("segmentation").classes)), frames)
    answers = averaged_answers(eyes.targets["segmentation"], frames, config.codec.views)
    learn_map(config, frames, answers, codec.encoder, folder, basis)
    # Other tasks' latents are read from the same trunk, which then has to go on learning.
    others = set(config.tasks) != {"segmentation"}
    reader = nn.ModuleList([codec.encoder.trunk, codec.encoder.class_map]).requires_grad_(others)
    control, stage = RateControl(config.codec.target_bytes), config.codec.light

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        done = number / stage.steps
        reader.train(others)  # a map that stays is decoded as it will be: with statistics of all frames, not of a batch
        image, answer = frames.seen(stage, config.seed + 3, number, augment_of(config), answers)
        image, prefixes = ready(config, layout, image)
        weights = importance(config.codec, layout, prefixes)
        with mixed_precision(image.device):
            sight = eyes.judge(image)
            maps, logits = codec.encoder(image)
            maps = in_full(maps)
            kinds = Kinds.random(len(image), image.device, _ALONE if others else 0.0)
            classes = one_hot(logits, layout.finest(prefixes) * kinds.classes)
            decoded = codec.decode(kinds.of(maps), prefixes, classes)
        size = sight.outputs["segmentation"].shape[2:]  # a network of the user's may answer more finely than the map
        better = F.interpolate(answer, size=size, mode="bilinear", align_corners=False)
        sight = replace(sight, outputs=sight.outputs | {"segmentation": better})
        terms = {"map": _HELD * FROM_TARGETS["segmentation"](logits, answer).mean()}
        told = {"segmentation": _COUNTED * classes.float()}
        terms |= eyes.distances(decoded, sight, kinds.importance(weights, config.tasks), told)
        terms["likeness"] = likeness(decoded, image, done)
        return with_rate(terms, codec, maps, prefixes, control, done)

    Stage("light", folder, codec, stage, control, layout.text, orthogonal=True, basis=basis).run(step)
    return codec


def learn_map(
    config: TrainConfig, frames: Frames, answers: Tensor, encoder: Encoder, folder: Path, basis: str
) -> None:
    """Train the encoder's trunk, and what reads a map of classes from it, to give `answers` as of averaged_answers."""
    stage, reader = config.codec.classes, nn.ModuleDict({"trunk": encoder.trunk, "classes": encoder.class_map})

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        image, wanted = frames.seen(stage, config.seed + 5, number, augment_of(config), answers)
        image, wanted = pasted(image, wanted, config.codec.pasted)
        image = image.contiguous(memory_format=torch.channels_last)
        with mixed_precision(image.device):
            logits = encoder.class_map(encoder.trunk(image))
        return FROM_TARGETS["segmentation"](logits, wanted).mean(), {}

    Stage("classes", folder, reader, stage, meaning="map of classes", orthogonal=True, basis=basis).run(step)
