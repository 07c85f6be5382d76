# SPDX-License-Identifier: Apache-2.0
"""What the steps of all stages of the codec have in common: their frames, their loss, and how it is weighted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nepi_ros.training.codec import Codec, RateControl, random_prefixes
from nepi_ros.training.config import AugmentConfig, CodecConfig, StageConfig, TrainConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.latent import LatentLayout

# Likeness of the decoded image to the frame gives the first steps a direction; then it fades to this weight.
_LIKENESS, _LIKENESS_END = 20.0, 0.5
FADED = 0.3
"""Share of a training after which such weights have faded."""
# Without a rate term for the first steps, so that no channel is starved before it carries anything.
_RATE_FREE = 0.1
# Bytes below which a size hardly matters: a message has a header too.
_SMALL = 8.0


def augment_of(config: TrainConfig) -> AugmentConfig:
    """The changes to the codec's frames."""
    return config.codec.augment or config.augment


def rate_control(config: TrainConfig) -> RateControl:
    """What weighs bytes in a stage of the codec."""
    return RateControl(config.codec.target_bytes, config.codec.byte_weight)


def placed(codec: Codec, frames: Frames) -> Codec:
    """The codec on the frames' device."""
    return codec.to(frames.image.device, memory_format=torch.channels_last)


def drawn(
    config: TrainConfig, frames: Frames, layout: LatentLayout, stage: StageConfig, seed: int, number: int
) -> tuple[Tensor, Tensor]:
    """Images [N,3,H,W] of a step, and of how many layers each is decoded."""
    return ready(config, layout, frames.images(stage, config.seed + seed, number, augment_of(config)))


def ready(config: TrainConfig, layout: LatentLayout, image: Tensor) -> tuple[Tensor, Tensor]:
    """Images [N,3,H,W] as the networks take them fastest, and of how many layers each is decoded."""
    prefixes = random_prefixes(layout, config.codec.full_share, len(image)).to(image.device)
    return image.contiguous(memory_format=torch.channels_last), prefixes


def in_full(maps: Sequence[Tensor]) -> list[Tensor]:
    """Maps in float32: the integers of an epitome do not fit the 8 bits of a bfloat16."""
    return [map_.float() for map_ in maps]


def likeness(decoded: Tensor, model: Tensor, done: float) -> Tensor:
    """The term that holds decoded images to a model, after a share `done` of a training."""
    return faded(done, _LIKENESS, _LIKENESS_END) * F.mse_loss(decoded.float(), model)


def with_rate(
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


def importance(config: CodecConfig, layout: LatentLayout, prefixes: Tensor) -> dict[str, Tensor]:
    """Weights [N] of the tasks that come `later` than others, in epitomes of the first prefixes [N] layers."""
    grown = (2 * (prefixes - 1) / len(layout.layers)).clamp(max=1.0)
    return {task: first + (1 - first) * grown for task, first in config.later.items()}


def faded(done: float, first: float, last: float) -> float:
    """A weight that goes from `first` to `last` in the first share of a training, after a share `done` of it."""
    fade = min(1.0, done / FADED)
    return last + (first - last) * (0.5 + 0.5 * math.cos(math.pi * fade))
