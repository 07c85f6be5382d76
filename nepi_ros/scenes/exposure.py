# SPDX-License-Identifier: Apache-2.0
"""Automatic exposure: how bright each frame of the tour is made."""

import numpy as np

from nepi_ros.scenes.path import Path, smooth_loop
from nepi_ros.scenes.render import Camera, Renderer

MIDDLE_GREY = 0.2
INTERVAL = 15  # frames between measurements
ADAPTATION = 0.8  # share of the difference between bright and dark rooms that exposure makes up for


def meter(renderer: Renderer, path: Path) -> np.ndarray:
    """Factor on the light for every frame [length]; it follows the light within about a second.

    It is known before any frame is rendered, so frames need no history and can be asked for in any order.
    """
    camera = Camera.of_size(32, 24)
    x, y = camera.pixels()
    count = max(1, path.length // INTERVAL)
    at = np.arange(count) * path.length // count
    brightness = np.empty((count, 1))
    for slot, index in enumerate(at):
        origins, directions = renderer.rays(camera, path.pose(int(index)), x, y)
        light = renderer.shade(renderer.tracer.trace(origins, directions), origins, directions, 1 / camera.fx)
        brightness[slot] = np.log(np.minimum(light, 1.2).mean() + 1e-3)
    smooth = smooth_loop(brightness, 1.5)[:, 0]
    mean = smooth.mean()
    exposure = MIDDLE_GREY / np.exp(mean + ADAPTATION * (smooth - mean))
    return np.interp(np.arange(path.length), np.append(at, path.length), np.append(exposure, exposure[0]))
