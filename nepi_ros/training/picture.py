# SPDX-License-Identifier: Apache-2.0
"""Layers that tell of the picture itself, for frames that may be large: brightness and colour of squares of 16 pixels,
and what lies within squares of 8.

They begin as the discrete cosine transform of JPEG, so that a long epitome is accurate from the first step on; training
then changes the transform and its steps, and sends only where it matters to the target networks. What must be learnt
from nothing, the other layers, is good at short epitomes and hardly gets better with their length: almost all that is
still wrong then lies along edges.
"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.training.latent import DETAIL, MOST_DETAIL, LatentLayout

_SIDE = 8
# The finest step of quantisation at the beginning, of an orthonormal transform of values 0..1: that of a JPEG of
# quality 30. It is learnt, as are those of the channels.
_STEP = 0.1
_MEAN_STEPS = (1.0, 0.8, 0.8)  # of the means, in units of twice _STEP: errors of brightness are seen first
_COLOUR = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))  # ITU-R BT.601, Y Cb Cr
# Numbers of waves (down, across) of DETAIL's channels after the brightness's own deviation, the slowest first.
_WAVES = sorted(product(range(_SIDE), repeat=2), key=lambda wave: wave[0] ** 2 + wave[1] ** 2)[1:MOST_DETAIL]


def _patterns(waves: int) -> Tensor:
    """Orthonormal patterns [3 + waves, 8, 8]: the constant one three times, then waves."""
    places = torch.arange(_SIDE)

    def wave(number: int) -> Tensor:
        scale = math.sqrt((1 if number == 0 else 2) / _SIDE)
        return scale * torch.cos((2 * places + 1) * number * math.pi / (2 * _SIDE))

    return torch.stack([torch.outer(wave(v), wave(u)) for v, u in [(0, 0)] * 3 + _WAVES[:waves]])


class Analysis(nn.Module):
    """image [N,3,H,W] in 0..1, features [N,C,H/16,W/16] -> maps of MEAN and DETAIL, real-valued."""

    def __init__(self, layout: LatentLayout, features: int) -> None:
        super().__init__()
        waves = layout.channels(DETAIL) - 1
        self.transform = nn.Conv2d(3, 3 + waves, _SIDE, _SIDE)
        self.mask = nn.Conv2d(features, 4, 1)
        self.mean_scale = nn.Parameter(torch.tensor(_MEAN_STEPS).reshape(1, 3, 1, 1) / (2 * _STEP))
        self.detail_scale = nn.Parameter(torch.full((1, 1 + waves, 1, 1), 1 / _STEP))
        with torch.no_grad():
            colours = torch.tensor(_COLOUR + _COLOUR[:1] * waves)
            self.transform.weight.copy_(colours[:, :, None, None] * _patterns(waves)[:, None])
            self.transform.bias.zero_()
            self.transform.bias[0] = -_SIDE / 2  # medium grey is 0
            # Everything is sent at first.
            self.mask.weight.zero_()
            self.mask.bias.fill_(3.0)

    def forward(self, image: Tensor, features: Tensor) -> list[Tensor]:
        # bfloat16 would not hold what is to be rounded to whole numbers.
        with torch.autocast(image.device.type, enabled=False):
            found = self.transform(image.float())
        mean = F.avg_pool2d(found[:, :3], 2)
        deviation = found[:, :1] - F.interpolate(mean[:, :1], scale_factor=2.0, mode="nearest")
        detail = torch.cat([deviation, found[:, 3:]], dim=1)
        mask = torch.sigmoid(F.pixel_shuffle(self.mask(features), 2).float())
        return [mean * self.mean_scale, detail * self.detail_scale * mask]


class Synthesis(nn.Module):
    """The inverse: maps of MEAN and DETAIL -> image [N,3,H,W] in about 0..1."""

    def __init__(self, layout: LatentLayout) -> None:
        super().__init__()
        waves = layout.channels(DETAIL) - 1
        self.transform = nn.Conv2d(3 + waves, 3 * _SIDE * _SIDE, 1)
        self.mean_scale = nn.Parameter(2 * _STEP / torch.tensor(_MEAN_STEPS).reshape(1, 3, 1, 1))
        self.detail_scale = nn.Parameter(torch.full((1, 1 + waves, 1, 1), _STEP))
        with torch.no_grad():
            back = torch.linalg.inv(torch.tensor(_COLOUR)).T
            colours = torch.cat([back, back[:1].expand(waves, 3)])
            pixels = colours[:, :, None, None] * _patterns(waves)[:, None]  # [3 + waves, 3, 8, 8]
            self.transform.weight.copy_(pixels.flatten(1).T[:, :, None, None])
            self.transform.bias.fill_(0.5)

    def forward(self, mean: Tensor, detail: Tensor) -> Tensor:
        mean = F.interpolate(mean * self.mean_scale, scale_factor=2.0, mode="nearest")
        detail = detail * self.detail_scale
        whole = torch.cat([mean[:, :1] + detail[:, :1], mean[:, 1:], detail[:, 1:]], dim=1)
        return F.pixel_shuffle(self.transform(whole), _SIDE)


class Blend(nn.Module):
    """How much of the decoded image [N,3,H,W] is what `Synthesis` gives, as a share [N,1,H,W]: the more, the more of
    the detail is there around a place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.judge = nn.Conv2d(features, 1, 1)
        self.told = nn.Parameter(torch.tensor(10.0))
        with torch.no_grad():
            self.judge.weight.zero_()
            self.judge.bias.fill_(-6.0)

    def forward(self, features: Tensor, detail: Tensor) -> Tensor:
        told = (detail.abs().amax(1, keepdim=True) > 0).to(features.dtype)
        around = F.avg_pool2d(told, 3, 1, 1, count_include_pad=False)
        share = torch.sigmoid((self.judge(features) + self.told * around).float())
        return F.interpolate(share, scale_factor=float(_SIDE), mode="bilinear", align_corners=False)

