# SPDX-License-Identifier: Apache-2.0
"""Label maps and depth maps as image messages, raw and as image_transport's plugins compress them.

Over the radio the compressed forms are made small in ways that the stock decoders read: label maps as
unfiltered PNG (flat areas repeat byte by byte), depth in a few hundred levels of inverse depth, which is
linear over a plane in the image and so predicted well by PNG's Paeth filter.
"""

from __future__ import annotations

import math
import struct
from copy import deepcopy

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.compressed import decode
from nepi_ros.errors import ImageError

LABELS_FORMAT = "mono8; png compressed "
"""As compressed_image_transport writes it, with the space at the end."""
DEPTH_FORMAT = "32FC1; compressedDepth png"
DEPTH_LEVELS = 256

# compressed_depth_image_transport's ConfigHeader: enum compressionFormat (0: inverse depth), then
# float depthParam[2].
_CONFIG = struct.Struct("<iff")
_INVERSE_DEPTH = 0


def _png_parameters(strategy: int, filter_name: str) -> list[int]:
    parameters = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, strategy]
    # OpenCV has this choice from 4.12 on; before, files are a tenth larger.
    chosen = getattr(cv2, f"IMWRITE_PNG_FILTER_{filter_name}", None)
    return parameters if chosen is None else [*parameters, cv2.IMWRITE_PNG_FILTER, chosen]


_LABELS_PNG = _png_parameters(cv2.IMWRITE_PNG_STRATEGY_DEFAULT, "NONE")
_DEPTH_PNG = _png_parameters(cv2.IMWRITE_PNG_STRATEGY_FILTERED, "PAETH")


def label_image(labels: np.ndarray, header: Header) -> Image:
    """A mono8 image of class ids from uint8 [h, w]."""
    height, width = labels.shape
    data = np.ascontiguousarray(labels, np.uint8).tobytes()
    return Image(header=header, height=height, width=width, encoding="mono8", step=width, data=data)


def depth_image(depth: np.ndarray, header: Header) -> Image:
    """A 32FC1 image from float32 [h, w] in metres along Z, NaN where there is no reading."""
    height, width = depth.shape
    data = np.ascontiguousarray(depth, "<f4").tobytes()
    return Image(header=header, height=height, width=width, encoding="32FC1", step=4 * width, data=data)


def compressed_labels(labels: np.ndarray, header: Header) -> CompressedImage:
    """Class ids, uint8 [h, w], as a PNG that `image_transport`'s "compressed" plugin reads as mono8."""
    _, png = cv2.imencode(".png", np.ascontiguousarray(labels, np.uint8), _LABELS_PNG)
    return CompressedImage(header=header, format=LABELS_FORMAT, data=png.tobytes())


def labels_from_compressed(message: CompressedImage) -> np.ndarray:
    """Class ids uint8 [h, w] of what `compressed_labels` made.

    Raises:
        ImageError: the message is not a mono8 PNG.
    """
    labels = _decoded(message)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ImageError(f"label map of format {message.format[:40]!r} is not one byte per pixel")
    return labels


def compressed_depth(
    depth: np.ndarray, header: Header, min_m: float, max_m: float, levels: int = DEPTH_LEVELS
) -> CompressedImage:
    """Depth as `image_transport`'s "compressedDepth" plugin reads it.

    `depth`: float32 [h, w] metres along Z; NaN, infinity and what is not above 0 are sent as no reading.
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
    data = _CONFIG.pack(_INVERSE_DEPTH, a, b) + png.tobytes()
    return CompressedImage(header=header, format=DEPTH_FORMAT, data=data)


def depth_from_compressed(message: CompressedImage) -> np.ndarray:
    """Depth float32 [h, w] in metres, NaN where there is no reading, of a 32FC1 compressedDepth message.

    Raises:
        ImageError: the message is not such a depth map.
    """
    data = bytes(message.data)
    if not message.format.startswith("32FC1; compressedDepth") or len(data) < _CONFIG.size:
        raise ImageError(f"{len(data)} bytes of format {message.format[:40]!r} are not a {DEPTH_FORMAT!r}")
    kind, a, b = _CONFIG.unpack_from(data)
    if kind != _INVERSE_DEPTH or not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise ImageError(f"compressed depth with header ({kind}, {a}, {b}) is not inverse depth")
    values = decode(data[_CONFIG.size :])
    if values.ndim != 2 or values.dtype != np.uint16:
        raise ImageError("compressed depth is not sixteen bits per pixel")
    with np.errstate(divide="ignore"):
        depth = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    return np.where((values == 0) | (depth < 0) | ~np.isfinite(depth), np.float32(np.nan), depth)


def scaled_camera_info(info: CameraInfo, width: int, height: int) -> CameraInfo:
    """The camera as it sees an image that shows the same view in `width` x `height` pixels.

    A region of interest and binning in `info` are worked into the matrices and cleared. Pixel centres are at
    whole numbers, as everywhere in ROS and OpenCV. An `info` without a size gives one with only the size.
    """
    scaled = deepcopy(info)
    scaled.width, scaled.height = width, height
    scaled.binning_x = scaled.binning_y = 0
    scaled.roi = type(info.roi)()
    full = (info.roi.width or info.width, info.roi.height or info.height)
    if 0 in full:
        return scaled
    shift = (info.roi.x_offset, info.roi.y_offset)
    for axis, (size, extent, offset) in enumerate(zip((width, height), full, shift, strict=True)):
        scale = size / extent
        _scale_row(scaled.k, 3 * axis, 3, axis, scale, offset)
        _scale_row(scaled.p, 4 * axis, 4, axis, scale, offset)
    return scaled


def _scale_row(matrix: np.ndarray, start: int, length: int, axis: int, scale: float, offset: int) -> None:
    """Scale one row of K or P (in place): the principal point by pixel edges, all else by the factor."""
    if matrix[start + axis] == 0.0:
        return  # uncalibrated
    centre = matrix[start + 2]
    matrix[start : start + length] *= scale
    matrix[start + 2] = (centre - offset + 0.5) * scale - 0.5


def _decoded(message: CompressedImage) -> np.ndarray:
    try:
        return decode(message.data)
    except ImageError as error:
        raise ImageError(f"{error}; its format says {message.format[:40]!r}") from error
