# SPDX-License-Identifier: Apache-2.0
"""Trains a codec whose decoder gives the target networks' answers itself, in place of images for them to see.

Dense answers are worked out before: few other networks are in a step, so there can be several times as many steps. What
a whole frame is called is learnt by way of an image that its network sees, as in stages.py, or answered too (`named`).
Where the layout has a map of classes, first that alone is learnt, then all together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nepi_ros.tasks import REGISTRY
from nepi_ros.training.answers import as_output, averaged_answers, pasted
from nepi_ros.training.codec import Codec, Kinds, answering_codec, one_hot
from nepi_ros.training.config import TrainConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.eyes import Eyes
from nepi_ros.training.latent import LatentLayout
from nepi_ros.training.leaning import lean_map
from nepi_ros.training.loop import Stage, mixed_precision
from nepi_ros.training.losses import FROM_TARGETS, distance
from nepi_ros.training.networks import Encoder
from nepi_ros.training.steps import (
    augment_of,
    importance,
    in_full,
    likeness,
    placed,
    rate_control,
    ready,
    with_rate,
)

# Shares of the frames that come with one kind of layers alone: few with a map of classes, which says all of its own
# answer but small doubts.
_ALONE = {"numbers": 0.4, "classes": 0.1}
# How much the map is held to the answers while its trunk learns for other tasks too.
_HELD = 2.0
# How much the answer that is made of a map counts: little, for the map says most of it.
_DOUBTS = 0.3
# How much it counts what a whole frame is called.
_NAMED = 0.2
# Share that is left at last of the weight of what is seen in the image, which takes from what depth is learnt with.
_SEEN_END = 0.1


def train_answers(
    config: TrainConfig,
    frames: Frames,
    targets: Mapping[str, nn.Module],
    layout: LatentLayout,
    folder: Path,
    basis: str,
) -> Codec:
    """The light codec, trained against a frozen network for each of the tasks."""
    torch.manual_seed(config.seed)
    specs = {task: config.spec(task) for task in config.tasks}
    codec = placed(answering_codec(layout, specs, config.codec.named), frames)
    dense = {task: targets[task] for task in codec.decoder.answered if REGISTRY[task].dense}
    answers = averaged_answers(dense, frames, config.codec.views)
    rest = {task: network for task, network in targets.items() if task not in answers}
    eyes = Eyes(rest, config.codec.judged) if rest else None
    if layout.has_map:
        learn_map(config, frames, answers["segmentation"], codec.encoder, folder, basis)
        answers["segmentation"] = lean_map(codec.encoder, frames, answers["segmentation"])
    # Other tasks' latents are read from the same trunk as the map, which then has to go on learning.
    learning = layout.has_map and set(config.tasks) != {"segmentation"}
    reader = nn.ModuleList([codec.encoder.trunk, codec.encoder.class_map] if layout.has_map else [])
    reader.requires_grad_(learning)
    alone = _ALONE if learning else dict.fromkeys(_ALONE, 0.0)
    control, stage = rate_control(config), config.codec.light

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        done = number / stage.steps
        reader.train(learning)  # a map that stays is decoded as it will be: with statistics of all frames
        image, wanted = frames.seen(stage, config.seed + 3, number, augment_of(config), answers, config.codec.aside)
        image, prefixes = ready(config, layout, image)
        kinds, terms, classes = Kinds.random(len(image), image.device, **alone), {}, None
        with mixed_precision(image.device):
            maps, logits = codec.encoder(image)
            maps = in_full(maps)
            if logits is not None:
                classes = one_hot(logits, layout.finest(prefixes) * kinds.classes)
            got = codec.decode(kinds.of(maps), prefixes, classes)
        weights = kinds.importance(importance(config.codec, layout, prefixes), targets)
        for task in answers:
            terms[task] = distance(task, got[task], as_output(task, wanted[task]), weights[task])
        if logits is not None:
            terms["segmentation"] = _DOUBTS * terms["segmentation"]
            terms["map"] = _HELD * FROM_TARGETS["segmentation"](logits, wanted["segmentation"]).mean()
        if eyes is not None:
            terms |= _of_whole_frames(config, eyes, image, got, weights, done)
        return with_rate(terms, codec, maps, prefixes, control, done)

    meaning = f"answers, {layout.text}"
    Stage("light", folder, codec, stage, control, meaning, orthogonal=True, basis=basis).run(step)
    return codec


def _of_whole_frames(
    config: TrainConfig,
    eyes: Eyes,
    image: Tensor,
    got: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    done: float,
) -> dict[str, Tensor]:
    """Terms of what whole frames are called: how their networks' answers are met, or what these see in the image."""
    sight = eyes.judge(image)
    if config.codec.named:
        told = sight.outputs.items()
        return {task: _NAMED * distance(task, got[task], output, weights[task]) for task, output in told}
    seen = eyes.distances(got["image"], sight, weights)
    seen["likeness"] = likeness(got["image"], image, done)
    weight = config.codec.seen * _SEEN_END**done
    return {name: weight * term for name, term in seen.items()}


def learn_map(
    config: TrainConfig, frames: Frames, answers: Tensor, encoder: Encoder, folder: Path, basis: str
) -> None:
    """Train the encoder's trunk, and what reads a map of classes from it, to give the segmentation network's `answers`
    as of averaged_answers."""
    stage, reader = config.codec.classes, nn.ModuleDict({"trunk": encoder.trunk, "classes": encoder.class_map})

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        image, seen = frames.seen(stage, config.seed + 5, number, augment_of(config), {"segmentation": answers})
        image, wanted = pasted(image, seen["segmentation"], config.codec.pasted)
        image = image.contiguous(memory_format=torch.channels_last)
        with mixed_precision(image.device):
            logits = encoder.class_map(encoder.trunk(image))
        return FROM_TARGETS["segmentation"](logits, wanted).mean(), {}

    Stage("classes", folder, reader, stage, meaning="map of classes", orthogonal=True, basis=basis).run(step)
