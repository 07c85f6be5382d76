# SPDX-License-Identifier: Apache-2.0
"""Trains a codec whose decoder gives the target networks' answers itself, in place of images for them to see.

Dense answers are worked out before: few other networks are in a step, so there can be several times as many steps. What
a whole frame is called is learnt by way of an image that its network sees, as in stages.py, or answered too (`named`).
Where the layout has a map of classes, first that alone is learnt, then all together. At last the decoder may go on
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nepi_ros.tasks import REGISTRY
from nepi_ros.training.answers import as_output, averaged_answers, pasted
from nepi_ros.training.basis import digest_of
from nepi_ros.training.codec import Codec, Kinds, answering_codec, one_hot
from nepi_ros.training.config import StageConfig, TrainConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.eyes import Eyes
from nepi_ros.training.latent import LatentLayout
from nepi_ros.training.leaning import lean_map
from nepi_ros.training.loop import Stage, mixed_precision
from nepi_ros.training.losses import FROM_TARGETS, distance
from nepi_ros.training.networks import Encoder
from nepi_ros.training.steps import (
    FADED,
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
# answer but small doubts; many with the numbers, which beside a map would lean on it.
_ALONE = {"numbers": 0.6, "classes": 0.1}
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
    exercise = _Exercise(config, frames, codec, answers, eyes)
    _learn_together(exercise, folder, basis)
    if config.codec.decoder is not None:
        _learn_to_read(exercise, config.codec.decoder, folder, basis)
    return codec


@dataclass(frozen=True)
class _Exercise:
    """What `codec` is trained with: `answers` by dense task as of averaged_answers, `eyes` for the other tasks."""

    config: TrainConfig
    frames: Frames
    codec: Codec
    answers: Mapping[str, Tensor]
    eyes: Eyes | None

    @property
    def shares_trunk(self) -> bool:
        """Whether other tasks' latents are read from the same trunk as a map of classes."""
        return self.codec.class_count > 0 and set(self.config.tasks) != {"segmentation"}

    @property
    def meaning(self) -> str:
        """What weights learnt with it stand for, as of Stage."""
        return f"answers, {self.codec.layout.text}"

    def draw(self, stage: StageConfig, seed: int, number: int) -> _Drawn:
        """The frames of a step."""
        config = self.config
        image, wanted = self.frames.seen(
            stage, config.seed + seed, number, augment_of(config), self.answers, config.codec.aside
        )
        image, prefixes = ready(config, self.codec.layout, image)
        alone = _ALONE if self.shares_trunk else dict.fromkeys(_ALONE, 0.0)
        return _Drawn(image, wanted, prefixes, Kinds.random(len(image), image.device, **alone))

    def terms(self, drawn: _Drawn, maps: Sequence[Tensor], logits: Tensor | None, done: float) -> dict[str, Tensor]:
        """How far what is decoded of an encoder's `maps` and `logits` is from the answers, after a share `done` of a
        training."""
        layout, kinds, classes, terms = self.codec.layout, drawn.kinds, None, {}
        with mixed_precision(drawn.image.device):
            if logits is not None:
                classes = one_hot(logits, layout.finest(drawn.prefixes) * kinds.classes)
            got = self.codec.decode(kinds.of(maps), drawn.prefixes, classes)
        weights = kinds.importance(importance(self.config.codec, layout, drawn.prefixes), self.config.tasks)
        for task in self.answers:
            terms[task] = distance(task, got[task], as_output(task, drawn.wanted[task]), weights[task])
        if logits is not None:
            terms["segmentation"] = _DOUBTS * terms["segmentation"]
        if self.eyes is not None:
            terms |= _of_whole_frames(self.config, self.eyes, drawn.image, got, weights, done)
        return terms


@dataclass(frozen=True)
class _Drawn:
    """The frames of a step: `image` [N,3,H,W], the answers `wanted` for them, and of how many layers [N] of which kinds
    each is decoded."""

    image: Tensor
    wanted: Mapping[str, Tensor]
    prefixes: Tensor
    kinds: Kinds


def _learn_together(exercise: _Exercise, folder: Path, basis: str) -> None:
    """Train encoder and decoder; of the encoder a map of classes only where its trunk is another task's too."""
    config, codec = exercise.config, exercise.codec
    learning, control, stage = exercise.shares_trunk, rate_control(config), config.codec.light
    reader = nn.ModuleList([codec.encoder.trunk, codec.encoder.class_map] if codec.class_count else [])
    reader.requires_grad_(learning)

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        reader.train(learning)  # a map that stays is decoded as it will be: with statistics of all frames
        drawn, done = exercise.draw(stage, 3, number), number / stage.steps
        with mixed_precision(drawn.image.device):
            maps, logits = codec.encoder(drawn.image)
        maps = in_full(maps)
        terms = exercise.terms(drawn, maps, logits, done)
        if logits is not None:
            terms["map"] = _HELD * FROM_TARGETS["segmentation"](logits, drawn.wanted["segmentation"]).mean()
        return with_rate(terms, codec, maps, drawn.prefixes, control, done)

    Stage("light", folder, codec, stage, control, exercise.meaning, orthogonal=True, basis=basis).run(step)


def _learn_to_read(exercise: _Exercise, stage: StageConfig, folder: Path, basis: str) -> None:
    """Train the decoder on, for an encoder that no longer changes."""
    codec = exercise.codec
    codec.encoder.eval()

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        drawn = exercise.draw(stage, 7, number)
        with torch.no_grad(), mixed_precision(drawn.image.device):
            maps, logits = codec.encoder(drawn.image)
        # What is seen in the image counts half of what it did at first: an encoder that stays loses nothing to it.
        terms = exercise.terms(drawn, in_full(maps), logits, done=FADED)
        return sum(terms.values()), {name: term.item() for name, term in terms.items()}

    basis = f"{basis}, encoder {digest_of([codec.encoder])}"
    Stage("decoder", folder, codec.decoder, stage, None, exercise.meaning, orthogonal=True, basis=basis).run(step)


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


def learn_map(config: TrainConfig, frames: Frames, answers: Tensor, encoder: Encoder, folder: Path, basis: str) -> None:
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
