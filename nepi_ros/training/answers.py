# SPDX-License-Identifier: Apache-2.0
"""What a segmentation network answers on second thoughts: the average of its answers to several views of a frame.

A network that sees a frame larger, smaller and mirrored errs differently each time. What the light encoder reads as a
map of classes is learnt from the average, which comes closer to the truth than the network's one answer (knowledge
distillation, Hinton et al. 2015; of averaged answers, Radosavovic et al., "Data Distillation", CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nepi_ros.progress import progress_bar
from nepi_ros.training.config import ViewsConfig
from nepi_ros.training.data import Frames
from nepi_ros.training.latent import MAP_CELL, grid
from nepi_ros.training.loop import mixed_precision

_COARSEST = 32
"""Sides of what a network sees must be multiples of this."""
_UNSURE = 1e-5  # the least share of a class


@torch.no_grad()
def averaged_answers(network: nn.Module, frames: Frames, views: ViewsConfig) -> Tensor:
    """Logarithms of the classes' shares, float16 [frames,K,H/4,W/4]."""
    bar = progress_bar(range(len(frames)), desc="answers", unit="frame", total=len(frames), dynamic_ncols=True)
    return torch.cat([_average(network, frames.image[k : k + 1].float() / 255.0, views) for k in bar])


def view_size(size: Sequence[int], zoom: float) -> tuple[int, ...]:
    """Height and width of a view of frames of such a size."""
    return tuple(size) if zoom == 1 else tuple(max(1, round(side * zoom / _COARSEST)) * _COARSEST for side in size)


def _average(network: nn.Module, image: Tensor, views: ViewsConfig) -> Tensor:
    size = grid(MAP_CELL, image.shape[:1:-1])
    shares = []
    for zoom in views.zoom:
        view = F.interpolate(image, view_size(image.shape[2:], zoom), mode="bilinear", align_corners=False)
        for mirrored in (False, True)[: 1 + views.mirror]:
            with mixed_precision(image.device):
                answer = network(view.flip(3) if mirrored else view).float()
            answer = F.interpolate(answer, size=size, mode="bilinear", align_corners=False)
            shares.append(torch.softmax(answer.flip(3) if mirrored else answer, dim=1))
    return torch.stack(shares).mean(0).clamp(min=_UNSURE).log().half()


def pasted(image: Tensor, answers: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Images [N,3,H,W] and their answers [N,K,H/4,W/4]; in a share of them a rectangle is that of another frame of the
    batch (CutMix; Yun et al., ICCV 2019), so that what a thing is does not hang on where it stands."""
    image, answers, others = image.clone(), answers.clone(), (image.flip(0), answers.flip(0))
    for index in torch.nonzero(torch.rand(len(image)) < share).flatten().tolist():
        sides = ((side, torch.rand(2).tolist()) for side in answers.shape[2:])
        rows, columns = (_part(side, *chance) for side, chance in sides)
        answers[index, :, rows, columns] = others[1][index, :, rows, columns]
        rows, columns = (slice(MAP_CELL * part.start, MAP_CELL * part.stop) for part in (rows, columns))
        image[index, :, rows, columns] = others[0][index, :, rows, columns]
    return image, answers


def _part(side: int, size: float, place: float) -> slice:
    """A quarter to three quarters of a side, anywhere."""
    length = round(side * (0.25 + 0.5 * size))
    start = round((side - length) * place)
    return slice(start, start + length)
