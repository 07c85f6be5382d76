# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as the bytes that image_transport's plugins read; without ROS.

Over the radio the compressed forms are made small in ways that the stock decoders read: label maps as
unfiltered PNG (flat areas repeat byte by byte), depth in a few hundred levels of inverse depth, which is
linear over a plane in the image and so predicted well by PNG's Paeth filter.
"""

from __future__ import annotations

import math
import struct

import cv2
import numpy as np

DEPTH_LEVELS = 256

# compressed_depth_image_transport's ConfigHeader: enum compressionFormat (0: inverse depth), then
# float depthParam[2].
CONFIG = struct.Struct("<iff")
INVERSE_DEPTH = 0


def _png_parameters(strategy: int, filter_name: str) -> list[int]:
    parameters = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, strategy]
    # OpenCV has this choice from 4.12 on; before, files are a tenth larger.
    chosen = getattr(cv2, f"IMWRITE_PNG_FILTER_{filter_name}", None)
    return parameters if chosen is None else [*parameters, cv2.IMWRITE_PNG_FILTER, chosen]


_LABELS_PNG = _png_parameters(cv2.IMWRITE_PNG_STRATEGY_DEFAULT, "NONE")
_DEPTH_PNG = _png_parameters(cv2.IMWRITE_PNG_STRATEGY_FILTERED, "PAETH")


def labels_png(labels: np.ndarray) -> bytes:
    """Class ids, uint8 [h, w], as a PNG."""
    _, png = cv2.imencode(".png", np.ascontiguousarray(labels, np.uint8), _LABELS_PNG)
    return png.tobytes()


def depth_png(depth: np.ndarray, min_m: float, max_m: float, levels: int = DEPTH_LEVELS) -> bytes:
    """Depth float32 [h, w] in metres as a header and a 16-bit PNG of inverse depth; 0 is no reading.

    Inverse depth is rounded to `levels` (2 to 65535) steps between 1 / max_m and 1 / min_m, beyond which it
    is clipped. The error is at most (1 / min_m - 1 / max_m) / (levels - 1) / 2 in inverse metres: with 0.4 m,
    8 m and 256 levels 0.5 % at 1 m and 2 % at 4 m.

    Raises:
        ValueError: not 0 < min_m < max_m, or levels out of range.
    """
    if not (0 < min_m < max_m < math.inf and 2 <= levels <= 65535):
        raise ValueError(f"depth from {min_m} to {max_m} m in {levels} levels")
    # The plugin's formula is value = a / depth + b; value 1 is max_m, value `levels` is min_m, 0 no reading.
    a = np.float32((levels - 1) / (1 / min_m - 1 / max_m))
    b = np.float32(1 - a / max_m)
    valid = np.isfinite(depth) & (depth > 0)
    inverse = a / np.clip(np.where(valid, depth, max_m), min_m, max_m) + b
    values = np.where(valid, np.clip(np.rint(inverse), 1, levels), 0).astype(np.uint16)
    _, png = cv2.imencode(".png", values, _DEPTH_PNG)
    return CONFIG.pack(INVERSE_DEPTH, a, b) + png.tobytes()
