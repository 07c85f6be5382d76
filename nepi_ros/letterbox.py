# SPDX-License-Identifier: Apache-2.0
"""How a source image lies in a network's input, and how a result is cut back to the source. Without ROS.

The whole source image is scaled, its aspect kept, and centred; bars of mid-grey fill the rest:

    source 640x480 -> input 320x192:   +--+------------+--+
                                       |  |            |  |   content = (32, 0, 256, 192)
                                       +--+------------+--+

Nothing of the source is cropped away. `Letterbox.crop` removes the bars from a result of any resolution, so
that the point (u, v) of the result lies over the source at (u / result width, v / result height).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BAR = 127
"""Value of the bars in every channel."""


TALLEST = 4
"""A result is at most so many times as high as wide, whatever the shape of the source."""


def result_size(source: tuple[int, int], width: int) -> tuple[int, int]:
    """Size (width, height) in pixels of a result `width` pixels wide over a source of (width, height).

    >>> result_size((640, 480), 160)
    (160, 120)
    """
    return width, min(max(1, round(width * source[1] / source[0])), TALLEST * width)


@dataclass(frozen=True)
class Letterbox:
    """Geometry of a source of `source_size` in an input of `input_size`, both (width, height) in pixels.

    >>> Letterbox((640, 480), (320, 192)).content
    (32, 0, 256, 192)
    """

    source_size: tuple[int, int]
    input_size: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.source_size, *self.input_size) < 1:
            raise ValueError(f"no letterbox of a {self.source_size} source in a {self.input_size} input")

    @property
    def content(self) -> tuple[int, int, int, int]:
        """Where the source lies in the input: (x, y, width, height), with equal bars on opposite sides."""
        scale = min(i / s for i, s in zip(self.input_size, self.source_size, strict=True))
        x, y = (_bar(s * scale, i) for i, s in zip(self.input_size, self.source_size, strict=True))
        return x, y, self.input_size[0] - 2 * x, self.input_size[1] - 2 * y

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The network's input, uint8 [H, W, 3], from an image of the source's size.

        Shrinking averages over areas, enlarging is bilinear. May return `image` itself when it fits as it is.
        """
        if image.shape[1::-1] != tuple(self.source_size):
            raise ValueError(f"an image of {image.shape[1::-1]} in a letterbox for {self.source_size}")
        x, y, width, height = self.content
        shrinks = width < self.source_size[0]
        mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        if (width, height) != self.source_size:
            image = cv2.resize(image, (width, height), interpolation=mode)
        if x == y == 0:
            return image
        return cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_CONSTANT, value=(BAR, BAR, BAR))

    def result_size(self, array_size: tuple[int, int]) -> tuple[int, int]:
        """Size (width, height) of the content in a result that covers the input with `array_size` pixels."""
        _, _, width, height = self.content
        return (
            max(1, round(array_size[0] * width / self.input_size[0])),
            max(1, round(array_size[1] * height / self.input_size[1])),
        )

    def crop(self, array: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """The content of a result [h, w] or [h, w, C] that covers the whole input, at any resolution.

        `size` (width, height) of what is returned; by default the content's own. Where the content does not
        begin on a whole pixel or the size differs, floats are resampled bilinearly and integers (class ids)
        take the nearest pixel.
        """
        rows, columns = array.shape[:2]
        x, y, width, height = self.content
        left, wide = x * columns / self.input_size[0], width * columns / self.input_size[0]
        top, high = y * rows / self.input_size[1], height * rows / self.input_size[1]
        size = size or self.result_size((columns, rows))
        if (wide, high) == size and left.is_integer() and top.is_integer():
            return array[int(top) : int(top) + size[1], int(left) : int(left) + size[0]]
        # Pixel centres of the result, in pixel centres of the array.
        step_x, step_y = wide / size[0], high / size[1]
        back = np.array([[step_x, 0, left + step_x / 2 - 0.5], [0, step_y, top + step_y / 2 - 0.5]])
        smooth = np.issubdtype(array.dtype, np.floating)
        mode = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        return cv2.warpAffine(
            array, back, size, flags=mode | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )


def _bar(content: float, size: int) -> int:
    """Width of each of two equal bars beside `content` pixels; at least one pixel of content remains."""
    return min(round((size - content) / 2), (size - 1) // 2)
