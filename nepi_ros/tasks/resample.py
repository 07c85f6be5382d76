# SPDX-License-Identifier: Apache-2.0
"""Bilinear resampling of network outputs, with half-pixel centres (pixel edges stay where they were)."""

import cv2
import numpy as np


def bilinear(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample [h, w] to `size` = (width, height); returns float32 [height, width]."""
    plane = np.asarray(plane, np.float32)
    return plane if plane.shape[::-1] == tuple(size) else cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
