# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as the bytes that cross the radio, and back; without ROS.

Both are lossless WebP of grey pixels, which at these sizes takes two thirds of a PNG's bytes or less. Depth goes as
levels of its inverse, which is linear over a plane in the image and so predicted well.
"""

from __future__ import annotations

import math
import struct

import cv2
import numpy as np

from nepi_ros.compressed import decode
from nepi_ros.errors import ImageError

DEPTH_LEVELS = 255
MAX_PIXELS = 1 << 24
"""Of a result: more than any edge is asked to send, and few enough that a damaged one does not stop the robot."""
NEAREST_M = 0.05
"""Inverse depth needs a nearest distance above zero, which not every bundle has."""
_FORMULA = struct.Struct("<ff")
_LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)


def depth_levels(scale: float) -> int:
    """Levels of a depth map of so much of the configured width: who sees fewer places is told them less finely."""
    return round(scale * DEPTH_LEVELS)


def pack_labels(labels: np.ndarray) -> bytes:
    """Class ids, uint8 [h, w]."""
    _, packed = cv2.imencode(".webp", np.ascontiguousarray(labels, np.uint8), _LOSSLESS)
    return packed.tobytes()


def unpack_labels(packed: bytes | memoryview | np.ndarray) -> np.ndarray:
    """Class ids uint8 [h, w] of what pack_labels made. Raises ImageError for anything else."""
    return decode(packed, cv2.IMREAD_GRAYSCALE, MAX_PIXELS)


def pack_depth(depth: np.ndarray, min_m: float, max_m: float, levels: int = DEPTH_LEVELS) -> bytes:
    """Depth float32 [h, w] in metres along Z; NaN, infinity and what is not above 0 are no reading.

    Inverse depth is rounded to `levels` (2 to 255) steps between 1 / max_m and 1 / min_m, beyond which it is clipped.
    The error is at most (1 / min_m - 1 / max_m) / (levels - 1) / 2 in inverse metres: with 0.4 m, 8 m and 255 levels
    0.5 % at 1 m and 2 % at 4 m.

    Raises:
        ValueError: not 0 < min_m < max_m, or levels out of range.
    """
    if not (0 < min_m < max_m < math.inf and 2 <= levels <= DEPTH_LEVELS):
        raise ValueError(f"depth from {min_m} to {max_m} m in {levels} levels")
    # Value 1 is max_m, value `levels` is min_m, 0 no reading.
    a = np.float32((levels - 1) / (1 / min_m - 1 / max_m))
    b = np.float32(1 - a / max_m)
    valid = np.isfinite(depth) & (depth > 0)
    inverse = a / np.clip(np.where(valid, depth, max_m), min_m, max_m) + b
    values = np.where(valid, np.clip(np.rint(inverse), 1, levels), 0)
    return _FORMULA.pack(a, b) + pack_labels(values)


def unpack_depth(packed: bytes | memoryview | np.ndarray) -> np.ndarray:
    """Depth float32 [h, w] in metres, NaN where there is no reading, of what pack_depth made.

    Raises:
        ImageError: it is anything else.
    """
    packed = bytes(packed)
    if len(packed) < _FORMULA.size:
        raise ImageError(f"{len(packed)} bytes are no depth map")
    a, b = _FORMULA.unpack_from(packed)
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ImageError(f"depth map with formula {a} / (value - {b}) is none")
    values = decode(packed[_FORMULA.size :], cv2.IMREAD_GRAYSCALE, MAX_PIXELS)
    with np.errstate(divide="ignore"):
        depth = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    return np.where((values == 0) | (depth < 0) | ~np.isfinite(depth), np.float32(np.nan), depth)
