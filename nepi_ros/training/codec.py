# SPDX-License-Identifier: Apache-2.0
"""Trains the epitome's encoder and decoder against frozen target networks.

N-epitomizer (Nam et al., IEEE/ACM Transactions on Networking 2024): what is kept of a frame is what keeps the
target networks' outputs. Layers become ordered by importance by nested dropout (Rippel et al., ICML 2014):
each frame of a batch is decoded from a random prefix. No labels are used.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.training.config import CodecConfig, TrainConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.loop import Stage, mixed_precision
from nepi_ros.training.losses import FROM_TARGETS
from nepi_ros.training.networks import Decoder, Encoder

LATENT_LIMIT = 127
# Likeness of the decoded image to the frame gives the first steps a direction; then it fades to this weight.
_LIKENESS, _LIKENESS_END, _LIKENESS_FADED = 20.0, 0.5, 0.3
# A task-blind codec has nothing but likeness; so weighted, it is about as large as the distances of the tasks.
_IMAGE_WEIGHT = 200.0
# Without a rate term for the first steps, so that no channel is starved before it carries anything.
_RATE_FREE = 0.1


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


class Codec(nn.Module):
    """Encoder, decoder and prior, trained together. One place of the latent stands for stride x stride pixels."""

    stride = 16

    def __init__(self, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = layers
        self.encoder, self.decoder, self.prior = Encoder(sum(layers)), Decoder(sum(layers)), Prior(sum(layers))
        with torch.no_grad():
            # Latents that start well above the rounding step, so that the first epitomes are not all zeros.
            self.encoder.layers[-1].weight.mul_(4.0)

    def forward(self, image: Tensor, prefixes: Tensor) -> tuple[Tensor, Tensor]:
        """Code image [N,3,H,W] and decode its first prefixes [N] layers: decoded image, bits of all layers [N]."""
        latent = self.encoder(image).float()
        bits = self.prior.bits(latent + torch.rand_like(latent) - 0.5).sum((1, 2, 3))
        rounded = latent.round().clamp(-LATENT_LIMIT, LATENT_LIMIT)
        latent = latent + (rounded - latent).detach()
        ends = torch.tensor(self.layers, device=image.device).cumsum(0)
        kept = torch.arange(sum(self.layers), device=image.device) < ends[prefixes - 1][:, None]
        return self.decoder(latent * kept[:, :, None, None]), bits


class RateControl:
    """Weight of the rate term, steered so that full epitomes come out at the wanted mean size."""

    def __init__(self, target_bytes: float) -> None:
        self.target_bytes, self.log_weight = target_bytes, math.log(0.02)

    def weight(self, mean_bytes: float) -> float:
        """Loss per kilobyte, after learning the last batch's size."""
        error = math.log(max(mean_bytes, 1.0) / self.target_bytes)
        self.log_weight = min(3.0, max(-9.0, self.log_weight + 0.01 * max(-1.0, min(1.0, error))))
        return math.exp(self.log_weight)

    def state_dict(self) -> dict[str, float]:
        return {"log_weight": self.log_weight}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.log_weight = state["log_weight"]


def train_codec(config: TrainConfig, frames: Frames, targets: dict[str, nn.Module], folder: Path) -> Codec:
    """Train to the end of the configured stage; checkpoints go to `folder`."""
    device = frames.image.device
    torch.manual_seed(config.seed)
    codec = Codec(config.codec.layers).to(device, memory_format=torch.channels_last)
    control, stage = RateControl(config.codec.target_bytes), config.codec.stage

    def step(number: int) -> tuple[Tensor, dict[str, float]]:
        done = number / stage.steps
        image = frames.batch(stage, config.seed + 2, number, config.augment).image
        image = image.contiguous(memory_format=torch.channels_last)
        prefixes = random_prefixes(config.codec, len(image)).to(device)
        with mixed_precision(device):
            decoded, bits = codec(image, prefixes)
        likeness = F.mse_loss(decoded.float(), image)
        if config.codec.objective == "image":
            distances = {"image": _IMAGE_WEIGHT * likeness}
        else:
            distances = distances_of(targets, decoded, image) | {"likeness": likeness_weight(done) * likeness}
        mean_bytes = bits.mean() / 8
        loss = sum(distances.values())
        if done > _RATE_FREE:
            loss = loss + control.weight(mean_bytes.item()) * mean_bytes / 1000
        shown = {task[:5]: value.item() for task, value in distances.items()}
        return loss, {**shown, "bytes": mean_bytes.item(), "rate": math.exp(control.log_weight)}

    Stage("codec", folder, codec, stage, extra=control).run(step)
    return codec


def distances_of(targets: dict[str, nn.Module], decoded: Tensor, image: Tensor) -> dict[str, Tensor]:
    """How far each target network's output on decoded frames is from that on the frames [N,3,H,W] themselves."""
    with mixed_precision(image.device):
        with torch.no_grad():
            wanted = {task: network(image) for task, network in targets.items()}
        got = {task: network(decoded) for task, network in targets.items()}
    return {task: FROM_TARGETS[task](got[task], wanted[task]) for task in targets}


def random_prefixes(config: CodecConfig, count: int) -> Tensor:
    """Layers kept for each of `count` frames: all for a configured share, else uniform from 1 up."""
    prefixes = torch.randint(1, len(config.layers) + 1, (count,))
    return torch.where(torch.rand(count) < config.full_share, len(config.layers), prefixes)


def likeness_weight(done: float) -> float:
    """Weight of the image's own mean squared error after a share `done` of the training."""
    fade = min(1.0, done / _LIKENESS_FADED)
    return _LIKENESS_END + (_LIKENESS - _LIKENESS_END) * (0.5 + 0.5 * math.cos(math.pi * fade))
