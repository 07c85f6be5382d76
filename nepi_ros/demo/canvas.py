# SPDX-License-Identifier: Apache-2.0
"""Drawing blocks that the still picture and the film share: colours of results, text, bars, charts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

BACKGROUND: Colour = (18, 21, 28)
PANEL: Colour = (30, 35, 45)
LINE: Colour = (58, 66, 82)
TEXT: Colour = (236, 239, 244)
MUTED: Colour = (146, 156, 174)
ACCENT: Colour = (94, 200, 255)
GOOD: Colour = (110, 214, 140)
BAD: Colour = (255, 116, 108)

_UNKNOWN_DEPTH: Colour = (44, 48, 56)


@lru_cache(maxsize=16)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The typeface that comes with Pillow, so that no font needs to be installed."""
    return ImageFont.load_default(size)


def segmentation_overlay(rgb: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.6) -> np.ndarray:
    """Lay class colours over the picture in grey, with a line between classes; pixels labelled 255 stay as they are.

    rgb: uint8 [H, W, 3]. labels: uint8 [h, w], covering the same view. palette: uint8 [K, 3].
    """
    height, width = rgb.shape[:2]
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    scaled = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    # Grey below, so that every colour to be seen is a class.
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    blended = cv2.addWeighted(grey, 1 - alpha, colours[scaled], alpha, 0)
    blended[scaled == 255] = rgb[scaled == 255]
    border = cv2.morphologyEx(scaled, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    blended[border] = blended[border] // 2 + 127
    return blended


def depth_colours(depth: np.ndarray, near_m: float, far_m: float) -> np.ndarray:
    """Metres as colours, warm for near and cool for far; unknown depth is dark. float32 [h, w] -> uint8 [h, w, 3].

    The scale is logarithmic, so that what is near shows its shape too. 0 < near_m < far_m.
    """
    known = np.isfinite(depth) & (depth > 0)
    scaled = np.clip(np.log(far_m / np.where(known, depth, far_m)) / np.log(far_m / near_m), 0, 1)
    # The ends of the map are nearly black; its middle nine tenths keep their distance from "unknown".
    colours = cv2.applyColorMap((15 + scaled * 230).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1].copy()
    colours[~known] = _UNKNOWN_DEPTH
    return colours


def fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale to fit a box, aspect kept, centred on the panel colour."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    box = np.full((height, width, 3), PANEL, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    box[top : top + size[1], left : left + size[0]] = scaled
    return box


class Canvas:
    """A picture under construction: an RGB image of `width` by `height` pixels."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width, height), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)

    @classmethod
    def copy_of(cls, other: Canvas) -> Canvas:
        """A canvas that begins as a copy of another."""
        canvas = cls.__new__(cls)
        canvas._image = other._image.copy()
        canvas._draw = ImageDraw.Draw(canvas._image)
        return canvas

    @property
    def array(self) -> np.ndarray:
        """uint8 [height, width, 3] RGB."""
        return np.asarray(self._image)

    def image(self, x: int, y: int, picture: np.ndarray) -> None:
        """Place an RGB array with its top left corner at (x, y)."""
        self._image.paste(Image.fromarray(np.ascontiguousarray(picture)), (x, y))

    def box(self, x: float, y: float, width: float, height: float, colour: Colour = PANEL, radius: int = 6) -> None:
        """A filled box with round corners."""
        if width > 0 and height > 0:
            self._draw.rounded_rectangle((x, y, x + width - 1, y + height - 1), radius, fill=colour)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: int = 2) -> None:
        """A polyline."""
        if len(points) > 1:
            self._draw.line(list(points), fill=colour, width=width, joint="curve")

    def text(self, x: float, y: float, words: str, size: int = 16, colour: Colour = TEXT, anchor: str = "la") -> float:
        """Write `words` at (x, y); `anchor` as in Pillow. Returns the width in pixels."""
        self._draw.text((x, y), words, colour, font(size), anchor)
        return self._draw.textlength(words, font(size))

    def bar(self, x: float, y: float, width: float, height: float, share: float, colour: Colour = ACCENT) -> None:
        """A horizontal gauge filled to `share` (0 to 1)."""
        self.box(x, y, width, height, LINE, radius=int(height // 2))
        filled = max(width * min(max(share, 0.0), 1.0), height)
        self.box(x, y, filled, height, colour, radius=int(height // 2))


def class_legend(
    canvas: Canvas, x: float, y: float, names: Sequence[str], palette: np.ndarray, size: int = 16
) -> float:
    """A row of colour swatches with class names. Returns the x after the last."""
    for name, colour in zip(names, palette, strict=True):
        canvas.box(x, y, size, size, tuple(int(c) for c in colour), radius=3)
        x += size + 7
        x += canvas.text(x, y + size / 2, name, size - 1, MUTED, "lm") + 20
    return x


def depth_legend(canvas: Canvas, x: int, y: int, width: int, near_m: float, far_m: float, size: int = 16) -> None:
    """A colour scale from near to far, in metres; ends at x + width."""
    labels = f"{near_m:.1f} m", f"{far_m:.1f} m"
    x += int(canvas.text(x, y + size / 2, labels[0], size - 1, MUTED, "lm")) + 8
    end = x + width
    ramp = np.broadcast_to(np.geomspace(near_m, far_m, width, dtype=np.float32), (size, width))
    canvas.image(x, y, depth_colours(ramp, near_m, far_m))
    canvas.text(end + 8, y + size / 2, labels[1], size - 1, MUTED, "lm")
