# SPDX-License-Identifier: Apache-2.0
"""What target networks answer on second thoughts: the average of their answers to several views of a frame.

A network that sees a frame larger, smaller and mirrored errs differently each time. What answers in its place is learnt
from the average, which comes closer to the truth than the network's one answer (knowledge distillation, Hinton et al.
2015; of averaged answers, Radosavovic et al., "Data Distillation", CVPR 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
_NEAREST = 1e-3  # metres


@torch.no_grad()
def averaged_answers(networks: Mapping[str, nn.Module], frames: Frames, views: ViewsConfig) -> dict[str, Tensor]:
    """Average answers of the networks of dense tasks, as logarithms of the classes' shares or of metres: by task
    float16 [frames,C,H/4,W/4]."""
    if not networks:
        return {}
    bar = progress_bar(range(len(frames)), desc="answers", unit="frame", total=len(frames), dynamic_ncols=True)
    found = [_answers(networks, frames.image[k : k + 1].float() / 255.0, views) for k in bar]
    return {task: torch.cat([one[task] for one in found]) for task in networks}


def view_size(size: Sequence[int], zoom: float) -> tuple[int, ...]:
    """Height and width of a view of frames of such a size."""
    return tuple(size) if zoom == 1 else tuple(max(1, round(side * zoom / _COARSEST)) * _COARSEST for side in size)


def as_output(task: str, answers: Tensor) -> Tensor:
    """Answers in the form in which the task's network puts them out: logits, metres."""
    return answers.exp() if task == "depth" else answers


def _answers(networks: Mapping[str, nn.Module], image: Tensor, views: ViewsConfig) -> dict[str, Tensor]:
    zoomed = (
        (zoom, F.interpolate(image, view_size(image.shape[2:], zoom), mode="bilinear", align_corners=False))
        for zoom in views.zoom
    )
    shown = [(zoom, mirrored, view) for zoom, view in zoomed for mirrored in (False, True)[: 1 + views.mirror]]
    size = grid(MAP_CELL, image.shape[:1:-1])
    answers = {task: [_answer(task, network, *view, size) for view in shown] for task, network in networks.items()}
    return {task: _average(task, some) for task, some in answers.items()}


def _answer(task: str, network: nn.Module, zoom: float, mirrored: bool, view: Tensor, size: Sequence[int]) -> Tensor:
    """Shares of classes, or the logarithm of metres: what is seen larger is taken to be closer."""
    with mixed_precision(view.device):
        output = network(view.flip(3) if mirrored else view).float()
    output = F.interpolate(output.flip(3) if mirrored else output, size=size, mode="bilinear", align_corners=False)
    return output.clamp(min=_NEAREST).log() + math.log(zoom) if task == "depth" else torch.softmax(output, dim=1)


def _average(task: str, answers: Sequence[Tensor]) -> Tensor:
    mean = torch.stack(answers).mean(0)
    return (mean if task == "depth" else mean.clamp(min=_UNSURE).log()).half()


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
