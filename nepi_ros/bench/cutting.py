# SPDX-License-Identifier: Apache-2.0
"""How closely an epitome can be cut to a budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nepi_ros.codec import Encoder

SHARES = np.geomspace(0.03, 1.0, 60)
"""Budgets, as shares of the full epitome without pictures."""
_NEAR = 0.1


def cutting(encoder: Encoder, images: Sequence[np.ndarray]) -> dict[str, float]:
    """What the largest prefix within a budget leaves of it unused, over SHARES of each image's full epitome: on
    average, and for which share of the budgets it is at most a tenth. Images as `Encoder.encode` takes them.
    """
    unused = np.array([_unused(encoder, image) for image in images])
    return {"unused_mean": round(float(unused.mean()), 4), "within_tenth": round(float((unused <= _NEAR).mean()), 4)}


def _unused(encoder: Encoder, image: np.ndarray) -> np.ndarray:
    frame = encoder.encode(image, encoder.coder.layers)
    sizes = np.array([0, *(len(frame.segment(0, count).stream) for count in range(1, frame.layers + 1))])
    budgets = SHARES * sizes[-1]
    fitting = np.where(sizes <= budgets[:, None] + 1e-9, sizes, 0).max(axis=1)
    return 1 - fitting / np.maximum(budgets, 1.0)
