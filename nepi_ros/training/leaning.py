# SPDX-License-Identifier: Apache-2.0
"""How a map of classes should lean where it is unsure.

What is likeliest is the best guess at each place, but not for the mean IoU, in which a class that is rarely seen counts
as much as the road: in doubt, a place had better be called by the rarer name (logit adjustment; Menon et al.,
"Long-Tail Learning via Logit Adjustment", ICLR 2021).
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from nepi_ros.tasks.segmentation import mean_iou_of
from nepi_ros.training.data import Frames
from nepi_ros.training.networks import Encoder

_LOG = logging.getLogger(__name__)

_FRAMES = 128  # at most, evenly spread
_STEPS = (0.8, 0.4, 0.2, 0.1)
_LITTLE = 2e-4  # of the mean IoU: what a round over all classes must gain for another


@torch.no_grad()
def lean_map(encoder: Encoder, frames: Frames, answers: Tensor) -> Tensor:
    """Make an encoder's map of classes lean as is best for the training frames' `answers` [frames,K,h,w], which are
    returned as what leans so may learn from them."""
    chosen = torch.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).long().to(answers.device)
    read = (encoder.class_map(encoder.trunk(frames.image[k : k + 1].float() / 255.0)) for k in chosen.tolist())
    lean = lean_of(torch.cat(list(read)), answers[chosen])
    encoder.class_map.head.bias += lean
    _LOG.info("the map of classes leans by %s", [round(one, 1) for one in lean.tolist()])
    return answers + lean[:, None, None].to(answers)


@torch.no_grad()
def lean_of(logits: Tensor, answers: Tensor) -> Tensor:
    """What to add to the classes' logits [N,K,h,w], [K], for the largest mean IoU with the likeliest classes of
    `answers` [N,K,h,w]. It is found class by class, in steps that get smaller."""
    wanted, lean = answers.argmax(1), logits.new_zeros(logits.shape[1])
    best = _mean_iou(logits, lean, wanted)
    for step in _STEPS:
        before = -1.0
        while best - before > _LITTLE:
            before = best
            for change in (*torch.eye(len(lean)), *-torch.eye(len(lean))):
                other = lean + step * change.to(lean)
                found = _mean_iou(logits, other, wanted)
                if found > best:
                    best, lean = found, other
    return lean


def _mean_iou(logits: Tensor, lean: Tensor, wanted: Tensor) -> float:
    named, count = (logits + lean[:, None, None]).argmax(1), len(lean)
    pairs = torch.bincount((wanted * count + named).flatten(), minlength=count * count).reshape(count, count)
    return float(mean_iou_of(pairs.cpu().numpy()))
