# SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB arrays and back, in every encoding that camera drivers commonly send.

cv_bridge converts colour orders and grey, `nepi_ros.yuv` YUV, OpenCV the colour mosaics. Sixteen-bit images
count by their more significant byte. What is said of a size is checked against the data before it is used.
"""

from __future__ import annotations

import cv2
import numpy as np
from cv_bridge import CvBridge
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros import yuv
from nepi_ros.compressed import MAX_SIDE, decode
from nepi_ros.errors import ImageError
from nepi_ros.letterbox import Letterbox
from nepi_ros.result_image import depth_image, label_image, scaled_camera_info

__all__ = [
    "ENCODINGS",
    "Letterbox",
    "compressed_to_rgb",
    "depth_image",
    "from_rgb",
    "label_image",
    "scaled_camera_info",
    "to_rgb",
]

_BRIDGE = CvBridge()

# Channels of the encodings that have all of a pixel's samples side by side.
_CHANNELS = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "mono": 1}
_MOSAICS = {
    "bayer_rggb": cv2.COLOR_BayerRGGB2RGB,
    "bayer_bggr": cv2.COLOR_BayerBGGR2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGBRG2RGB,
    "bayer_grbg": cv2.COLOR_BayerGRBG2RGB,
}
# The smallest mosaic that OpenCV interpolates.
_MOSAIC_MIN = 3

ENCODINGS = (
    *(f"{name}{bits}" for name in (*_CHANNELS, *_MOSAICS) for bits in (8, 16)),
    *yuv.ENCODINGS,
)
"""The encodings that `to_rgb` takes."""


def to_rgb(message: Image) -> np.ndarray:
    """RGB pixels of an image message: uint8 [height, width, 3]; may share the message's memory.

    Raises:
        ImageError: the encoding is none of ENCODINGS, or size, step and data do not fit each other.
    """
    what = _described(message)
    if message.encoding not in ENCODINGS:
        known = ", ".join(sorted(ENCODINGS))
        raise ImageError(f"{what}: this encoding cannot be converted; set the driver to one of {known}")
    if not (1 <= message.width <= MAX_SIDE and 1 <= message.height <= MAX_SIDE):
        raise ImageError(f"{what}: width and height must be from 1 to {MAX_SIDE}")
    _check_layout(message, what)
    data = np.frombuffer(message.data, np.uint8)
    if message.encoding in yuv.ENCODINGS:
        return yuv.to_rgb(message.encoding, data, message.width, message.height, message.step)
    name, _ = _split(message.encoding)
    pixels = _pixels(message, data)
    return _demosaic(name, pixels, what) if name in _MOSAICS else _reorder(name, pixels)


def compressed_to_rgb(message: CompressedImage) -> np.ndarray:
    """RGB pixels of a JPEG, PNG or lossless WebP message: uint8 [height, width, 3].

    The format is that of image_transport, "<encoding>; jpeg compressed <encoding of the pixels>", or just
    "jpeg" or "png". A mosaic that was compressed as it came from the sensor is interpolated.

    Raises:
        ImageError: the data is none of these, or damaged.
    """
    source, _, rest = message.format.partition(";")
    try:
        pixels = decode(message.data)
    except ImageError as error:
        raise ImageError(f"{error}; its format says {_clipped(message.format)}") from error
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        name, _ = _split(source.strip())
        return _demosaic(name, pixels, "compressed image") if name in _MOSAICS else _reorder("mono", pixels)
    # A decoder takes the pixels for BGR, which is what publishers compress unless they say otherwise.
    name = "rgb" if "compressed rgb8" in rest else "bgr"
    return _reorder(name + ("a" if pixels.shape[2] == 4 else ""), pixels)


def from_rgb(rgb: np.ndarray, encoding: str = "rgb8", header: Header | None = None) -> Image:
    """An image message in one of the 8 bit ENCODINGS from uint8 [H, W, 3].

    Raises:
        ImageError: images are not made in this encoding.
    """
    height, width = rgb.shape[:2]
    if encoding in yuv.ENCODINGS:
        data, step = yuv.from_rgb(encoding, rgb)
    else:
        name, bits = _split(encoding)
        if bits != 8:
            raise ImageError(f"no images are made in encoding {_clipped(encoding)}")
        pixels = _mosaic(name, rgb) if name in _MOSAICS else _ordered(name, rgb)
        data, step = pixels.tobytes(), width * (pixels.size // (width * height))
    message = Image(height=height, width=width, encoding=encoding, step=step, data=data)
    message.header = header or Header()
    return message


def _split(encoding: str) -> tuple[str, int]:
    """Name and bits of an encoding, as ("bayer_rggb", 16); ("", 0) of one with other rows."""
    for bits in (8, 16):
        name = encoding.removesuffix(str(bits))
        if name != encoding and (name in _CHANNELS or name in _MOSAICS):
            return name, bits
    return "", 0


def _check_layout(message: Image, what: str) -> None:
    width, height, step = message.width, message.height, message.step
    if message.encoding in yuv.ENCODINGS:
        row = yuv.row_bytes(message.encoding, width)
        total = yuv.total_bytes(message.encoding, width, height, step)
        if width < 2:
            raise ImageError(f"{what}: a YUV image is at least 2 pixels wide")
    else:
        name, bits = _split(message.encoding)
        row = width * _CHANNELS.get(name, 1) * bits // 8
        total = step * (height - 1) + row
    if step < row:
        raise ImageError(f"{what}: step says {step} bytes but a row takes {row}; the driver sets it wrong")
    if len(message.data) < total:
        raise ImageError(f"{what}: data holds {len(message.data)} bytes but this size takes {total}")


def _pixels(message: Image, data: np.ndarray) -> np.ndarray:
    """The samples' (more significant) bytes, uint8 [H, W] or [H, W, C], without padding, in one piece."""
    name, bits = _split(message.encoding)
    channels, size = _CHANNELS.get(name, 1), bits // 8
    first = 0 if message.is_bigendian else size - 1
    shape = (message.height, message.width, channels)
    strides = (message.step, channels * size, size)
    pixels = np.ascontiguousarray(np.ndarray(shape, np.uint8, data, first, strides))
    return pixels[:, :, 0] if channels == 1 else pixels


def _reorder(name: str, pixels: np.ndarray) -> np.ndarray:
    if name == "rgb":
        return pixels
    dense = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=f"{name}8")
    dense.step = pixels.shape[1] * _CHANNELS[name]
    dense.data = pixels.tobytes()
    return _BRIDGE.imgmsg_to_cv2(dense, "rgb8")


def _demosaic(name: str, pixels: np.ndarray, what: str) -> np.ndarray:
    if min(pixels.shape) < _MOSAIC_MIN:
        raise ImageError(f"{what}: a mosaic is at least {_MOSAIC_MIN} pixels wide and high")
    return cv2.cvtColor(pixels, _MOSAICS[name])


def _ordered(name: str, rgb: np.ndarray) -> np.ndarray:
    if name == "mono":
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if name == "rgb":
        return rgb
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    return opaque[:, :, ["rgba".index(letter) for letter in name]]


def _mosaic(name: str, rgb: np.ndarray) -> np.ndarray:
    """One sample per pixel; the letters name the upper left 2 x 2 pixels, row by row."""
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for place, letter in enumerate(name.removeprefix("bayer_")):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        mosaic[rows, columns] = rgb[rows, columns, "rgb".index(letter)]
    return mosaic


def _described(message: Image) -> str:
    return f"image {_clipped(message.encoding)} of {message.width} x {message.height}"


def _clipped(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
