# SPDX-License-Identifier: Apache-2.0
"""Frames as a usual codec would have left them: what the robust target networks see while they are trained."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

# One frame in so many stays as it is: a robust network must not be worse where nothing was lost.
_UNTOUCHED = 5
_QUALITY = (10, 95)
_SCALE = (0.25, 1.0)


def degraded(image: Tensor) -> Tensor:
    """Frames float32 [N,3,H,W] in 0..1 after JPEG of a random quality from 10 to 95, half of them made smaller by up
    to 4 times before and enlarged after. Follows torch's random state, on every device alike."""
    chance = torch.rand(len(image), 3).tolist()
    whole = (image * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    changed = [_degrade(one, *numbers) if index % _UNTOUCHED else one
               for index, (one, numbers) in enumerate(zip(whole, chance, strict=True))]  # fmt: skip
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2).to(image.device).float() / 255.0


def _degrade(image: np.ndarray, quality: float, smaller: float, scale: float) -> np.ndarray:
    height, width = image.shape[:2]
    if smaller < 0.5:
        share = _between(_SCALE, scale)
        image = cv2.resize(image, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(_between(_QUALITY, quality))])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    return cv2.resize(decoded, (width, height), interpolation=cv2.INTER_CUBIC)


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * share
