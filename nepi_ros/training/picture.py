# SPDX-License-Identifier: Apache-2.0
"""Layers that tell of the picture itself, for frames that may be large: colours of squares of 16 pixels and then of 8,
and waves within these, as in JPEG (ITU-T T.81).

What must be learnt from nothing, the other layers, is good at short epitomes and hardly gets better with their length:
almost all that is still wrong then lies along edges. The picture is accurate from the first step on. Learnt are its
steps of quantisation, where it matters enough to be sent, and how to put right what they lose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.training.blocks import Block
from nepi_ros.training.latent import COLOURS, DETAIL, MOST_DETAIL, LatentLayout

_SIDE = 8
_COLOUR = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081))  # ITU-R BT.601, Y Cb Cr
_SLOWEST = sorted(product(range(_SIDE), repeat=2), key=lambda wave: wave[0] ** 2 + wave[1] ** 2)[1:]
# Waves of DETAIL's channels after its own colours: of Y (0), Cb or Cr, and how many down and across a square. Those of
# colours, four in all, matter as much as those of brightness: without them a kitchen's surfaces ran into one another.
_FIRST = 2
_WAVES = (
    *((0, *wave) for wave in _SLOWEST[:_FIRST]),
    *((colour, *wave) for colour in (1, 2) for wave in _SLOWEST[:2]),
    *((0, *wave) for wave in _SLOWEST[_FIRST:]),
)[: MOST_DETAIL - COLOURS]
# Steps of quantisation at the beginning, of an orthonormal transform of squares of 8 pixels with values 0..1: of Y, Cb
# and Cr. Even colours are finer than in a JPEG of the same size.
_MEAN_STEPS, _COLOUR_STEPS, _WAVE_STEPS = (0.1, 0.05, 0.05), (0.08, 0.05, 0.05), (0.14, 0.12, 0.12)


def _patterns(waves: Sequence[tuple[int, int, int]]) -> Tensor:
    """Waves of an orthonormal transform [waves, 8, 8]."""
    places = torch.arange(_SIDE)

    def wave(number: int) -> Tensor:
        scale = math.sqrt((1 if number == 0 else 2) / _SIDE)
        return scale * torch.cos((2 * places + 1) * number * math.pi / (2 * _SIDE))

    return torch.stack([torch.outer(wave(v), wave(u)) for _, v, u in waves])


def _waves(layout: LatentLayout) -> tuple[tuple[int, int, int], ...]:
    return _WAVES[: layout.channels(DETAIL) - COLOURS]


def _finer(mean: Tensor) -> Tensor:
    """From the colours of squares of 16 pixels a guess of those of 8."""
    return F.interpolate(mean, scale_factor=2.0, mode="bilinear", align_corners=False)


class Steps(nn.Module):
    """The learnt steps of MEAN's and DETAIL's channels, [C,1,1]."""

    def __init__(self, layout: LatentLayout) -> None:
        super().__init__()
        detail = [*_COLOUR_STEPS, *(_WAVE_STEPS[colour] for colour, _, _ in _waves(layout))]
        # Logarithms, so that a learning rate moves all by the same share.
        self.log_mean = nn.Parameter(torch.tensor(_MEAN_STEPS).log()[:, None, None])
        self.log_detail = nn.Parameter(torch.tensor(detail).log()[:, None, None])

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def detail(self) -> Tensor:
        return self.log_detail.exp()


class Analysis(nn.Module):
    """image [N,3,H,W] in 0..1, features [N,C,H/16,W/16] -> maps of MEAN and DETAIL, real-valued.

    DETAIL's first channels are what the colours of squares of 8 pixels differ from those that MEAN tells.
    """

    def __init__(self, layout: LatentLayout, features: int) -> None:
        super().__init__()
        colours, waves = torch.tensor(_COLOUR), _waves(layout)
        kernels = colours[[colour for colour, _, _ in waves]][:, :, None, None] * _patterns(waves)[:, None]
        of_colours = torch.tensor([colour > 0 for colour, _, _ in waves])
        self.register_buffer("colours", _SIDE * colours[:, :, None, None], persistent=False)
        self.register_buffer("grey", torch.tensor([-_SIDE / 2, 0.0, 0.0]), persistent=False)  # a medium one is 0
        self.register_buffer("waves", kernels[~of_colours], persistent=False)
        # Waves so slow need no single pixels: pairs of them, which are a quarter of the work.
        self.register_buffer("colour_waves", 4 * F.avg_pool2d(kernels[of_colours], 2), persistent=False)
        self.steps = Steps(layout)
        self.mask = nn.Conv2d(features, 4, 1)
        with torch.no_grad():
            # Everything is sent at first.
            self.mask.weight.zero_()
            self.mask.bias.fill_(3.0)

    def forward(self, image: Tensor, features: Tensor) -> list[Tensor]:
        # bfloat16 would not hold what is to be rounded to whole numbers.
        with torch.autocast(image.device.type, enabled=False):
            half = F.avg_pool2d(image.float(), 2)
            colours = F.conv2d(F.avg_pool2d(half, _SIDE // 2), self.colours, self.grey)
            waves = F.conv2d(image.float(), self.waves, stride=_SIDE)
            if len(self.colour_waves):
                more = F.conv2d(half, self.colour_waves, stride=_SIDE // 2)
                waves = torch.cat([waves[:, :_FIRST], more, waves[:, _FIRST:]], dim=1)
        mean = F.avg_pool2d(colours, 2) / self.steps.mean
        known = (mean + (mean.round() - mean).detach()) * self.steps.mean
        detail = torch.cat([colours - _finer(known), waves], dim=1) / self.steps.detail
        mask = torch.sigmoid(F.pixel_shuffle(self.mask(features), 2).float())
        return [mean, detail * mask]

    def unscale(self, white: float) -> None:
        """Take images in 0..white from now on."""
        self.colours /= white
        self.waves /= white
        self.colour_waves /= white


class Synthesis(nn.Module):
    """maps of MEAN and DETAIL, features [N,C,H/8,W/8] and the image [N,3,H,W] painted from these -> the image put
    together from all of them. Of a frame of which no picture was sent, what was painted stays as it is.
    """

    def __init__(self, layout: LatentLayout, features: int, widths: tuple[int, int]) -> None:
        """`widths`: channels of the correction at an eighth and a quarter of the image."""
        super().__init__()
        count, waves, (eighth, quarter) = layout.channels(DETAIL), _waves(layout), widths
        back = torch.linalg.inv(torch.tensor(_COLOUR)).T[:, :, None, None]
        flat = torch.full((1, 1, _SIDE, _SIDE), 1 / _SIDE)
        moved = back[[colour for colour, _, _ in waves]] * _patterns(waves)[:, None]
        pixels = torch.cat([back * flat, moved]).flatten(1).T[:, :, None, None]
        self.register_buffer("pixels", pixels.contiguous(), persistent=False)
        self.steps = Steps(layout)
        self.judge = nn.Sequential(
            nn.Conv2d(features + count + 2, eighth, 3, 1, 1), nn.ReLU(inplace=True), Block(eighth)
        )
        self.share = nn.Conv2d(eighth, 1, 1)
        self.correction = nn.Sequential(
            nn.Conv2d(eighth, 4 * quarter, 1), nn.PixelShuffle(2), nn.ReLU(inplace=True),
            nn.Conv2d(quarter, 48, 3, 1, 1), nn.PixelShuffle(4),
        )  # fmt: skip
        with torch.no_grad():
            for convolution, bias in ((self.share, 4.0), (self.correction[-2], 0.0)):
                convolution.weight.zero_()
                convolution.bias.fill_(bias)

    def forward(self, mean: Tensor, detail: Tensor, features: Tensor, painted: Tensor) -> Tensor:
        sent, detailed = ((map_.abs().amax((1, 2, 3), keepdim=True) > 0).float() for map_ in (mean, detail))
        there = (detail.abs() > 0).float()
        told = F.avg_pool2d(there.amax(1, keepdim=True), 3, 1, 1, count_include_pad=False)
        whole = there.amax((2, 3), keepdim=True).mean(1, keepdim=True).expand_as(told)  # share of the channels
        mean, detail = _finer(mean * self.steps.mean), detail * self.steps.detail
        found = torch.cat([mean + detail[:, :COLOURS], detail[:, COLOURS:]], dim=1)
        with torch.autocast(found.device.type, enabled=False):
            picture = F.pixel_shuffle(F.conv2d(found.float(), self.pixels), _SIDE) + 0.5
        judged = self.judge(torch.cat([features, found, told, whole], dim=1))
        share = F.interpolate(
            torch.sigmoid(self.share(judged).float()), scale_factor=float(_SIDE), mode="bilinear", align_corners=False
        )
        return painted + detailed * share * (picture - painted) + sent * self.correction(judged)
