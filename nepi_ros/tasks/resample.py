# SPDX-License-Identifier: Apache-2.0
"""Bilinear resampling of network outputs, with half-pixel centres (pixel edges stay where they were)."""

import cv2
import numpy as np

_MAX_CHANNELS = 512  # CV_CN_MAX of OpenCV: more channels than that in one call are refused


def bilinear(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample float32 [C, h, w] to `size` = (width, height); returns float32 [C, height, width]."""
    width, height = size
    planes = np.asarray(planes, np.float32)
    if planes.shape[1:] == (height, width):
        return planes
    parts = [
        cv2.resize(
            np.moveaxis(planes[i : i + _MAX_CHANNELS], 0, -1), (width, height), interpolation=cv2.INTER_LINEAR
        )
        for i in range(0, len(planes), _MAX_CHANNELS)
    ]
    parts = [part[:, :, None] if part.ndim == 2 else part for part in parts]
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 0)
