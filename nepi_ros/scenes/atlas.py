# SPDX-License-Identifier: Apache-2.0
"""All textures with their smaller versions (mip levels) in one picture, so that one cv2.remap samples them all."""

import cv2
import numpy as np

from nepi_ros.scenes.surfaces import SIZE

LEVELS = 6
PAD = 2  # wrapped border, for bilinear sampling across the edge of a periodic texture


class Atlas:
    """Textures as uint8 [height, width, 3] (square root of reflectance) with the place of every level."""

    def __init__(self, textures: dict[str, np.ndarray]):
        self.names = {name: index for index, name in enumerate(textures)}
        pitch = SIZE + 2 * PAD * LEVELS
        columns = max(1, int(np.ceil(np.sqrt(len(textures) / 1.5))))
        rows = -(-len(textures) // columns)
        width = SIZE + SIZE // 2 + 4 * PAD
        self.image = np.zeros((rows * pitch, columns * width, 3), np.uint8)
        self.corner_x = np.zeros((len(textures), LEVELS), np.float32)
        self.corner_y = np.zeros((len(textures), LEVELS), np.float32)
        self.mean = np.zeros((len(textures), 3), np.float32)
        for index, texture in enumerate(textures.values()):
            self._place(index, texture, index % columns * width, index // columns * pitch)

    def _place(self, index: int, texture: np.ndarray, x: int, y: int) -> None:
        self.mean[index] = np.sqrt((texture**2).mean((0, 1)))
        down = 0
        for level in range(LEVELS):
            size = SIZE >> level
            small = cv2.resize(texture, (size, size), interpolation=cv2.INTER_AREA)
            tile = cv2.copyMakeBorder(small, PAD, PAD, PAD, PAD, cv2.BORDER_WRAP)
            left, top = (x, y) if level == 0 else (x + SIZE + 2 * PAD, y + down)
            down += size + 2 * PAD if level else 0
            self.image[top : top + len(tile), left : left + len(tile)] = np.round(np.clip(tile, 0, 1) * 255)
            # Texture coordinate 0 is the outer edge of the first texel, half a pixel before its centre.
            self.corner_x[index, level] = left + PAD - 0.5
            self.corner_y[index, level] = top + PAD - 0.5

    def sample(self, texture: np.ndarray, u: np.ndarray, v: np.ndarray, level: np.ndarray) -> np.ndarray:
        """uint8 [n, 3] at periodic coordinates u, v (in tiles) of textures `texture` at mip levels `level` [n]."""
        size = (SIZE >> level).astype(np.float32)
        x = self.corner_x[texture, level] + (u - np.floor(u)) * size
        y = self.corner_y[texture, level] + (v - np.floor(v)) * size
        return remap(self.image, x, y)


def remap(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear samples [n, channels] of `image` at pixel coordinates x, y [n] (float32)."""
    width = 256  # cv2 wants maps no longer than 32767 in either direction
    count = len(x)
    pad = -count % width
    maps = [np.pad(a, (0, pad)).reshape(-1, width) for a in (x, y)]
    return cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR).reshape(-1, image.shape[2])[:count]
