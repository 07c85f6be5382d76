# SPDX-License-Identifier: Apache-2.0
"""What is minimised: against labels for target networks, against frozen target networks for the codec."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from nepi_ros.datasets import IGNORED
from nepi_ros.training.data import Batch


def _upsampled(output: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(output.float(), size=size, mode="bilinear", align_corners=False)


def segmentation_from_labels(logits: Tensor, batch: Batch, weights: Tensor) -> Tensor:
    """Weighted cross-entropy over the pixels that have a label; ids outside the classes are none, as when measured."""
    logits = _upsampled(logits, batch.segmentation.shape[1:])
    known = batch.segmentation < logits.shape[1]
    labels = batch.segmentation.where(known, IGNORED)
    total = F.cross_entropy(logits, labels, weights, ignore_index=IGNORED, reduction="sum")
    return total / weights[batch.segmentation[known]].sum().clamp(min=1)


def depth_from_labels(depth: Tensor, batch: Batch, _weights: Tensor) -> Tensor:
    """Mean absolute error of the logarithm (a ratio, as delta-1 counts it) over the pixels with a reading."""
    depth = _upsampled(depth, batch.depth.shape[2:])
    known = batch.depth > 0
    error = (depth.clamp(min=1e-3).log() - batch.depth.clamp(min=1e-3).log()).abs()
    return 2.0 * (error * known).sum() / known.sum().clamp(min=1)


def classification_from_labels(logits: Tensor, batch: Batch, _weights: Tensor) -> Tensor:
    """Cross-entropy with slightly smoothed labels over the frames that have one; places outside the classes are none,
    as when measured."""
    known = (batch.place >= 0) & (batch.place < logits.shape[1])
    labels = batch.place.where(known, -1)
    total = F.cross_entropy(logits.float(), labels, ignore_index=-1, label_smoothing=0.05, reduction="sum")
    return total / known.sum().clamp(min=1)


FROM_LABELS: dict[str, Callable[[Tensor, Batch, Tensor], Tensor]] = {
    "segmentation": segmentation_from_labels,
    "depth": depth_from_labels,
    "classification": classification_from_labels,
}


def _divergence(output: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of two sets of logits [N,K,...], in nats, at each place [N,...]."""
    target = target.float()
    difference = F.log_softmax(target, dim=1) - F.log_softmax(output.float(), dim=1)
    return (torch.softmax(target, dim=1) * difference).sum(1)


def _map_divergence(output: Tensor, target: Tensor) -> Tensor:
    """Mean divergence over a map, in which a class counts by the square root of its frequency: that of a pole as much
    as that of a hundredth of the road is lost for the pole."""
    shares = torch.softmax(target.float(), dim=1)
    frequency = shares.mean((0, 2, 3), keepdim=True).clamp(min=1e-4)
    weights = (shares / frequency.sqrt()).sum(1)
    return 2.0 * (_divergence(output, target) * weights / weights.mean()).mean((1, 2))


def _soft_divergence(output: Tensor, target: Tensor) -> Tensor:
    """Divergence at a temperature (Hinton et al., 2015): a network that is sure of almost every training frame still
    tells by its other logits what it looks at, and so what must survive in frames of which it is not sure."""
    temperature = 4.0
    return temperature**2 * _divergence(output.float() / temperature, target.float() / temperature)


def _log_ratio(output: Tensor, target: Tensor) -> Tensor:
    return 5.0 * (output.float().clamp(min=1e-3).log() - target.float().clamp(min=1e-3).log()).abs().mean((1, 2, 3))


# Distance of a target network's outputs on decoded frames from its outputs on the untouched ones: [N].
# Weighted so that an error a user would notice weighs about as much in each task.
FROM_TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "segmentation": _map_divergence,
    "depth": _log_ratio,
    "classification": _soft_divergence,
}


def distance(task: str, got: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Mean distance of a task's outputs from those wanted, each weighted by the frame's of `weights` [N]; over the
    first frames of N alone, where there are outputs of these alone."""
    count = min(len(got), len(wanted))
    return (weights[:count] * FROM_TARGETS[task](got[:count], wanted[:count])).mean()
