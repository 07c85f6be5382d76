# SPDX-License-Identifier: Apache-2.0
"""Still picture formats that Pillow writes: JPEG, JPEG of a smaller picture, WebP, AVIF."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product

import cv2
import numpy as np
import PIL
from PIL import Image, features

from nepi_ros.bench.peers.base import PixelPeer, Setting

JPEG_QUALITIES = (1, 3, 5, 8, 12, 16, 20, 25, 30, 36, 43, 50, 58, 66, 74, 82, 89, 95, 100)
SUBSAMPLINGS = ("4:2:0", "4:4:4")
_SCALES = (0.25, 0.375, 0.5, 0.75)
_DOWNSCALED_QUALITIES = (10, 20, 30, 42, 55, 68, 80, 90, 96)
_WEBP_QUALITIES = (0, 2, 5, 10, 16, 23, 31, 40, 50, 60, 70, 78, 85, 91, 96, 100)
_AVIF_QUALITIES = (1, 5, 10, 16, 22, 28, 34, 40, 47, 54, 62, 70, 79, 89, 98)
_AVIF_SPEED = 6  # 0 to 10, libavif's usual; slower ones take a second per frame


class StillPeer(PixelPeer):
    """A picture at a time, through one of Pillow's formats."""

    format = ""

    def transcode(self, pictures: Iterator[np.ndarray], setting: Setting) -> Iterator[tuple[int, np.ndarray]]:
        for picture in pictures:
            data = self.encode(picture, setting)
            yield len(data), self.decode(data, picture.shape[1::-1])

    def problem(self) -> str | None:
        kind = self.format.lower()
        known = {"jpeg": "jpg"}.get(kind, kind)
        return None if features.check(known) else f"this Pillow ({PIL.__version__}) was built without {self.format}"

    def encode(self, picture: np.ndarray, setting: Setting) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes, size: tuple[int, int]) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def save(picture: np.ndarray, format_: str, **options: object) -> bytes:
    """A picture uint8 [h, w, 3] as a file's bytes."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format_, **options)
    return file.getvalue()


def smallest_jpeg(picture: np.ndarray, **options: object) -> bytes:
    """The smaller of a baseline and a progressive JPEG, both with optimised Huffman tables; pixels are the same."""
    return min((save(picture, "JPEG", optimize=True, progressive=p, **options) for p in (False, True)), key=len)


class Jpeg(StillPeer):
    name, format, version = "jpeg", "JPEG", PIL.__version__

    def settings(self) -> list[Setting]:
        return [{"quality": q, "subsampling": s} for q in JPEG_QUALITIES for s in SUBSAMPLINGS]

    def encode(self, picture: np.ndarray, setting: Setting) -> bytes:
        return smallest_jpeg(picture, quality=setting["quality"], subsampling=setting["subsampling"])


class JpegDownscaled(StillPeer):
    """A smaller picture as JPEG, enlarged on arrival. With the points of `jpeg`, which are those at full scale."""

    name, format, version = "jpeg_downscaled", "JPEG", PIL.__version__

    def settings(self) -> list[Setting]:
        settings = product(_DOWNSCALED_QUALITIES, _SCALES, SUBSAMPLINGS)
        return [{"scale": scale, "quality": quality, "subsampling": s} for quality, scale, s in settings]

    def encode(self, picture: np.ndarray, setting: Setting) -> bytes:
        size = tuple(max(8, round(side * setting["scale"])) for side in picture.shape[1::-1])
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return smallest_jpeg(small, quality=setting["quality"], subsampling=setting["subsampling"])

    def decode(self, data: bytes, size: tuple[int, int]) -> np.ndarray:
        small = super().decode(data, size)
        return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


class WebP(StillPeer):
    name, format, version = "webp", "WEBP", PIL.__version__

    def settings(self) -> list[Setting]:
        return [{"quality": q} for q in _WEBP_QUALITIES]

    def encode(self, picture: np.ndarray, setting: Setting) -> bytes:
        return save(picture, "WEBP", quality=setting["quality"], method=6)


class Avif(StillPeer):
    name, format, version = "avif", "AVIF", f"{PIL.__version__}-{_AVIF_SPEED}"

    def settings(self) -> list[Setting]:
        return [{"quality": q, "subsampling": "4:2:0"} for q in _AVIF_QUALITIES]

    def encode(self, picture: np.ndarray, setting: Setting) -> bytes:
        options = {"quality": setting["quality"], "subsampling": setting["subsampling"]}
        return save(picture, "AVIF", speed=_AVIF_SPEED, max_threads=1, **options)
