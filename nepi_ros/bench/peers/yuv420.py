# SPDX-License-Identifier: Apache-2.0
"""RGB to full-range BT.601 YCbCr 4:2:0 planes and back, as JPEG has them: one way for every video codec."""

from __future__ import annotations

import cv2
import numpy as np


def to_planes(rgb: np.ndarray) -> np.ndarray:
    """I420 uint8 [H * 3 / 2, W] of a picture uint8 [h, w, 3]; odd sides are made even by repeating the last pixel."""
    height, width = rgb.shape[:2]
    even = cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    luma, red, blue = cv2.split(cv2.cvtColor(even, cv2.COLOR_RGB2YCrCb))
    half = (even.shape[1] // 2, even.shape[0] // 2)
    chroma = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (blue, red)]
    return np.concatenate([luma.ravel(), *(plane.ravel() for plane in chroma)]).reshape(-1, even.shape[1])


def from_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture uint8 [h, w, 3] of `size` = (width, height) from `to_planes`."""
    width, height = planes.shape[1], planes.shape[0] * 2 // 3
    luma, rest = planes.ravel()[: width * height].reshape(height, width), planes.ravel()[width * height :]
    blue, red = rest.reshape(2, height // 2, width // 2)
    full = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (red, blue)]
    return cv2.cvtColor(cv2.merge([luma, *full]), cv2.COLOR_YCrCb2RGB)[: size[1], : size[0]]
