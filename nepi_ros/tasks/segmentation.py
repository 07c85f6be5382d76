# SPDX-License-Identifier: Apache-2.0
"""Segmentation: class ids per pixel, and how far two label images agree."""

import numpy as np

from nepi_ros.tasks.resample import bilinear

IGNORED = 255


def labels(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class ids uint8 [height, width] at `size` = (width, height) from logits float32 [C, h, w].

    The logits are upsampled, then the largest wins: edges are smoother than those of upsampled labels.
    """
    best = bilinear(logits[0], size).copy()
    ids = np.zeros(best.shape, np.uint8)
    for i, plane in enumerate(logits[1:], 1):  # plane by plane is 3 times as fast as argmax over all
        other = bilinear(plane, size)
        ids[other > best] = i
        np.maximum(best, other, out=best)
    return ids


class ConfusionMatrix:
    """Counts pixels by true and predicted class over any number of images."""

    def __init__(self, classes: int, ignore: int = IGNORED) -> None:
        self.counts = np.zeros((classes, classes), np.int64)  # [truth, prediction]
        self._ignore = ignore

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Count two label images of one shape; true pixels `ignore` or outside the classes do not count.

        A prediction outside the classes counts as wrong. Raises ValueError when the shapes differ.
        """
        if prediction.shape != truth.shape:
            raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}")
        classes = len(self.counts)
        valid = (truth != self._ignore) & (truth < classes) & (truth >= 0)
        true, predicted = truth[valid].astype(np.int64), prediction[valid].astype(np.int64)
        outside = (predicted < 0) | (predicted >= classes)
        predicted[outside] = (true[outside] + 1) % classes
        self.counts += np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)

    def iou(self) -> np.ndarray:
        """Intersection over union per class, float64 [C]; NaN for classes neither seen nor predicted."""
        return iou_of(self.counts)

    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that occur in the truth; NaN without any."""
        return float(mean_iou_of(self.counts))


def iou_of(counts: np.ndarray) -> np.ndarray:
    """Intersection over union [..., C] of confusion counts [..., truth, prediction]; NaN where a class never is."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    union = counts.sum(axis=-2) + counts.sum(axis=-1) - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def mean_iou_of(counts: np.ndarray) -> np.ndarray:
    """Mean [...] of `iou_of` over the classes that occur in the truth; NaN without any."""
    present = counts.sum(axis=-1) > 0
    total = np.where(present, iou_of(counts), 0.0).sum(axis=-1)
    return np.where(present.any(axis=-1), total / np.maximum(present.sum(axis=-1), 1), np.nan)


def mean_iou(prediction: np.ndarray, truth: np.ndarray, classes: int, ignore: int = IGNORED) -> float:
    """Mean intersection over union of one pair (or stack) of label images; see ConfusionMatrix."""
    matrix = ConfusionMatrix(classes, ignore)
    matrix.add(prediction, truth)
    return matrix.mean_iou()


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pixels with equal labels, 0 to 1; NaN for empty images."""
    return float(np.mean(a == b)) if a.size else float("nan")
