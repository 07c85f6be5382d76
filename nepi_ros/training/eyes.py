# SPDX-License-Identifier: Apache-2.0
"""The frozen target networks as the codec's training uses them: what they see in a frame, and how far off a decoded
one is."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.training.blocks import NormedBlock
from nepi_ros.training.latent import LatentLayout
from nepi_ros.training.loop import has_bfloat16, mixed_precision
from nepi_ros.training.losses import distance
from nepi_ros.training.networks import Heads, Trunk

# Features that differ by their own spread count as much as this in the loss.
_FEATURE_WEIGHT = 0.3


@dataclass(frozen=True)
class Sight:
    """What target networks make of images: outputs by task, and their trunks' features by task, as `mixed_precision`
    computes them."""

    outputs: dict[str, Tensor]
    trunks: dict[str, list[Tensor]]

    @property
    def features(self) -> tuple[Tensor, Tensor]:
        """All networks' features on two grids, 1/16 and 1/32 of the image; the finer ones folded into the first."""
        fine, coarse = [], []
        for quarter, eighth, sixteenth, thirty_second in self.trunks.values():
            fine += [F.pixel_unshuffle(quarter, 4), F.pixel_unshuffle(eighth, 2), sixteenth]
            coarse.append(thirty_second)
        return torch.cat(fine, dim=1), torch.cat(coarse, dim=1)


class Eyes:
    """Frozen target networks by task. Those with a `networks.Trunk` also show its features.

    shares: of a batch's frames, the share that a task's network judges; all where there is none. Networks are most of
    a step's work, and what is easily learnt needs few of them.
    """

    def __init__(self, targets: dict[str, nn.Module], shares: Mapping[str, float] | None = None) -> None:
        self._own = [task for task, network in targets.items() if isinstance(getattr(network, "trunk", None), Trunk)]
        self._shares = shares or {}
        # Mixed precision would round the same frozen weights anew at every step.
        self.targets = {task: _rounded(network) if task in self._own else network for task, network in targets.items()}

    @property
    def channels(self) -> tuple[int, int] | None:
        """Channels of `Sight.features`, or None when no network shows any."""
        if not self._own:
            return None
        all_ = [self.targets[task].trunk.channels for task in self._own]
        return sum(16 * a + 4 * b + c for a, b, c, _ in all_), sum(d for *_, d in all_)

    @torch.no_grad()
    def look(self, image: Tensor) -> Sight:
        """What all networks see in all images [N,3,H,W]; no gradients."""
        return self._see(dict.fromkeys(self.targets, image))

    @torch.no_grad()
    def judge(self, image: Tensor) -> Sight:
        """What the networks see in those of the images [N,3,H,W] that they judge; no gradients."""
        return self._see(self._judged(image))

    def distances(
        self, decoded: Tensor, sight: Sight, importance: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """How far each target network's output on decoded frames [N,3,H,W] is from that on the untouched ones (from
        `look` or `judge`), and how far apart the features are: means over the frames that it judges, weighted by a
        task's `importance` [N] in each, or by 1."""
        got = self._see(self._judged(decoded))
        found, apart = {}, []
        for task, output in got.outputs.items():
            count = len(output)
            weights = (importance or {}).get(task, decoded.new_ones(len(decoded)))[:count]
            found[task] = distance(task, output, sight.outputs[task], weights)
            apart += [
                (weights * _apart(got.trunks[task][k], sight.trunks[task][k][:count])).mean()
                for k in ((-2, -1) if task in got.trunks else ())
            ]
        if apart:
            found["features"] = _FEATURE_WEIGHT * sum(apart) / len(apart)
        return found

    def _judged(self, image: Tensor) -> dict[str, Tensor]:
        """For each task the images that its network judges: the first ones, since a batch's order is random."""
        return {task: image[: math.ceil(self._shares.get(task, 1.0) * len(image))] for task in self.targets}

    def _see(self, images: Mapping[str, Tensor]) -> Sight:
        with mixed_precision(next(iter(images.values())).device):
            trunks = {task: self.targets[task].trunk(images[task]) for task in self._own}
            outputs = {
                task: network.read_out(trunks[task]) if task in trunks else network(images[task])
                for task, network in self.targets.items()
            }
        return Sight(outputs, trunks)


def _rounded(network: nn.Module) -> nn.Module:
    """A network with its weights as `mixed_precision` computes with them."""
    able = has_bfloat16(next(network.parameters()).device.type)
    return copy.deepcopy(network).to(torch.bfloat16) if able else network


def _apart(features: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference [N] in variances of the wanted features."""
    wanted = wanted.float()
    return (features.float() - wanted).square().mean((1, 2, 3)) / wanted.var(correction=0).clamp(min=1e-6)


class StrongEncoder(nn.Module):
    """Features of target networks (`Sight.features`) -> maps as of Heads."""

    def __init__(self, layout: LatentLayout, channels: tuple[int, int], widths: tuple[int, int] = (160, 192)) -> None:
        super().__init__()
        self.widths = widths
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True), NormedBlock(b))
            for a, b in zip(channels, widths, strict=True)
        )
        self.heads = Heads(layout, widths, widths)

    def reduced(self, features: Sequence[Tensor]) -> list[Tensor]:
        """What it makes of the features first, on the same two grids."""
        return [reduce(x) for reduce, x in zip(self.reduce, features, strict=True)]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return self.heads(self.reduced(features))
