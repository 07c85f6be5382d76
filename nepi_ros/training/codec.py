# SPDX-License-Identifier: Apache-2.0
"""Encoder and decoder as they are trained together: what is decoded of a prefix of layers, and what it takes.

N-epitomizer (Nam et al., IEEE/ACM Transactions on Networking 2024): what is kept of a frame is what keeps the target
networks' outputs. Layers become ordered by importance by nested dropout (Rippel et al., ICML 2014): each frame of a
batch is decoded from a random prefix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nepi_ros.tasks import TaskSpec
from nepi_ros.training.latent import CELLS, MAP_CELL, LatentLayout
from nepi_ros.training.networks import Answerer, Encoder, Painter

LATENT_LIMIT = 127
SLIM = 0.5
"""Width of the decoder that a bundle gets, of the strong one's."""


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

    def of(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps [N,C,h,w] of numbers, 0 in frames that come without."""
        return [map_ * self.numbers[:, None, None, None] for map_ in maps]

    @classmethod
    def random(cls, count: int, device: torch.device, numbers: float, classes: float) -> Kinds:
        """For each of `count` frames both, or by chance one alone, each in such a share of the frames."""
        chance = torch.rand(count)
        return cls((chance >= classes).to(device), (chance < 1 - numbers).to(device))

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
        self.class_count = decoder.class_count
        self.priors = nn.ModuleList(Prior(layout.channels(cell)) for cell in CELLS)

    def sizes(self, maps: Sequence[Tensor], prefixes: Tensor) -> Sizes:
        """Estimated sizes of epitomes with all layers and with the first prefixes [N], with noise for rounding."""
        noisy = (map_ + torch.rand_like(map_) - 0.5 for map_ in maps)
        bits = [prior.bits(map_).sum((2, 3), keepdim=True) for prior, map_ in zip(self.priors, noisy, strict=True)]
        bits_sent = [channels * mask for channels, mask in zip(bits, self.layout.kept(prefixes), strict=True)]
        return Sizes(full=torch.cat(bits, 1).sum((1, 2, 3)) / 8, sent=torch.cat(bits_sent, 1).sum((1, 2, 3)) / 8)

    def decode(
        self, maps: Sequence[Tensor], prefixes: Tensor, classes: Tensor | None = None
    ) -> Tensor | dict[str, Tensor]:
        """The image [N,3,H,W], or the tasks' answers, decoded from the first prefixes [N] layers, whose gradient passes
        the rounding, and from `classes` as of `one_hot`, where there is a map of them."""
        kept = self.layout.kept(prefixes)
        return self.decoder([rounded(map_) * mask for map_, mask in zip(maps, kept, strict=True)], classes)


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

    def __init__(self, target_bytes: float, lowest: float) -> None:
        """`lowest` is the weight however small the epitomes are: of free bytes early layers would spend what only late
        ones may."""
        self.target_bytes, self.lowest, self.log_weight = target_bytes, lowest, math.log(lowest)

    def weight(self, mean_bytes: float) -> float:
        """Loss per factor e in bytes, after learning the mean size of the last batch's full epitomes."""
        error = math.log(max(mean_bytes, 1.0) / self.target_bytes)
        moved = self.log_weight + 0.01 * max(-1.0, min(1.0, error))
        self.log_weight = min(3.0, max(math.log(self.lowest), moved))
        return math.exp(self.log_weight)

    def state_dict(self) -> dict[str, float]:
        return {"log_weight": self.log_weight}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.log_weight = state["log_weight"]


def painting_codec(layout: LatentLayout) -> Codec:
    """What a bundle gets whose decoder paints images, untrained."""
    return Codec(layout, Encoder(layout), Painter(layout, SLIM))


def answering_codec(layout: LatentLayout, tasks: Mapping[str, TaskSpec], named: bool = False) -> Codec:
    """What a bundle gets whose decoder gives the tasks' answers, of those that are not dense where whole frames are
    `named`; untrained."""
    decoder = Answerer(layout, tasks, named, SLIM)
    return Codec(layout, Encoder(layout, decoder.class_count), decoder)


def random_prefixes(layout: LatentLayout, full_share: float, count: int) -> Tensor:
    """Layers kept for each of `count` frames: all for a share of them, else uniform from 1 up."""
    prefixes = torch.randint(1, len(layout.layers) + 1, (count,))
    return torch.where(torch.rand(count) < full_share, len(layout.layers), prefixes)
