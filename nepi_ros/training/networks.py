# SPDX-License-Identifier: Apache-2.0
"""The networks: targets for the three tasks, and the epitome's encoder and decoder.

Only convolutions, ReLU, bilinear resizing and pooling, so that every runtime can run and quantise them
(GDN and the like quantise badly).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class NormedBlock(nn.Module):
    """Residual block with batch norm, for the target networks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Trunk(nn.Module):
    """Features of an image at 1/4, 1/8, 1/16 and 1/32 of its size."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        stem, *channels = (max(8, int(c * width) // 8 * 8) for c in (16, 32, 64, 128, 192))
        self.channels = channels
        self.stem = conv_bn(3, stem, stride=2)
        blocks = (1, 1, 2, 1)
        inputs = [stem, *channels[:-1]]
        self.stages = nn.ModuleList(
            nn.Sequential(conv_bn(a, b, stride=2), *(NormedBlock(b) for _ in range(n)))
            for a, b, n in zip(inputs, channels, blocks, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image * 4.0 - 2.0)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Pyramid(nn.Module):
    """Brings a trunk's features together at 1/4 of the image (feature pyramid, Lin et al., CVPR 2017)."""

    def __init__(self, channels: list[int], outputs: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, outputs, 1) for c in channels)
        self.context = nn.Conv2d(channels[-1], outputs, 1)
        self.smooth = nn.ModuleList(conv_bn(outputs, outputs) for _ in channels[:-1])

    def forward(self, features: list[Tensor]) -> Tensor:
        top = features[-1]
        x = self.lateral[-1](top) + self.context(top.mean((2, 3), keepdim=True))
        for index in reversed(range(len(features) - 1)):
            lateral = self.lateral[index](features[index])
            x = F.interpolate(x, size=lateral.shape[2:], mode="bilinear", align_corners=False) + lateral
            x = self.smooth[index](x)
        return x


class DenseNetwork(nn.Module):
    """Target network with one output map at 1/4 of the image: segmentation logits or log-depth."""

    def __init__(self, outputs: int, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        neck = max(16, int(40 * width) // 8 * 8)
        self.pyramid = Pyramid(self.trunk.channels, neck)
        self.head = nn.Conv2d(neck, outputs, 1)

    def read_out(self, features: list[Tensor]) -> Tensor:
        return self.head(self.pyramid(features))

    def forward(self, image: Tensor) -> Tensor:
        return self.read_out(self.trunk(image))


class SegmentationNetwork(DenseNetwork):
    """image [N,3,H,W] in 0..1 -> logits [N,classes,H/4,W/4]."""


class DepthNetwork(DenseNetwork):
    """image [N,3,H,W] in 0..1 -> depth [N,1,H/4,W/4] in metres, within [min_m, max_m]."""

    def __init__(self, min_m: float, max_m: float, width: float = 1.0) -> None:
        super().__init__(1, width)
        self.log_min, self.log_max = torch.tensor([min_m, max_m]).log().tolist()

    def read_out(self, features: list[Tensor]) -> Tensor:
        share = torch.sigmoid(super().read_out(features).float())
        return torch.exp(self.log_min + (self.log_max - self.log_min) * share)


class ClassificationNetwork(nn.Module):
    """image [N,3,H,W] in 0..1 -> logits [N,classes]."""

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = Trunk(width)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(sum(self.trunk.channels[-2:]), classes)

    def read_out(self, features: list[Tensor]) -> Tensor:
        pooled = torch.cat([f.mean((2, 3)) for f in features[-2:]], dim=1)
        return self.head(self.dropout(pooled))

    def forward(self, image: Tensor) -> Tensor:
        return self.read_out(self.trunk(image))


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


class Encoder(nn.Module):
    """image [N,3,H,W] in 0..1 -> latent [N,C,H/16,W/16], real-valued; rounding it makes the epitome."""

    def __init__(self, latent: int, widths: tuple[int, int, int] = (32, 64, 96)) -> None:
        super().__init__()
        a, b, c = widths
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, a, 3, 1, 1), nn.ReLU(inplace=True),
            nn.Conv2d(a, b, 3, 2, 1), nn.ReLU(inplace=True), Block(b),
            nn.Conv2d(b, c, 3, 2, 1), nn.ReLU(inplace=True), Block(c), Block(c),
            nn.Conv2d(c, latent, 1),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image * 2.0 - 1.0)


class Decoder(nn.Module):
    """latent [N,C,H/16,W/16] (missing layers 0) -> image [N,3,H,W] in about 0..1, for the target networks' eyes."""

    def __init__(self, latent: int, widths: tuple[int, int, int] = (128, 80, 40)) -> None:
        super().__init__()
        a, b, c = widths
        self.layers = nn.Sequential(
            nn.Conv2d(latent, a, 3, 1, 1), nn.ReLU(inplace=True), Block(a), Block(a),
            nn.Conv2d(a, 4 * b, 1), nn.PixelShuffle(2), nn.ReLU(inplace=True), Block(b),
            nn.Conv2d(b, 4 * c, 1), nn.PixelShuffle(2), nn.ReLU(inplace=True), Block(c),
            nn.Conv2d(c, 48, 3, 1, 1), nn.PixelShuffle(4),
        )  # fmt: skip

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent) + 0.5
