# SPDX-License-Identifier: Apache-2.0
"""The networks: targets for the three tasks, and the epitome's encoder and decoder.

Only convolutions, ReLU, bilinear resizing and pooling, so that every runtime can run and quantise them
(GDN and the like quantise badly).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.tasks import REGISTRY, TaskSpec
from nepi_ros.training.blocks import Block, Bottleneck, NormedBlock, conv_bn, patches
from nepi_ros.training.latent import CELLS, WHOLE, LatentLayout


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
        self.range_m = (min_m, max_m)

    def read_out(self, features: list[Tensor]) -> Tensor:
        return metres(super().read_out(features), *self.range_m)


def metres(values: Tensor, min_m: float, max_m: float) -> Tensor:
    """Depth within [min_m, max_m] for any values; from a hundredth of max_m up where min_m is 0."""
    low, high = math.log(min_m or max_m / 100), math.log(max_m)
    return torch.exp(low + (high - low) * torch.sigmoid(values.float()))


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


class LightTrunk(nn.Module):
    """image [N,3,H,W] in 0..1 -> features at 1/4, 1/8, 1/16 and 1/32 of its size, for a robot's processor: 1.3 thousand
    multiply-accumulates a pixel. It begins with patches in place of convolutions at high resolution, which are few
    multiply-accumulates but much memory traffic."""

    SCALE, SHIFT = 4.0, -2.0
    channels = (24, 32, 80, 112)

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(self._stages(*self.channels))

    def _stages(self, quarter: int, *coarser: int) -> Iterator[nn.Module]:
        """What makes the features of each grid of those of the finer one, and the first of the image."""
        yield patches(3, quarter, 4)
        for a, b in pairwise((quarter, *coarser)):
            yield nn.Sequential(conv_bn(a, b, stride=2), NormedBlock(b))

    def forward(self, image: Tensor) -> list[Tensor]:
        return self.features(image * self.SCALE + self.SHIFT)

    def features(self, scaled: Tensor) -> list[Tensor]:
        """The features of an image that is scaled already."""
        found = [self.stages[0](scaled)]
        for stage in self.stages[1:]:
            found.append(stage(found[-1]))
        return found


class MapTrunk(LightTrunk):
    """A LightTrunk where a map of classes is read too, which takes seeing more: with bottlenecks on the coarse grids it
    is deeper and looks farther. With what reads the map it is as much work as the other."""

    channels = (24, 40, 80, 128)

    def _stages(self, quarter: int, eighth: int, sixteenth: int, thirty_second: int) -> Iterator[nn.Module]:
        yield patches(3, quarter, 4)
        yield nn.Sequential(patches(quarter, eighth, 2), Bottleneck(eighth, 3))
        yield nn.Sequential(patches(eighth, sixteenth, 2), *(Bottleneck(sixteenth, 5) for _ in range(3)))
        # Squares of 16 pixels may be odd in number, so that patches of two would leave some out.
        coarser = conv_bn(sixteenth, thirty_second, stride=2)
        yield nn.Sequential(coarser, *(Bottleneck(thirty_second, 5) for _ in range(2)))


class ClassMap(nn.Module):
    """A light trunk's features -> logits [N,classes,H/4,W/4] of what each place is.

    The coarser features come together at 1/8 of the image, as in Pyramid, and unfold into what the patches show."""

    WIDTH, FINE = 24, 16

    def __init__(self, channels: Sequence[int], classes: int) -> None:
        super().__init__()
        patches, *coarser = channels
        self.pyramid = Pyramid(coarser, self.WIDTH)
        self.unfold = nn.Conv2d(self.WIDTH, 4 * self.FINE, 1)
        self.patches = nn.Conv2d(patches, self.FINE, 1)
        self.head = nn.Conv2d(self.FINE, classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        patches, *coarser = features
        unfolded = F.pixel_shuffle(self.unfold(self.pyramid(coarser)), 2)
        return self.head(F.relu(unfolded + self.patches(patches)))


class Heads(nn.Module):
    """Features at 1/16 and 1/32 -> maps [N,C,h,w], one per cell of CELLS, real-valued; rounding makes the epitome.

    Each grid's map is read from its own features and from what the coarser ones know of the surroundings.
    """

    WIDTHS = (80, 112)
    BESIDE_MAP = (48, 64)

    def __init__(self, layout: LatentLayout, channels: Sequence[int], widths: tuple[int, int] = WIDTHS) -> None:
        super().__init__()
        fine, coarse = widths
        self.fine, self.coarse = nn.Conv2d(channels[0], fine, 1), nn.Conv2d(channels[1], coarse, 1)
        self.surroundings = nn.Conv2d(coarse, fine, 1)
        inputs = (fine, coarse, coarse)
        self.grids = nn.ModuleList(
            nn.Conv2d(width, max(1, layout.channels(cell)), 1) for cell, width in zip(CELLS, inputs, strict=False)
        )
        self.whole = nn.Sequential(
            nn.Linear(fine + coarse, 128), nn.ReLU(inplace=True), nn.Linear(128, max(1, layout.channels(WHOLE)))
        )
        self._counts = [layout.channels(cell) for cell in CELLS]
        with torch.no_grad():
            # Latents that start well above the rounding step, so that the first epitomes are not all zeros.
            for layer in (*self.grids, self.whole[-1]):
                layer.weight.mul_(4.0)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        coarse = F.relu(self.coarse(features[1]))
        around = F.interpolate(self.surroundings(coarse), size=features[0].shape[2:], mode="nearest")
        fine = F.relu(self.fine(features[0]) + around)
        coarsest = F.avg_pool2d(coarse, 2, ceil_mode=True)
        maps = [head(x) for head, x in zip(self.grids, (fine, coarse, coarsest), strict=True)]
        pooled = torch.cat([x.mean((2, 3)) for x in (fine, coarse)], dim=1)
        maps.append(self.whole(pooled)[:, :, None, None])
        return [map_[:, :count] for map_, count in zip(maps, self._counts, strict=True)]


class Encoder(nn.Module):
    """image [N,3,H,W] in 0..1 -> maps as of Heads, and where there are `classes`, logits as of ClassMap."""

    def __init__(self, layout: LatentLayout, classes: int = 0) -> None:
        super().__init__()
        self.trunk = MapTrunk() if classes else LightTrunk()
        self.heads = Heads(layout, self.trunk.channels[-2:], Heads.BESIDE_MAP if classes else Heads.WIDTHS)
        self.class_map = ClassMap(self.trunk.channels, classes) if classes else None

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor | None]:
        return self.read(self.trunk(image))

    def read(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor | None]:
        """What it makes of its trunk's features."""
        return self.heads(features[-2:]), self.class_map(features) if self.class_map is not None else None


class Decoder(nn.Module):
    """maps as of Heads (missing layers 0), and a map of `classes`, where there are any -> features of the frame.

    From the coarsest grid to the finest: each takes over what the coarser ones say and adds what its own map says. A
    coarse square's features unfold into those of the four within it, so coarse layers can tell of fine detail too.
    """

    START = (4, 5)  # grid, then stretched to the coarsest map's, on which the whole frame's values are laid out
    THOUGHT = 128  # what these are turned into before: how a room looks from a place is no linear matter
    DEPTHS = (2, 3, 3)  # blocks on each grid, finest first: on coarse ones they cost little
    FOLDS = (4, 2, 1)  # of the map of classes, to 1/16, 1/8 and 1/4 of the image

    def __init__(self, layout: LatentLayout, width: float = 1.0, classes: int = 0) -> None:
        super().__init__()
        c, b, *steps = (int(w * width) // 8 * 8 for w in (40, 64, 112, 128, 128))
        self.fine, self.coarse, self.class_count = c, steps[0], classes
        self.whole = nn.Sequential(
            nn.Linear(max(1, layout.channels(WHOLE)), self.THOUGHT),
            nn.ReLU(inplace=True),
            nn.Linear(self.THOUGHT, self.THOUGHT),
            nn.ReLU(inplace=True),
            nn.Linear(self.THOUGHT, steps[-1] * self.START[0] * self.START[1]),
        )
        self.inputs = nn.ModuleList(
            nn.Conv2d(max(1, layout.channels(cell)), out, 3, 1, 1) for cell, out in zip(CELLS, steps, strict=False)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(step) for _ in range(depth))) for step, depth in zip(steps, self.DEPTHS, strict=True)
        )
        self.passes = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2))
            for fine, coarse in zip(steps, steps[1:], strict=False)
        )
        self.eighth = nn.Sequential(nn.Conv2d(steps[0], 4 * b, 1), nn.PixelShuffle(2))
        self.eighth_block = Block(b)
        self.quarter = nn.Sequential(nn.Conv2d(b, 4 * c, 1), nn.PixelShuffle(2))
        self.class_inputs = nn.ModuleList(
            nn.Conv2d(classes * fold * fold, out, 3 if fold == 1 else 1, padding="same")
            for fold, out in zip(self.FOLDS, (steps[0], b, c), strict=True)
            if classes
        )

    def features(self, maps: Sequence[Tensor], classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`coarse` features at 1/16 of the image and `fine` ones at 1/4.

        `classes` [N,classes,H/4,W/4]: 1 for the class of a place, else 0; all 0 where nothing is known."""
        *grids, whole = (m if m.shape[1] else m.new_zeros(m.shape[0], 1, *m.shape[2:]) for m in maps)
        sixteenth, eighth, quarter = self._of_classes(classes)
        x = self.whole(whole[:, :, 0, 0]).reshape(-1, self.inputs[-1].out_channels, *self.START)
        x = F.interpolate(x, size=grids[-1].shape[2:], mode="bilinear", align_corners=False)
        for level in reversed(range(len(grids))):
            if level < len(self.passes):
                height, width = grids[level].shape[2:]
                x = self.passes[level](x)[:, :, :height, :width]  # a coarse map may reach beyond the frame
            told = self.inputs[level](grids[level]) + (sixteenth if level == 0 else 0.0)
            x = self.blocks[level](F.relu(x + told))
        coarse, x = x, self.eighth_block(F.relu(self.eighth(x) + eighth))
        return coarse, F.relu(self.quarter(x) + quarter)

    def _of_classes(self, classes: Tensor | None) -> list[Tensor | float]:
        """What a map of classes adds at 1/16, 1/8 and 1/4 of the image."""
        if classes is None:
            return [0.0] * len(self.FOLDS)
        folded = (F.pixel_unshuffle(classes, fold) for fold in self.FOLDS)
        return [layer(x) for layer, x in zip(self.class_inputs, folded, strict=True)]


class Painter(Decoder):
    """What a Decoder takes -> image [N,3,H,W] in about 0..1, for the target networks' eyes."""

    answered: tuple[str, ...] = ()
    outputs = ("image",)

    def __init__(self, layout: LatentLayout, width: float = 1.0) -> None:
        super().__init__(layout, width)
        self.image = _pixels(self.fine)

    def forward(self, maps: Sequence[Tensor], classes: Tensor | None = None) -> Tensor:
        return self.image(self.features(maps, classes)[1]) + 0.5


class Answerer(Decoder):
    """What a Decoder takes -> by task what its network would put out, at 1/4 of the image where that is dense. Where
    whole frames are not `named`, the networks of tasks that are not dense get an `image` as of Painter instead.

    A map of classes is the segmentation's answer but for small doubts: where it names a class, that is taken for e^TOLD
    times as likely. While the doubts are learnt it counts half of that, so that they are (chosen on camvid's validation
    frames, where 6 to 16 are as good with the whole map)."""

    TOLD = 8.0

    def __init__(
        self, layout: LatentLayout, tasks: Mapping[str, TaskSpec], named: bool = False, width: float = 1.0
    ) -> None:
        super().__init__(layout, width, len(tasks["segmentation"].classes) if layout.has_map else 0)
        self.answered = tuple(task for task in tasks if named or REGISTRY[task].dense)
        self.heads = nn.ModuleDict({task: self._head(task, tasks[task]) for task in self.answered})
        if self.class_count:
            nn.init.zeros_(self.heads["segmentation"].weight)
        self.image = _pixels(self.fine) if len(self.answered) < len(tasks) else None
        self.range_m = (tasks["depth"].min_m, tasks["depth"].max_m) if "depth" in tasks else None

    @property
    def outputs(self) -> tuple[str, ...]:
        """What comes out."""
        return self.answered if self.image is None else (*self.answered, "image")

    def forward(self, maps: Sequence[Tensor], classes: Tensor | None = None) -> dict[str, Tensor]:
        coarse, fine = self.features(maps, classes)
        found = {
            task: self._answer(task, head(fine if REGISTRY[task].dense else coarse.mean((2, 3))).float(), classes)
            for task, head in self.heads.items()
        }
        if self.image is not None:
            found["image"] = self.image(fine) + 0.5
        return found

    def _head(self, task: str, spec: TaskSpec) -> nn.Module:
        """Features at 1/4 of the image, or the mean of those at 1/16 -> what a task is answered from."""
        channels = REGISTRY[task].channels(spec)
        if REGISTRY[task].dense:
            return nn.Conv2d(self.fine, channels, 3, 1, 1)
        return nn.Sequential(nn.Linear(self.coarse, 64), nn.ReLU(inplace=True), nn.Linear(64, channels))

    def _answer(self, task: str, found: Tensor, classes: Tensor | None) -> Tensor:
        if task == "depth":
            return metres(found, *self.range_m)
        if task != "segmentation" or classes is None:
            return found
        return found + (self.TOLD / 2 if self.training else self.TOLD) * classes


def _pixels(channels: int) -> nn.Module:
    """Features at 1/4 of an image -> the image, about -0.5 to 0.5."""
    return nn.Sequential(nn.Conv2d(channels, 48, 3, 1, 1), nn.PixelShuffle(4))
