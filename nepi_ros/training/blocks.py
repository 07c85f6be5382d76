# SPDX-License-Identifier: Apache-2.0
"""What the networks are built of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return _normed(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False))


def patches(inputs: int, outputs: int, side: int) -> nn.Sequential:
    """Each square of `side` x `side` places for itself to one place: convolution, batch norm, ReLU."""
    return _normed(nn.Conv2d(inputs, outputs, side, side, bias=False))


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


class NormedBlock(nn.Module):
    """Residual block with batch norm, for the target networks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Bottleneck(nn.Module):
    """Residual block that looks at each channel for itself, and at three times as many as it passes on (inverted
    residual; Sandler et al., "MobileNetV2", CVPR 2018): two fifths of a NormedBlock's work for a wider view."""

    WIDER = 3

    def __init__(self, channels: int, view: int) -> None:
        """`view`: how many places wide and high a channel is looked at."""
        super().__init__()
        inner = self.WIDER * channels
        look = nn.Conv2d(inner, inner, view, padding=view // 2, groups=inner, bias=False)
        self.widen, self.look = _normed(nn.Conv2d(channels, inner, 1, bias=False)), _normed(look)
        self.narrow = nn.Sequential(nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.look(self.widen(x)))

    @torch.no_grad()
    def pad(self, multiple: int) -> None:
        """Widen to a multiple of so many channels, with some that are always 0, in place, once batch norms are folded
        into the convolutions: the 8-bit kernels of ONNX Runtime take three times as long for 120 channels as for
        128."""
        widen, look, narrow = self.widen[0], self.look[0], self.narrow[0]
        more = -look.out_channels % multiple
        for layer in (widen, look):
            layer.weight, layer.bias = (nn.Parameter(_longer(part, 0, more)) for part in (layer.weight, layer.bias))
            layer.out_channels += more
        narrow.weight = nn.Parameter(_longer(narrow.weight, 1, more))
        narrow.in_channels = look.in_channels = look.groups = look.out_channels


def _longer(values: Tensor, dim: int, more: int) -> Tensor:
    """Values with `more` zeros after them in a dimension."""
    shape = list(values.shape)
    shape[dim] = more
    return torch.cat([values, values.new_zeros(shape)], dim)


class Block(nn.Module):
    """Residual block without norm, for the codec: what a frame becomes may not depend on its batch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))
